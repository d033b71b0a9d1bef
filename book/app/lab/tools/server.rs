//! A server in a separate process, and the operating system's figures about that process.

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

/// The longest wait until a server has closed the descriptors of clients that have left.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running server. Dropping the value kills the server.
pub(crate) struct Server {
    child: ChildGuard,
    /// The address at which the server listens.
    pub address: SocketAddr,
}

/// A process's use of the processors.
pub(crate) struct Account {
    /// The time during which the process was running.
    pub used: Duration,
    /// The time during which the process could have run, but waited for a processor.
    pub waited: Duration,
}

impl Server {
    /// Starts the server of the book called `name`. `options` are separated by spaces.
    pub(crate) fn start(run: &Run<'_>, name: &str, options: &str) -> Result<Server> {
        let mut command = Command::new(servers::find(run.paths, name)?);
        Server::command(command.args(options.split_whitespace()), name)
    }

    /// Starts a server like [`start`](Server::start), with a limit on the server's open
    /// descriptors.
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

    /// Starts a server by a command, to which `--listen` is added, and reads the server's address
    /// from the line `listening on …` that the server prints.
    pub(crate) fn command(command: &mut Command, name: &str) -> Result<Server> {
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child =
            ChildGuard::spawn(command).with_context(|| format!("cannot start {name}"))?;
        let stdout = child.0.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address =
            address.with_context(|| format!("{name} printed {line:?}"))?.parse()?;
        Ok(Server { child, address })
    }

    /// Returns the ID of the server's process.
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends SIGTERM to the server, and waits until the server's process has ended.
    pub(crate) fn stop(self) -> Result<()> {
        kill(Pid::from_raw(self.id().try_into()?), Signal::SIGTERM)?;
        self.ended()
    }

    /// Waits until the server's process has ended. The caller must first request the end, for
    /// example with SIGTERM.
    pub(crate) fn ended(mut self) -> Result<()> {
        self.child.0.wait()?;
        Ok(())
    }

    /// Returns the use of the processors by all threads of the server so far.
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

    /// Returns the server's anonymous resident memory (`RssAnon`), in KiB: the server's own memory,
    /// without the pages of files such as its program.
    pub(crate) fn memory(&self) -> Result<u64> {
        of_process(self.id(), "status", "RssAnon")
    }

    /// Returns the number of descriptors that the server has open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.id()))?.count())
    }

    /// Waits until the server has at most `descriptors` descriptors open, but no longer than one
    /// minute.
    pub(crate) fn settle(&self, descriptors: usize) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        while self.descriptors()? > descriptors && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The memory of a server with idle connections.
pub(crate) struct IdleMemory {
    /// The server's memory without clients, in bytes.
    pub alone: f64,
    /// The additional memory for each client, in bytes.
    pub each: f64,
    /// The growth of the resident memory from a first round of clients to a second, in percent.
    pub second: f64,
}

impl IdleMemory {
    /// Measures the memory of a server that has just been started, in two rounds of `clients`
    /// idle clients.
    ///
    /// # Errors
    ///
    /// A client is not served, or its descriptor is not released.
    pub(crate) fn of(server: &Server, clients: usize) -> Result<IdleMemory> {
        // Serve one client, so that memory which the server allocates for its first client and
        // keeps is not counted as memory of the clients.
        let first = hold(server.address, 1)?;
        // The subtraction saturates at 0, because a server that has just been killed has no open
        // descriptors, and the difference would be negative.
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
            hold(server.address, 1).context("a fresh client beside the idle ones")?;
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
