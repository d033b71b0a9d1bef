//! Idle clients in a separate process, which reports its progress in lines of JSON. When all its
//! clients have been answered once, the process waits for one line on its standard input. After
//! that line, every client sends a second request.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use load_generator::HoldOutcome;
use samples::Hold;

use super::run::Run;
use super::sample::command;
use crate::child::ChildGuard;

/// A process of idle clients, from the point of view of the process that started it.
pub(crate) struct Clients {
    process: ChildGuard,
    messages: BufReader<ChildStdout>,
}

impl Clients {
    /// Starts a process of `count` clients, and returns when each client has been answered once or
    /// has failed. The function `progress` is called with the number of clients answered so far.
    pub(crate) fn connect(
        run: &Run<'_>,
        to: SocketAddr,
        count: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Clients> {
        let mut command = command(run, &to.to_string(), count)?;
        let mut process =
            ChildGuard::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let messages = process.0.stdout.take().context("no standard output")?;
        let mut clients = Clients { process, messages: BufReader::new(messages) };
        loop {
            match clients.next()? {
                Hold::Answered(count) => progress(count),
                Hold::Holding => return Ok(clients),
                Hold::Over(_) => bail!("the clients' process ended too early"),
            }
        }
    }

    /// Makes every client that is still connected send a second request, and returns the outcome of
    /// the clients' first and second requests. The clients' process then ends.
    pub(crate) fn ask_again(
        mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<HoldOutcome> {
        let mut gate = self.process.0.stdin.take().context("no standard input")?;
        gate.write_all(b"\n").context("the clients' process has ended")?;
        loop {
            match self.next()? {
                Hold::Answered(count) => progress(count),
                Hold::Over(held) => return Ok(held),
                Hold::Holding => bail!("the clients' first round ended twice"),
            }
        }
    }

    fn next(&mut self) -> Result<Hold> {
        let mut line = String::new();
        // If the clients' process fails, its error message is not part of these messages: the
        // process prints it to standard error, which it has inherited from this process.
        self.messages.read_line(&mut line)?;
        serde_json::from_str(&line).context("the clients' process has ended")
    }
}
