//! A server that runs as a process of its own, and clients that it has served once.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Lab;
use super::child::Kept;
use super::machine::after;
use crate::servers;

/// So many connect before the first of them is answered: fewer than a backlog holds.
const AT_ONCE: usize = 100;
/// Longer than any answer takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A request that keeps its connection.
pub(super) const KEPT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: lab\r\n\r\n";
/// One that ends it.
pub(super) const LAST: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"Hello, World!";

/// A server that runs, and ends with this.
pub(super) struct Server {
    child: Kept,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// What a process has had of the processors.
pub(super) struct Account {
    /// It ran.
    pub(super) used: Duration,
    /// It could have run, but others did.
    pub(super) waited: Duration,
}

impl Server {
    /// Starts a server of the book, with these options.
    pub(super) fn start(lab: &Lab<'_>, name: &str, options: &[&str]) -> Result<Server> {
        Server::command(Command::new(servers::find(lab.house, name)?).args(options), name)
    }

    /// The same where the system lets it have so many descriptors.
    pub(super) fn start_within(
        lab: &Lab<'_>,
        name: &str,
        options: &[&str],
        descriptors: usize,
    ) -> Result<Server> {
        let limit = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        let program = servers::find(lab.house, name)?;
        let mut shell = Command::new("/bin/sh");
        Server::command(shell.args(["-c", &limit]).arg(program).args(options), name)
    }

    /// Starts a program that takes `--listen` and says where it listens.
    pub(super) fn command(command: &mut Command, name: &str) -> Result<Server> {
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child =
            Kept::spawn(command).with_context(|| format!("cannot start {name}"))?;
        let stdout = child.0.stdout.take().context("no standard output")?;
        let mut server = Server { child, address: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        server.address =
            address.with_context(|| format!("{name} said {line:?}"))?.parse()?;
        Ok(server)
    }

    /// The number of its process.
    #[cfg(target_os = "linux")]
    pub(super) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Tells it to end, and waits until it has.
    pub(super) fn stop(self) -> Result<()> {
        kill(Pid::from_raw(self.child.0.id().try_into()?), Signal::SIGTERM)?;
        self.ended()
    }

    /// Waits until it has ended, as somebody has told it to.
    pub(super) fn ended(mut self) -> Result<()> {
        self.child.0.wait()?;
        Ok(())
    }

    /// What it has had of the processors so far, all its threads.
    pub(super) fn account(&self) -> Result<Account> {
        let mut account = Account { used: Duration::ZERO, waited: Duration::ZERO };
        let threads = format!("/proc/{}/task", self.child.0.id());
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
}

impl Server {
    /// Its own memory, in KiB: what no file and no other process backs.
    pub(super) fn memory(&self) -> Result<u64> {
        self.status("RssAnon")
    }

    /// All of it that is in memory, in KiB: its program and its libraries, too.
    pub(super) fn resident(&self) -> Result<u64> {
        self.status("VmRSS")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.0.id());
        let value = after(&path, name).with_context(|| format!("no {name} in /proc"))?;
        Ok(value.split_whitespace().next().unwrap_or_default().parse()?)
    }

    /// How many descriptors it has open.
    pub(super) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.0.id()))?.count())
    }
}

/// Opens so many connections; each is served once and kept.
pub(super) fn hold(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut held: Vec<TcpStream> = Vec::with_capacity(count);
    while held.len() < count {
        let old = held.len();
        for _ in old..count.min(old + AT_ONCE) {
            held.push(ask(address, KEPT)?);
        }
        for client in &mut held[old..] {
            answered(client)?;
        }
    }
    Ok(held)
}

/// Connects and asks.
pub(super) fn ask(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address).context("cannot connect")?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(request)?;
    Ok(client)
}

/// Waits for one answer of `/plaintext`, and returns it.
pub(super) fn answered(client: &mut TcpStream) -> Result<Vec<u8>> {
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(ANSWER) {
        let n = client.read(&mut piece).context("no answer came")?;
        ensure!(n > 0, "the server hung up");
        answer.extend_from_slice(&piece[..n]);
    }
    Ok(answer)
}
