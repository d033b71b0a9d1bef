//! The clients of one server, in a process of their own: it says how far it is, a line of
//! JSON at a time, and before the second question it waits for a line itself.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client_suite::load::{self, HoldOutcome, Plan};
use serde::{Deserialize, Serialize};

use super::super::child::Kept;

/// Longer than any answer takes, on a machine that is busy with nothing else.
const PATIENCE: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"Hello, World!";

/// What such a process says.
#[derive(Serialize, Deserialize)]
enum Word {
    /// So many have been answered, for the first time or for the second.
    Answered(usize),
    /// Nobody else will be answered for the first time.
    Holding,
    /// It is over.
    Over(HoldOutcome),
}

/// The other end of it: clients that are held.
pub(super) struct Clients {
    process: Kept,
    words: BufReader<ChildStdout>,
}

impl Clients {
    /// Has so many connect and be answered.
    pub(super) fn connect(
        to: SocketAddr,
        count: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Clients> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut process = Kept::spawn(
            Command::new(program)
                .args(["measure", "hold", &to.to_string(), &count.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let words = process.0.stdout.take().context("no standard output")?;
        let mut clients = Clients { process, words: BufReader::new(words) };
        loop {
            match clients.hear()? {
                Word::Answered(count) => progress(count),
                Word::Holding => return Ok(clients),
                Word::Over(_) => bail!("clients ended before they were told to"),
            }
        }
    }

    /// Has everybody who is still there ask once more. Their process ends then.
    pub(super) fn ask_again(
        mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<HoldOutcome> {
        let mut gate = self.process.0.stdin.take().context("no standard input")?;
        gate.write_all(b"\n").context("clients have ended")?;
        loop {
            match self.hear()? {
                Word::Answered(count) => progress(count),
                Word::Over(held) => return Ok(held),
                Word::Holding => bail!("clients hold twice"),
            }
        }
    }

    fn hear(&mut self) -> Result<Word> {
        let mut line = String::new();
        // What was wrong stands on standard error, which is ours.
        self.words.read_line(&mut line)?;
        serde_json::from_str(&line).context("clients have ended")
    }
}

/// What such a process does.
pub(super) fn run(to: SocketAddr, count: usize) -> Result<impl Serialize> {
    let plan = Plan {
        idle: count,
        timeout: PATIENCE,
        content: Some(CONTENT.to_vec()),
        ..Plan::new(to, "/plaintext")
    };
    let held = load::hold(
        &plan,
        &mut |count| {
            let _ = say(&Word::Answered(count)); // nobody has to listen to that
        },
        |_| {
            say(&Word::Holding)?;
            match io::stdin().read_line(&mut String::new())? {
                0 => Err(io::Error::other("whoever started these clients is gone")),
                _ => Ok(()),
            }
        },
    )?;
    Ok(Word::Over(held))
}

fn say(word: &Word) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(word)?)?;
    out.flush()
}
