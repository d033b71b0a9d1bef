//! Clients that are held, in a process of their own: it reports how far it is, a line of JSON
//! at a time, and waits for a line before it asks again.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use load_generator::{self as load, HoldOutcome, Plan};
use serde::{Deserialize, Serialize};

use crate::child::ChildGuard;

/// Longer than any answer takes, on a machine that is busy with nothing else.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"Hello, World!";

/// What such a process reports.
#[derive(Serialize, Deserialize)]
enum Message {
    /// This many have been answered, for the first time or for the second.
    Answered(usize),
    /// No other client will be answered for the first time.
    Holding,
    /// All is done.
    Over(HoldOutcome),
}

/// The other end of it: clients that are held.
pub(crate) struct Clients {
    process: ChildGuard,
    messages: BufReader<ChildStdout>,
}

impl Clients {
    /// Connects `count` clients, each of which asks once and is answered.
    pub(crate) fn connect(
        to: SocketAddr,
        count: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Clients> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut process = ChildGuard::spawn(
            Command::new(program)
                .args(["measure", "hold", &to.to_string(), &count.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let messages = process.0.stdout.take().context("no standard output")?;
        let mut clients = Clients { process, messages: BufReader::new(messages) };
        loop {
            match clients.next()? {
                Message::Answered(count) => progress(count),
                Message::Holding => return Ok(clients),
                Message::Over(_) => bail!("clients ended before they were told to"),
            }
        }
    }

    /// Has every client that is still connected ask once more. Their process ends then.
    pub(crate) fn ask_again(
        mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<HoldOutcome> {
        let mut gate = self.process.0.stdin.take().context("no standard input")?;
        gate.write_all(b"\n").context("clients have ended")?;
        loop {
            match self.next()? {
                Message::Answered(count) => progress(count),
                Message::Over(held) => return Ok(held),
                Message::Holding => bail!("clients hold twice"),
            }
        }
    }

    fn next(&mut self) -> Result<Message> {
        let mut line = String::new();
        // Its complaints go to standard error, which is ours.
        self.messages.read_line(&mut line)?;
        serde_json::from_str(&line).context("clients have ended")
    }
}

/// What such a process does.
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
