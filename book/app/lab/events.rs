//! How a run tells how far it is: to somebody at a terminal, or to a program.
//!
//! `book lab NAME --events` is what the page's server starts. It prints one JSON object a
//! line on standard output and nothing else, in this order:
//!
//! ```text
//! {"event":"begin","experiment":"idle","steps":8,"limit_seconds":120}
//! {"event":"step","done":0,"of":8,"what":"poll, 1,000 idle connections"}    before each step, never in one
//! {"event":"chart","name":"idle","svg":"<svg …>…"}      as far as it has come, over the recorded one
//! {"event":"step","done":1,"of":8,"what":"…"}           … and so on, and at last everything:
//! {"event":"chart","name":"idle","svg":"…"}             one for each part that has a chart
//! {"event":"table","name":"idle","html":"<table>…"}     one for each part
//! {"event":"done","result":{…}}                         the record as it was kept (see `record.rs`)
//! {"event":"failed","why":"one line"}                   instead of `done`
//! ```
//!
//! `done` and `failed` are the last line, and nothing follows. The exit code is 0 after
//! `done`, 1 after `failed`, and 130 where the run was told to end. It is told so by its
//! standard input's coming to an end (so keep the other end of that pipe open), by SIGTERM
//! or SIGINT, or by its time limit, and then its servers and samples end before it. A run
//! in which `svg` or `html` is shown replaces what was shown under that name before.
//!
//! Without `--events` the steps are lines on standard error.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::child;

/// A run is given up after so long: one whose figures are quick, and one in full.
const LIMITS: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(7_200)];

/// What is said in a line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Begin { experiment: &'a str, steps: usize, limit_seconds: u64 },
    Step { done: usize, of: usize, what: &'a str },
    Chart { name: &'a str, svg: &'a str },
    Table { name: &'a str, html: &'a str },
    Done { result: &'a Value },
    Failed { why: &'a str },
}

/// How far a run is, and who is told.
pub(super) struct Progress {
    experiment: &'static str,
    /// A program reads; else somebody at a terminal.
    events: bool,
    limit: Duration,
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    done: usize,
    of: usize,
}

impl Progress {
    /// Told in lines on standard error.
    pub(super) fn at_terminal(experiment: &'static str) -> Progress {
        Progress { experiment, events: false, limit: LIMITS[1], steps: Mutex::default() }
    }

    /// Told as events. From now on this process ends with its standard input or with its
    /// time, whichever is sooner.
    pub(super) fn as_events(experiment: &'static str, full: bool) -> Progress {
        let limit = LIMITS[usize::from(full)];
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
        Progress { experiment, events: true, limit, steps: Mutex::default() }
    }

    /// Whether a program reads.
    pub(super) fn events(&self) -> bool {
        self.events
    }

    /// So many steps there will be.
    pub(super) fn begin(&self, steps: usize) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).of = steps;
        if self.events {
            let (experiment, limit_seconds) = (self.experiment, self.limit.as_secs());
            say(&Event::Begin { experiment, steps, limit_seconds });
        }
    }

    /// The next step begins, and this is what it is.
    pub(super) fn step(&self, what: &str) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if self.events {
            say(&Event::Step { done: steps.done, of: steps.of, what });
        } else {
            eprintln!("lab {}: {what}", self.experiment);
        }
        steps.done += 1;
    }

    /// A chart, of all or of what there is yet.
    pub(super) fn chart(&self, name: &str, svg: &str) {
        if self.events {
            say(&Event::Chart { name, svg });
        }
    }

    /// A table of the result.
    pub(super) fn table(&self, name: &str, html: &str) {
        if self.events {
            say(&Event::Table { name, html });
        }
    }

    /// The result is kept.
    pub(super) fn done(&self, result: &Value) {
        if self.events {
            say(&Event::Done { result });
        }
    }

    /// There will be no result.
    pub(super) fn failed(&self, why: &str) {
        if self.events {
            say(&Event::Failed { why: &why.replace('\n', " ") });
        }
    }
}

/// One line. If nobody reads any more, nobody waits for the rest.
fn say(event: &Event<'_>) {
    let Ok(line) = serde_json::to_string(event) else { return };
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        drop(out);
        child::end(130);
    }
}
