//! Reports how far a run is: to a person at a terminal, or to a program.
//!
//! `book lab NAME --events` is what the page's server starts. It prints one JSON object per
//! line on standard output and nothing else, in this order:
//!
//! ```text
//! {"event":"begin","experiment":"idle","steps":8,"limit_seconds":120}
//! {"event":"step","done":0,"of":8,"what":"poll, 1,000 idle connections"}    before each step, never in one
//! {"event":"chart","name":"idle","svg":"<svg …>…"}      what there is so far, over the recorded one
//! {"event":"step","done":1,"of":8,"what":"…"}           … and so on, and at last everything:
//! {"event":"chart","name":"idle","svg":"…"}             one for each part that has a chart
//! {"event":"table","name":"idle","html":"<table>…"}     one for each part
//! {"event":"done","result":{…}}                         the record as it was stored (see `record.rs`)
//! {"event":"failed","why":"one line"}                   instead of `done`
//! ```
//!
//! `done` or `failed` is the last line. The exit code is 0 after `done`, 1 after `failed`,
//! and 130 where the run was asked to end: by the end of its standard input (so the other end
//! of that pipe stays open), by SIGTERM or SIGINT, or by its time limit. Its servers and
//! samples end before it. An `svg` or `html` replaces what was shown under the same name.
//!
//! Without `--events` the steps are lines on standard error.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::child;
use crate::lab::model::record::Record;

/// A run is given up after this time: a quick one, and a full one.
const LIMITS: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(7_200)];

/// What is said in a line.
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

/// How far a run is, and how that is reported.
pub struct Progress {
    experiment: &'static str,
    limit: Duration,
    /// A program reads; else a person at a terminal.
    pub events: bool,
    /// Steps done, and all of them.
    steps: Mutex<(usize, usize)>,
}

impl Progress {
    /// Reports as events or in lines on standard error. With events, this process ends when
    /// its standard input does or its time limit passes, whichever is sooner.
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

    /// Announces the number of steps.
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

    /// Reports an event, if a program reads.
    pub fn say(&self, event: &Event<'_>) {
        if self.events {
            say(event);
        }
    }
}

/// Prints one line. Without a reader, the run has no purpose and ends.
fn say(event: &Event<'_>) {
    let Ok(line) = serde_json::to_string(event) else { return };
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        drop(out);
        child::end(130);
    }
}
