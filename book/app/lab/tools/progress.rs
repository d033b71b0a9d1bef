//! Reports the progress of a run, as lines of text for a person, or as events for a program.
//!
//! The server that shows the book's pages runs `book lab NAME --events`. On standard output, this
//! command prints nothing but events, each a JSON object on a line of its own, in this order:
//!
//! ```text
//! {"event":"begin","experiment":"idle","steps":8,"limit_seconds":120}
//! {"event":"step","done":0,"of":8,"what":"poll, 1,000 idle connections"}    before each step
//! {"event":"chart","name":"idle","svg":"<svg …>…"}      the chart so far, over the recorded chart
//! {"event":"step","done":1,"of":8,"what":"…"}           … and so on; after the last step:
//! {"event":"chart","name":"idle","svg":"…"}             the chart of each part that has one
//! {"event":"table","name":"idle","html":"<table>…"}     the table of each part
//! {"event":"done","result":{…}}                         the record as it was stored (see `record.rs`)
//! {"event":"failed","why":"one line"}                   instead of `done`
//! ```
//! The last line of a run is `done`, with exit code 0, or `failed`, with exit code 1; a run that
//! exceeds its time limit fails. The exit code is 130 if SIGTERM, SIGINT, or the end of standard
//! input ends the run, so the parent process must keep its own end of that pipe open. Before the
//! command exits, it kills the servers and the processes that take samples. A later `svg` or `html`
//! replaces an earlier one of the same name.
//!
//! Without `--events`, each step is a line on standard error.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::child;
use crate::lab::model::record::Record;

/// The time limits of a quick and of a full run of a program that prints its progress as events.
const LIMITS: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(7_200)];

/// An event, which is printed as one line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    Begin { experiment: &'a str, steps: usize, limit_seconds: u64 },
    Step { done: usize, of: usize, what: &'a str },
    Chart { name: &'a str, svg: &'a str },
    Table { name: &'a str, html: &'a str },
    Done { result: &'a Record },
    Failed { why: &'a str },
}

/// The progress of a run, and the way in which it is reported.
pub struct Progress {
    experiment: &'static str,
    limit: Duration,
    /// Whether events are printed for a program, instead of lines for a person.
    pub events: bool,
    /// The number of steps announced so far, and the number of all steps.
    steps: Mutex<(usize, usize)>,
}

impl Progress {
    /// Returns the progress of a new run of `experiment`. With `events`, this process ends as
    /// soon as its standard input ends or the time limit passes.
    pub fn new(experiment: &'static str, events: bool, full: bool) -> Progress {
        let limit = LIMITS[usize::from(full)];
        if events {
            thread::spawn(|| {
                let (mut input, mut nothing) = (io::stdin().lock(), [0; 64]);
                while !matches!(input.read(&mut nothing), Ok(0) | Err(_)) {}
                child::end(130);
            });
            thread::spawn(move || {
                thread::sleep(limit);
                let why = format!("it took longer than {} s", limit.as_secs());
                say(&Event::Failed { why: &why });
                child::end(1);
            });
        }
        Progress { experiment, limit, events, steps: Mutex::default() }
    }

    /// Announces the number of steps of the run.
    pub fn begin(&self, steps: usize) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).1 = steps;
        let (experiment, limit_seconds) = (self.experiment, self.limit.as_secs());
        self.say(&Event::Begin { experiment, steps, limit_seconds });
    }

    /// Announces the step that begins now.
    pub fn step(&self, what: &str) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, of) = *steps;
        if self.events {
            say(&Event::Step { done, of, what });
        } else {
            eprintln!("lab {}: {what}", self.experiment);
        }
        steps.0 += 1;
    }

    /// Prints an event, if the run prints events.
    pub fn say(&self, event: &Event<'_>) {
        if self.events {
            say(event);
        }
    }
}

/// Prints an event. If printing fails, this process ends: without a reader, the run is useless.
fn say(event: &Event<'_>) {
    let Ok(line) = serde_json::to_string(event) else { return };
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        drop(out);
        child::end(130);
    }
}
