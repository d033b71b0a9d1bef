//! A run: a child process that measures, and the two threads that supervise it.
//!
//! ```text
//! keeper (a thread)          reader (a thread)
//!   starts the child ───────► appends each line of its output to the journal
//!   waits until the child ends, is stopped, is followed by no page, or reaches its time limit
//!   closes the child's input, sends SIGTERM to its group, and after a while SIGKILL
//!   reaps the child  ◄─────── the output has ended
//! ```
//!
//! The child has its own process group, so that it is ended together with all its descendants,
//! and so that a Ctrl-C reaches only the server, which then ends the child. If the server is
//! killed, the child's standard input is closed, and the child ends itself.

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

/// The longest line of a child's output, in bytes. A child that prints a longer line is ended.
const MAX_LINE: u64 = 4 * 1024 * 1024;
/// The time that a child may take to exit after SIGTERM, before SIGKILL is sent.
const GRACE: Duration = Duration::from_secs(3);

/// Time limits of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// The longest time that the run may take.
    pub(super) run: Duration,
    /// The longest time for which the run may go on while no browser follows it.
    pub(super) alone: Duration,
}

/// A run, in progress or ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) experiment: &'static str,
    pub(super) journal: Journal,
    state: Arc<State>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// The progress of a run, shared by the run's threads and the code that stops the run.
#[derive(Debug, Default)]
struct State {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// The reason to end the run; `None` as long as the run may go on.
    stop_reason: Option<&'static str>,
    /// The child's last event, `done` or `failed`: the event's type and the event as JSON. `None`
    /// as long as the child has not reported it.
    outcome: Option<(&'static str, String)>,
    /// Whether the child's output has ended because every process that could write it is gone.
    output_ended: bool,
}

impl State {
    /// Changes the progress and wakes the threads that wait for a change.
    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Makes the run end, with the reason `why` unless an earlier call has given another reason.
    fn stop(&self, why: &'static str) {
        self.change(|now| now.stop_reason = now.stop_reason.or(Some(why)));
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the progress changes, but for no longer than `time`.
    fn wait<'a>(
        &self,
        now: MutexGuard<'a, Progress>,
        time: Duration,
    ) -> MutexGuard<'a, Progress> {
        let waited = self.changed.wait_timeout(now, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Run {
    /// Starts the thread that runs and supervises the command. If the command itself cannot be
    /// started, the journal ends with the event `failed`.
    pub(super) fn start(
        experiment: &'static str,
        command: Command,
        number: u64,
        timeouts: Timeouts,
    ) -> std::io::Result<Run> {
        let journal = Journal::new(number);
        let state = Arc::new(State::default());
        let (shared, entries) = (state.clone(), journal.clone());
        let keeper = thread::Builder::new().name("lab".into()).spawn(move || {
            keep(command, &entries, &shared, timeouts);
        })?;
        Ok(Run { experiment, journal, state, keeper: Mutex::new(Some(keeper)) })
    }

    /// Makes the run end soon. The page shows `why` as the reason.
    pub(super) fn stop(&self, why: &'static str) {
        self.state.stop(why);
    }

    /// Waits until the child has been reaped and the journal has ended.
    pub(super) fn join(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.join(); // the thread's panic has printed its message
        }
    }
}

/// Runs the command from its start to its end; the thread that supervises the run calls this
/// function.
fn keep(mut command: Command, journal: &Journal, state: &Arc<State>, timeouts: Timeouts) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return fail(journal, &format!("cannot start it: {error}")),
    };
    let reader = child.stdout.take().and_then(|output| {
        let (journal, state) = (journal.clone(), state.clone());
        let listen = move || {
            if !read(output, &journal, &state) {
                state.stop("it printed too much");
            }
            state.change(|now| now.output_ended = true);
        };
        thread::Builder::new().spawn(listen).ok()
    });
    if reader.is_none() {
        state.stop("no thread could be started to read its output");
    }
    let why = watch(journal, state, timeouts);
    end(&mut child, state);
    if let Some(reader) = reader {
        let _ = reader.join(); // ends, because every writer has exited
    }
    // The journal's last entry allows the next run to begin, so before it is written, every process
    // of this run must be gone.
    match state.lock().outcome.take() {
        Some((kind, text)) => journal.end(kind, &text),
        None => fail(journal, why),
    }
}

/// Waits until the child's output has ended, or until there is a reason to end the run.
/// Returns the message to show if the child has reported no outcome.
fn watch(journal: &Journal, state: &State, timeouts: Timeouts) -> &'static str {
    let began = Instant::now();
    let mut now = state.lock();
    loop {
        if now.output_ended {
            return "it ended without a result; the terminal may say why";
        }
        if let Some(why) = now.stop_reason {
            return why;
        }
        let left = timeouts.run.saturating_sub(began.elapsed());
        if left.is_zero() {
            return "it took too long";
        }
        if journal.alone_for().is_some_and(|alone| alone > timeouts.alone) {
            return "no page was following it";
        }
        // This loop is not notified when the last browser stops following the run, so it checks
        // from time to time.
        now = state.wait(now, left.min(timeouts.alone / 4));
    }
}

/// Ends the child and all its descendants, and reaps the child.
fn end(child: &mut Child, state: &State) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    drop(child.stdin.take());
    if let Ok(group) = group {
        if !state.lock().output_ended {
            let _ = killpg(group, Signal::SIGTERM); // ignored on failure: SIGKILL follows anyway
        }
        let until = Instant::now() + GRACE;
        let mut now = state.lock();
        while !now.output_ended && Instant::now() < until {
            now = state.wait(now, until.saturating_duration_since(Instant::now()));
        }
        drop(now);
        // SIGKILL is sent before the child is reaped: until then, no other process can get the
        // child's ID.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let _ = child.wait();
}

/// Writes the child's events into the journal until the child's output ends. Returns false if a
/// line is too long or the journal is full.
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
        // A line that is not JSON is meant for a terminal, and is skipped.
        let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
        let kind = event["event"].as_str().unwrap_or_default();
        // Serialized again, the event has no white space between its tokens: a carriage return,
        // which JSON allows there, would end a line of the event stream.
        let text = event.to_string();
        let fits = match kind {
            "done" | "failed" => {
                let kind = if kind == "done" { "done" } else { "failed" };
                state.change(|now| now.outcome = Some((kind, text)));
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

/// Ends the journal with an event that says why the run has failed.
fn fail(journal: &Journal, why: &str) {
    journal.end("failed", &json!({ "event": "failed", "why": why }).to_string());
}
