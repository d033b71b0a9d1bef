//! Misbehaving clients as commands, for any server. Each command prints the client's actions and
//! observations, line by line.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::client::{Client, Peek};
use crate::ctx::{get, request};
use crate::transcript::Transcript;
use crate::verdict::{Abort, CaseResult};

/// What a misbehaving client does to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Misbehavior {
    /// Sends the head of a request one byte at a time.
    Drip,
    /// Sends half a head, then nothing more.
    Stall,
    /// Sends requests and never reads a response.
    NeverRead,
    /// Sends a request, shuts down its sending side, and reads.
    HalfClose,
    /// Sends a request and resets the connection.
    Reset,
    /// Sends the same request many times without waiting for responses.
    Flood,
    /// Opens connections and sends nothing.
    ConnectSilent,
}

/// Splits a URL into the address to connect to and the path to request.
pub(crate) fn parse(url: &str) -> anyhow::Result<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let host = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let address =
        host.to_socket_addrs().with_context(|| format!("cannot resolve {host}"))?.next();
    Ok((address.with_context(|| format!("{host} has no address"))?, path.to_owned()))
}

/// Runs a misbehaving client until the server ends the connection (or until Ctrl-C).
pub fn run(
    misbehavior: Misbehavior,
    url: &str,
    count: usize,
    pace: u64,
) -> anyhow::Result<()> {
    let (address, path) = parse(url)?;
    let log = Transcript::live();
    let start = Instant::now();
    let done = match misbehavior {
        Misbehavior::Drip => drip(address, &path, &log, Duration::from_millis(pace)),
        Misbehavior::Stall => stall(address, &path, &log),
        Misbehavior::NeverRead => never_read(address, &path, &log),
        Misbehavior::HalfClose => half_close(address, &path, &log),
        Misbehavior::Reset => reset(address, &path, &log),
        Misbehavior::Flood => flood(address, &path, &log, count),
        Misbehavior::ConnectSilent => connect_silent(address, &path, &log, count),
    };
    println!("{:.1} s since the start", start.elapsed().as_secs_f64());
    match done {
        Ok(()) => Ok(()),
        Err(Abort::Fail(mismatch)) => {
            bail!("expected {}, but: {}", mismatch.expected, mismatch.actual)
        }
        Err(Abort::Skip(why)) => bail!(why),
        Err(Abort::Missing(missing)) => bail!(missing.why),
    }
}

/// Waits, without a timeout, until the server sends bytes or ends the connection.
fn wait(client: &mut Client) {
    let start = Instant::now();
    let mut reported = 0;
    while client.peek(Duration::from_secs(1)) == Peek::Nothing {
        let seconds = start.elapsed().as_secs();
        if seconds >= reported + 5 {
            reported = seconds;
            println!(
                "the server still holds {}'s connection after {seconds} s",
                client.name()
            );
        }
    }
}

fn drip(
    address: SocketAddr,
    path: &str,
    log: &Transcript,
    pace: Duration,
) -> CaseResult<()> {
    let mut client = Client::connect(address, "A", log)?;
    let padding = format!("X-Padding: {}\r\n", "x".repeat(1000));
    let answered = client.drip(request("GET", path, &padding), 1, pace)?;
    println!(
        "{}",
        if answered {
            "the server reacted before the head was complete"
        } else {
            "the server read the whole head"
        }
    );
    client.read_to_end().map(drop)
}

fn stall(address: SocketAddr, path: &str, log: &Transcript) -> CaseResult<()> {
    let mut client = Client::connect(address, "A", log)?;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: stal"))?;
    println!("A sends nothing more");
    wait(&mut client);
    client.read_to_end().map(drop)
}

fn never_read(address: SocketAddr, path: &str, log: &Transcript) -> CaseResult<()> {
    let mut client = Client::connect_with(address, "A", log, Some(4096))?;
    let requests = get(path).repeat(1000);
    client.send_some(&requests);
    println!("A reads nothing from now on");
    let start = Instant::now();
    loop {
        // The client does not read, so it detects the end of the connection by sending one more
        // byte.
        std::thread::sleep(Duration::from_secs(1));
        let peeked = client.stream.take_error().ok().flatten();
        let sent = client.send_some(&requests[..1]);
        if let Some(error) = peeked {
            println!("the connection has failed: {error}");
            return Ok(());
        }
        let seconds = start.elapsed().as_secs();
        if seconds.is_multiple_of(5) {
            println!(
                "after {seconds} s the server still holds the connection ({sent} more byte accepted)"
            );
        }
        if hung_up(&client) {
            println!("the server has ended the connection");
            return Ok(());
        }
    }
}

/// Returns whether the server has ended the connection, without reading from it.
fn hung_up(client: &Client) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let mut polled = [PollFd::new(client.stream.as_fd(), PollFlags::empty())];
    let _ = poll(&mut polled, PollTimeout::ZERO);
    polled[0]
        .revents()
        .is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP))
}

fn half_close(address: SocketAddr, path: &str, log: &Transcript) -> CaseResult<()> {
    let mut client = Client::connect(address, "A", log)?;
    client.send(get(path))?;
    client.half_close();
    client.read_to_end().map(drop)
}

fn reset(address: SocketAddr, path: &str, log: &Transcript) -> CaseResult<()> {
    let mut client = Client::connect(address, "A", log)?;
    client.send(get(path))?;
    client.reset();
    let mut other = Client::connect(address, "B", log)?;
    other.send(request("GET", path, "Connection: close\r\n"))?;
    other.response()?;
    println!("the server still answers B");
    Ok(())
}

fn flood(
    address: SocketAddr,
    path: &str,
    log: &Transcript,
    count: usize,
) -> CaseResult<()> {
    let quiet = Transcript::default();
    let mut client = Client::connect(address, "A", &quiet)?;
    let requests = get(path).repeat(count);
    println!("A sends {count} requests at once ({} bytes)", requests.len());
    let mut rest = &requests[..];
    let mut answers = 0;
    while answers < count {
        let sent = client.send_some(rest);
        rest = &rest[sent..];
        if sent == 0 || rest.is_empty() {
            client.response()?;
            answers += 1;
            if answers % count.div_ceil(10) == 0 {
                println!(
                    "A has {answers} responses; {} bytes are still unsent",
                    rest.len()
                );
            }
        }
    }
    log.add(
        "A",
        crate::transcript::EventKind::Note("every request has been answered".to_owned()),
    );
    Ok(())
}

fn connect_silent(
    address: SocketAddr,
    path: &str,
    log: &Transcript,
    count: usize,
) -> CaseResult<()> {
    // Each client needs a descriptor, so raise the soft limit to the hard limit. If there are still
    // too few descriptors, connecting fails with a message.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let quiet = Transcript::default();
    let mut silent = Vec::new();
    for i in 0..count {
        silent.push(Client::connect(address, &format!("S{i}"), &quiet)?);
    }
    println!("silent clients connected: {count}");
    let mut other = Client::connect(address, "B", log)?;
    other.send(request("GET", path, "Connection: close\r\n"))?;
    println!("B sends a request; will it be answered?");
    wait(&mut other);
    other.response()?;
    silent.retain_mut(|client| client.peek(Duration::ZERO) == Peek::Nothing);
    let gone = count - silent.len();
    println!("silent clients that the server has closed or answered meanwhile: {gone}");
    if !silent.is_empty() {
        println!("waiting until the server closes the others (or Ctrl-C)");
    }
    while let Some(client) = silent.last_mut() {
        if client.peek(Duration::from_secs(1)) != Peek::Nothing {
            silent.pop();
        }
    }
    Ok(())
}
