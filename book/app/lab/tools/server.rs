//! A server that runs as a process of its own, and the operating system's account of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clients::hold;
use super::run::Run;
use crate::child::ChildGuard;
use crate::servers;
use samples::proc::of_process;

/// Longer than a server takes to release what its clients held.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that runs, and is killed when this is dropped.
pub(crate) struct Server {
    child: ChildGuard,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A process's share of the processors.
pub(crate) struct Account {
    /// It ran.
    pub used: Duration,
    /// It could have run, but others did.
    pub waited: Duration,
}

impl Server {
    /// Starts a server of the book, with these options as one would type them.
    pub(crate) fn start(run: &Run<'_>, name: &str, options: &str) -> Result<Server> {
        let mut command = Command::new(servers::find(run.paths, name)?);
        Server::command(command.args(options.split_whitespace()), name)
    }

    /// The same with a limit of descriptors.
    pub(crate) fn start_within(
        run: &Run<'_>,
        name: &str,
        options: &str,
        descriptors: usize,
    ) -> Result<Server> {
        let limit = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        let program = servers::find(run.paths, name)?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &limit]).arg(program).args(options.split_whitespace());
        Server::command(&mut shell, name)
    }

    /// Starts a program that takes `--listen` and prints where it listens.
    pub(crate) fn command(command: &mut Command, name: &str) -> Result<Server> {
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child =
            ChildGuard::spawn(command).with_context(|| format!("cannot start {name}"))?;
        let stdout = child.0.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address =
            address.with_context(|| format!("{name} said {line:?}"))?.parse()?;
        Ok(Server { child, address })
    }

    /// Returns the number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> Result<()> {
        kill(Pid::from_raw(self.id().try_into()?), Signal::SIGTERM)?;
        self.ended()
    }

    /// Waits until it has stopped, as it was asked to.
    pub(crate) fn ended(mut self) -> Result<()> {
        self.child.0.wait()?;
        Ok(())
    }

    /// Returns its share of the processors so far, of all its threads.
    pub(crate) fn account(&self) -> Result<Account> {
        let mut account = Account { used: Duration::ZERO, waited: Duration::ZERO };
        let threads = format!("/proc/{}/task", self.id());
        for thread in fs::read_dir(&threads).context("this lab needs Linux's /proc")? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let mut numbers = text.split_whitespace().map(str::parse);
            let mut next = || -> Result<Duration> {
                let number = numbers.next().context("schedstat is too short")?;
                Ok(Duration::from_nanos(number?))
            };
            account.used += next()?;
            account.waited += next()?;
        }
        Ok(account)
    }

    /// Returns its own memory, in KiB: what no file and no other process backs.
    pub(crate) fn memory(&self) -> Result<u64> {
        of_process(self.id(), "status", "RssAnon")
    }

    /// Returns how many descriptors it has open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.id()))?.count())
    }

    /// Waits until it has at most this many descriptors open, or for a minute.
    pub(crate) fn settle(&self, descriptors: usize) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        while self.descriptors()? > descriptors && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The memory of idle connections.
pub(crate) struct IdleMemory {
    /// Without clients, in bytes.
    pub alone: f64,
    /// For each client, in bytes.
    pub each: f64,
    /// How much more a second round of clients held than the first, in percent of what was
    /// resident.
    pub second: f64,
}

impl IdleMemory {
    /// Measures a server that has just been started.
    ///
    /// # Errors
    ///
    /// A client is not served, or its descriptor is not released.
    pub(crate) fn of(server: &Server, clients: usize) -> Result<IdleMemory> {
        // What the first client causes, and stays, belongs to no client.
        let first = hold(server.address, 1)?;
        // A process that has just been killed has none.
        let before = server.descriptors()?.saturating_sub(first.len());
        let released = || -> Result<()> {
            server.settle(before)?;
            ensure!(server.descriptors()? <= before, "descriptors are not released");
            Ok(())
        };
        drop(first);
        released()?;
        let alone = server.memory()?;
        let mut rounds = Vec::new();
        for _ in 0..2 {
            let held = hold(server.address, clients)?;
            rounds.push((server.memory()?, of_process(server.id(), "status", "VmRSS")?));
            hold(server.address, 1).context("a fresh client beside them")?;
            drop(held);
            released()?;
        }
        let kib = |memory: u64| memory as f64 * 1024.0;
        let ((first, resident), (_, again)) = (rounds[0], rounds[1]);
        Ok(IdleMemory {
            alone: kib(alone),
            each: (kib(first) - kib(alone)) / clients as f64,
            second: (again as f64 / resident as f64 - 1.0) * 100.0,
        })
    }
}
