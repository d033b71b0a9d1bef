//! A command that runs, with everything that it shows: standard output and standard error
//! through one pipe, in the order in which they were written.

use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longer than any step of a scenario takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A line that is not ended within this time has no end.
const LINE_END: Duration = Duration::from_millis(200);

/// A running command and its screen.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Pieces of its output; disconnected when the output has ended.
    output: Receiver<String>,
    shown: String,
    /// How much of the screen `fresh` has returned.
    taken: usize,
    /// How much of the screen `see` has passed.
    seen: usize,
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
        // `command` still holds the pipe's writing ends: the output would have no end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (show, output) = channel();
        thread::spawn(move || fill(reader, &show));
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, output, shown: String::new(), taken: 0, seen: 0 })
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
        let mut deadline = Instant::now() + TIMEOUT;
        let (mut found, mut late) = (None, false);
        loop {
            let new = &self.shown[self.seen..];
            if found.is_none() && new.contains(text) {
                found = new.find(text).map(|at| at + text.len());
                deadline = Instant::now() + LINE_END;
            }
            match found {
                // The whole line, so that what follows starts on a fresh one.
                Some(behind) if late || new[behind..].contains('\n') => {
                    let line = new[behind..].split('\n').next().unwrap_or_default();
                    let line = line.to_owned();
                    self.seen += behind + line.len();
                    return Ok(line);
                }
                None if late => bail!("never saw {text:?}, but\n{new}"),
                _ => late = !self.receive(deadline),
            }
        }
    }

    /// Returns what appeared since the last call.
    pub(crate) fn fresh(&mut self) -> String {
        while self.receive(Instant::now()) {}
        let text = self.shown[self.taken..].to_owned();
        self.taken = self.shown.len();
        text
    }

    /// Waits until nothing new has appeared for a while: for the last lines
    /// of a trace, which no later event follows.
    pub(crate) fn settle(&mut self, quiet: Duration) {
        while self.receive(Instant::now() + quiet) {}
    }

    /// Closes the command's input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Returns the command's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command and its children.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(id), signal); // fails if it has ended already
        }
    }

    /// Waits for the command's end and for the last of its output.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + TIMEOUT;
        while self.receive(deadline) {}
        ensure!(Instant::now() < deadline, "did not end; it shows\n{}", self.shown);
        self.child.wait().context("cannot wait for the command")
    }

    /// Waits for more on the screen. Returns false at the deadline, or at the output's end.
    fn receive(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let more = self.output.recv_timeout(left);
        more.map(|text| self.shown += &text).is_ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Sends what is read, up to its end.
fn fill(mut reader: PipeReader, show: &Sender<String>) {
    let mut buffer = [0; 4096];
    // A character may be cut in two between reads: its first part waits for the next.
    let mut rest = Vec::new();
    loop {
        let count = reader.read(&mut buffer).unwrap_or(0);
        rest.extend_from_slice(&buffer[..count]);
        let whole = match std::str::from_utf8(&rest) {
            Err(error) if error.error_len().is_none() && count > 0 => error.valid_up_to(),
            _ => rest.len(),
        };
        let text: Vec<u8> = rest.drain(..whole).collect();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        if show.send(text).is_err() || count == 0 {
            return;
        }
    }
}
