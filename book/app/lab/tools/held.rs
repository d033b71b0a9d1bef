//! Idle clients in a separate process. The process reports its progress in lines of JSON, and
//! waits for a line on its standard input before every client asks once more.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use load_generator::{self as load, HoldOutcome, Plan};
use serde::{Deserialize, Serialize};

use super::sample::command;
use crate::child::ChildGuard;

/// How long a client waits for an answer: longer than any takes on an otherwise idle machine.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The body of every answer.
const CONTENT: &[u8] = b"Hello, World!";

/// A message from the clients' process.
#[derive(Serialize, Deserialize)]
enum Message {
    /// The number of clients that have been answered so far, in the first round or the second.
    Answered(usize),
    /// The first round has ended, and the clients are idle.
    Holding,
    /// The outcome of both rounds. This is the last message, and the process ends.
    Over(HoldOutcome),
}

/// A process of idle clients, as the process that started it sees it.
pub(crate) struct Clients {
    process: ChildGuard,
    messages: BufReader<ChildStdout>,
}

impl Clients {
    /// Starts a process of `count` clients, and returns when each has been answered once or has
    /// failed. `progress` is called with the number of clients answered so far.
    pub(crate) fn connect(
        to: SocketAddr,
        count: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Clients> {
        let mut command = command("hold", &to.to_string(), count)?;
        let mut process =
            ChildGuard::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let messages = process.0.stdout.take().context("no standard output")?;
        let mut clients = Clients { process, messages: BufReader::new(messages) };
        loop {
            match clients.next()? {
                Message::Answered(count) => progress(count),
                Message::Holding => return Ok(clients),
                Message::Over(_) => bail!("the clients' process ended too early"),
            }
        }
    }

    /// Makes every client that is still connected ask once more, and returns the outcome of
    /// both rounds. The clients' process then ends.
    pub(crate) fn ask_again(
        mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<HoldOutcome> {
        let mut gate = self.process.0.stdin.take().context("no standard input")?;
        gate.write_all(b"\n").context("the clients' process has ended")?;
        loop {
            match self.next()? {
                Message::Answered(count) => progress(count),
                Message::Over(held) => return Ok(held),
                Message::Holding => bail!("the clients' first round ended twice"),
            }
        }
    }

    fn next(&mut self) -> Result<Message> {
        let mut line = String::new();
        // The process prints error messages to standard error, which it has inherited.
        self.messages.read_line(&mut line)?;
        serde_json::from_str(&line).context("the clients' process has ended")
    }
}

/// Runs `count` clients in this process, and prints all messages but the last, which it returns.
pub(crate) fn run(to: SocketAddr, count: usize) -> Result<impl Serialize> {
    let plan = Plan {
        idle: count,
        timeout: TIMEOUT,
        content: Some(CONTENT.to_vec()),
        ..Plan::new(to, "/plaintext")
    };
    let held = load::hold(
        &plan,
        &mut |count| {
            let _ = say(&Message::Answered(count)); // progress may be lost
        },
        |_| {
            say(&Message::Holding)?;
            match io::stdin().read_line(&mut String::new())? {
                0 => Err(io::Error::other(
                    "the process that started these clients is gone",
                )),
                _ => Ok(()),
            }
        },
    )?;
    Ok(Message::Over(held))
}

fn say(message: &Message) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(message)?)?;
    out.flush()
}
