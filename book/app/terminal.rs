//! A running command with its output: standard output and standard error through one pipe,
//! in the order in which they were written.

use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The longest wait for a text, or for a command's end. Any step of a scenario takes less, even on
/// a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait for the end of the line in which a text was found. After that time, the line
/// counts as complete.
const LINE_END: Duration = Duration::from_millis(200);

/// The time after which the last lines of a trace, which were expected, count as missing.
const MOST_LATE: Duration = Duration::from_secs(5);

/// The time without output after which a trace counts as complete.
const QUIET: Duration = Duration::from_millis(250);

/// A running command, its input, and the output that the command has shown so far.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    stdin: Option<ChildStdin>,
    /// The receiver of the pieces of the command's output, disconnected when the output has ended.
    output: Receiver<String>,
    /// All output received so far.
    shown: String,
    /// Number of bytes of `shown` that the method `fresh` has returned.
    taken: usize,
    /// Number of bytes of `shown` in which the method `see` no longer searches: those up to the end
    /// of the line that it returned last.
    seen: usize,
}

impl Terminal {
    /// Starts the command in its own process group, so that signals reach a shell's children
    /// too.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = format!("{}", command.get_program().display());
        let (reader, writer) = io::pipe().context("cannot create a pipe")?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().context("cannot create a pipe")?)
            .stderr(writer)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        // `command` still holds the write ends of the pipe, and the output would not end as long as
        // they are open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (show, output) = channel();
        thread::spawn(move || fill(reader, &show));
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, output, shown: String::new(), taken: 0, seen: 0 })
    }

    /// Writes `text` to the command's standard input.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        let stdin =
            self.stdin.as_mut().context("the command's input is closed already")?;
        stdin.write_all(text.as_bytes()).context("the command no longer reads")?;
        stdin.flush().context("the command no longer reads")
    }

    /// Waits until `text` appears in the output after the line in which the previous call to `see`
    /// found its text, and returns the rest of the line in which `text` appears.
    ///
    /// # Errors
    ///
    /// The output ended, or 30 seconds passed, and `text` has not appeared.
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
                // The text counts as found when the rest of its line has arrived, so that any later
                // output begins a new line.
                Some(behind) if late || new[behind..].contains('\n') => {
                    let line = new[behind..].split('\n').next().unwrap_or_default();
                    let line = line.to_owned();
                    self.seen += behind + line.len();
                    return Ok(line);
                }
                None if late => bail!("{text:?} did not appear in the output:\n{new}"),
                _ => late = !self.receive(deadline),
            }
        }
    }

    /// Returns the output that has appeared since the last call to `fresh`.
    pub(crate) fn fresh(&mut self) -> String {
        while self.receive(Instant::now()) {}
        let text = self.shown[self.taken..].to_owned();
        self.taken = self.shown.len();
        text
    }

    /// Waits until the output has at least `lines` lines, for 5 seconds at most, and then until no
    /// output has appeared for a quarter of a second. Only the last lines of a trace need this
    /// method: no later event shows that these lines are complete.
    pub(crate) fn settle(&mut self, lines: usize) {
        let deadline = Instant::now() + MOST_LATE;
        while self.shown.lines().count() < lines && self.receive(deadline) {}
        while self.receive(Instant::now() + QUIET) {}
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Returns the command's process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command and its children.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(id), signal); // fails if the command has ended
        }
    }

    /// Waits until the command has ended and all its output has been received.
    ///
    /// # Errors
    ///
    /// The command is still running after 30 seconds.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + TIMEOUT;
        while self.receive(deadline) {}
        ensure!(Instant::now() < deadline, "did not end; it shows\n{}", self.shown);
        self.child.wait().context("cannot wait for the command")
    }

    /// Waits for more output and appends it to `shown`. Returns false if the deadline passes or the
    /// output ends.
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

/// Reads the command's output to the end of the pipe and sends each piece of text to `show`.
fn fill(mut reader: PipeReader, show: &Sender<String>) {
    let mut buffer = [0; 4096];
    // A read may end inside a character, whose first bytes are kept here for the next read.
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
