//! A run: a child process that measures, and the threads that look after it.
//!
//! ```text
//! keeper (a thread)          reader (a thread)
//!   starts the child ───────► a line, an entry of the journal
//!   waits until it ends, is stopped, has no follower, or reaches its time limit
//!   closes its input, SIGTERM to its group, and after a while SIGKILL
//!   reaps it  ◄────────────── its output has ended
//! ```
//!
//! The child has a process group of its own, so that it is ended with all that it has
//! started, and so that a Ctrl-C for the server is the server's alone: the server then ends
//! the child. If the server is killed, the child's input ends, and with it the child.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::journal::Journal;

/// A longer line is no event.
const MAX_LINE: u64 = 4 * 1024 * 1024;
/// How long a child may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// How long a run may take, and how long it may go on without a follower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) run: Duration,
    pub(super) alone: Duration,
}

/// A run, which may be over.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) experiment: &'static str,
    pub(super) journal: Journal,
    state: Arc<State>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    /// Why it is to end.
    asked: Option<&'static str>,
    /// Its last event: the kind, and all of it.
    last: Option<(&'static str, String)>,
    /// It has closed its output.
    silent: bool,
}

impl State {
    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, and not longer than this.
    fn wait<'a>(&self, now: MutexGuard<'a, Now>, time: Duration) -> MutexGuard<'a, Now> {
        let waited = self.changed.wait_timeout(now, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Run {
    /// Begins to run the command, on threads of its own.
    pub(super) fn start(
        experiment: &'static str,
        command: Command,
        number: u64,
        timeouts: Timeouts,
    ) -> std::io::Result<Run> {
        let journal = Journal::new(number);
        let state = Arc::new(State::default());
        let (theirs, told) = (state.clone(), journal.clone());
        let keeper = thread::Builder::new().name("lab".into()).spawn(move || {
            keep(command, &told, &theirs, timeouts);
        })?;
        Ok(Run { experiment, journal, state, keeper: Mutex::new(Some(keeper)) })
    }

    /// Asks it to end, and says why.
    pub(super) fn stop(&self, why: &'static str) {
        self.state.change(|now| now.asked = now.asked.or(Some(why)));
    }

    /// Waits until it is reaped.
    pub(super) fn join(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.join(); // if it panicked, it has said so
        }
    }
}

/// The keeper's work.
fn keep(mut command: Command, journal: &Journal, state: &Arc<State>, timeouts: Timeouts) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return fail(journal, &format!("it cannot be started: {error}")),
    };
    let reader = child.stdout.take().and_then(|output| {
        let (journal, state) = (journal.clone(), state.clone());
        let listen = move || {
            if !read(output, &journal, &state) {
                state.change(|now| now.asked = now.asked.or(Some("it said too much")));
            }
            state.change(|now| now.silent = true);
        };
        thread::Builder::new().spawn(listen).ok()
    });
    if reader.is_none() {
        let why = "there is no thread to listen to it";
        state.change(|now| now.asked = now.asked.or(Some(why)));
    }
    let why = watch(journal, state, timeouts);
    end(&mut child, state);
    if let Some(reader) = reader {
        let _ = reader.join(); // no process is left that could write
    }
    // Only now, when no process of it is left and the next run may begin.
    match state.lock().last.take() {
        Some((kind, text)) => journal.end(kind, &text),
        None => fail(journal, why),
    }
}

/// Waits until the run is over, or has to be; then says why.
fn watch(journal: &Journal, state: &State, timeouts: Timeouts) -> &'static str {
    let began = Instant::now();
    let mut now = state.lock();
    loop {
        if now.silent {
            return "it ended without a result; the terminal may say why";
        }
        if let Some(why) = now.asked {
            return why;
        }
        let left = timeouts.run.saturating_sub(began.elapsed());
        if left.is_zero() {
            return "it took too long";
        }
        if journal.alone_for().is_some_and(|alone| alone > timeouts.alone) {
            return "nobody watched any more";
        }
        // Followers come and go without a notice: so look now and then.
        now = state.wait(now, left.min(timeouts.alone / 4));
    }
}

/// Ends the child with everything that it has started, and reaps it.
fn end(child: &mut Child, state: &State) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    drop(child.stdin.take());
    if let Ok(group) = group {
        if !state.lock().silent {
            let _ = killpg(group, Signal::SIGTERM); // or it has just ended
        }
        let until = Instant::now() + GRACE;
        let mut now = state.lock();
        while !now.silent && Instant::now() < until {
            now = state.wait(now, until.saturating_duration_since(Instant::now()));
        }
        drop(now);
        // Before it is reaped: until then its number is no other process's.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let _ = child.wait();
}

/// Reads what the child prints, up to its end. Returns false if it prints too much.
fn read(output: ChildStdout, journal: &Journal, state: &State) -> bool {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return true,
            Ok(_) if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE => {
                return false;
            }
            Ok(_) => {}
        }
        // A line that is no event is for a person at a terminal.
        let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
        let kind = event["event"].as_str().unwrap_or_default();
        let text = event.to_string(); // JSON in one line, whatever it was
        let fits = match kind {
            "done" | "failed" => {
                let kind = if kind == "done" { "done" } else { "failed" };
                state.change(|now| now.last = Some((kind, text)));
                true
            }
            "begin" | "step" => journal.write(kind, &text, kind.to_owned()),
            "chart" | "table" => {
                let name = event["name"].as_str().unwrap_or_default();
                journal.write(kind, &text, format!("{kind} {name}"))
            }
            _ => true,
        };
        if !fits {
            return false;
        }
    }
}

fn fail(journal: &Journal, why: &str) {
    journal.end("failed", &json!({ "event": "failed", "why": why }).to_string());
}
