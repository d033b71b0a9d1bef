//! A command that runs, with everything that it shows: standard output and
//! standard error through one pipe, in the order in which they were written.

use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longer than any step of a scenario may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What does not end its line within this time does not mean to.
const LINE_END: Duration = Duration::from_millis(200);

/// A running command and its screen.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    stdin: Option<ChildStdin>,
    screen: Arc<Screen>,
    /// How much of the screen `fresh` has handed out.
    taken: usize,
    /// How much of the screen `see` has passed.
    seen: usize,
}

#[derive(Debug, Default)]
struct Screen {
    shown: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Shown {
    text: String,
    ended: bool,
}

impl Terminal {
    /// Starts the command in a process group of its own, so that a shell's
    /// children end with it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = format!("{}", command.get_program().display());
        let (reader, writer) = io::pipe().context("no pipe")?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().context("no pipe")?)
            .stderr(writer)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        // `command` still holds the pipe's writing ends: without them the end of the output is seen.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let screen = Arc::new(Screen::default());
        let filling = Arc::clone(&screen);
        thread::spawn(move || fill(reader, &filling));
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, screen, taken: 0, seen: 0 })
    }

    /// Types at the command.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        let stdin =
            self.stdin.as_mut().context("the command's input was closed before")?;
        stdin.write_all(text.as_bytes()).context("the command no longer reads")?;
        stdin.flush().context("the command no longer reads")
    }

    /// Waits until `text` is on the screen behind what was seen before, and
    /// returns the rest of its line.
    pub(crate) fn see(&mut self, text: &str) -> Result<String> {
        let mut deadline = Instant::now() + PATIENCE;
        let mut found = false;
        let mut shown = self.lock();
        loop {
            let new = &shown.text[self.seen..];
            let late = shown.ended || Instant::now() >= deadline;
            match new.find(text).map(|at| at + text.len()) {
                Some(behind) => {
                    let line = new[behind..].split('\n').next().unwrap_or_default();
                    // The whole line, so that what follows starts on a fresh one.
                    if late || new[behind..].contains('\n') {
                        let (line, seen) =
                            (line.to_owned(), self.seen + behind + line.len());
                        drop(shown);
                        self.seen = seen;
                        return Ok(line);
                    }
                    if !found {
                        (found, deadline) = (true, Instant::now() + LINE_END);
                    }
                }
                None if late => bail!("never saw {text:?}, but\n{new}"),
                None => {}
            }
            shown =
                self.changed(shown, deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// What appeared since the last call.
    pub(crate) fn fresh(&mut self) -> String {
        let shown = self.lock();
        let text = shown.text[self.taken..].to_owned();
        let end = shown.text.len();
        drop(shown);
        self.taken = end;
        text
    }

    /// Waits until nothing new has appeared for a while: for the last lines
    /// of a trace, which no later event follows.
    pub(crate) fn settle(&self, quiet: Duration) {
        let mut length = self.lock().text.len();
        loop {
            thread::sleep(quiet);
            let now = self.lock().text.len();
            if now == length {
                return;
            }
            length = now;
        }
    }

    /// Closes the command's input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The command's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command and its children.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It may be gone already; that is what was asked for.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }

    /// Waits for the command's end and for the last of its output.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        let mut shown = self.lock();
        while !shown.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("did not end; it shows\n{}", shown.text);
            }
            shown = self.changed(shown, left);
        }
        drop(shown);
        self.child.wait().context("cannot wait for the command")
    }

    fn changed<'s>(
        &'s self,
        shown: MutexGuard<'s, Shown>,
        within: Duration,
    ) -> MutexGuard<'s, Shown> {
        self.screen
            .changed
            .wait_timeout(shown, within)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.screen.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn fill(mut reader: PipeReader, screen: &Screen) {
    let mut buffer = [0; 4096];
    // A character may be cut in two between reads: keep the part for the next one.
    let mut rest = Vec::new();
    loop {
        let count = reader.read(&mut buffer).unwrap_or(0);
        rest.extend_from_slice(&buffer[..count]);
        let whole = match std::str::from_utf8(&rest) {
            Err(error) if error.error_len().is_none() && count > 0 => error.valid_up_to(),
            _ => rest.len(),
        };
        let text: Vec<u8> = rest.drain(..whole).collect();
        let mut shown = screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.text.push_str(&String::from_utf8_lossy(&text).replace('\r', ""));
        shown.ended = count == 0;
        screen.changed.notify_all();
        if count == 0 {
            return;
        }
    }
}
