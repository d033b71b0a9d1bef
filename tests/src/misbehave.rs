//! Misbehaving clients as commands: each aims at any server, and tells what it
//! does and what it sees, line by line.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::client::{Client, Seen};
use crate::ctx::{get, request};
use crate::transcript::Transcript;
use crate::verdict::{Step, Stop};

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Manner {
    /// Sends a request's head a byte at a time.
    Drip,
    /// Sends half a head, then nothing.
    Stall,
    /// Asks, and never reads the answer.
    NeverRead,
    /// Asks, closes its sending side, and reads.
    HalfClose,
    /// Asks, and resets the connection.
    Reset,
    /// Sends the same request again and again, without waiting for answers.
    Flood,
    /// Opens connections and says nothing.
    ConnectSilent,
}

/// A URL taken apart: where to connect, what to ask for.
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
        host.to_socket_addrs().with_context(|| format!("no address for {host}"))?.next();
    Ok((address.with_context(|| format!("no address for {host}"))?, path.to_owned()))
}

/// Misbehaves until the server ends it (or for ever: Ctrl-C).
pub fn run(manner: Manner, url: &str, count: usize, pace: u64) -> anyhow::Result<()> {
    let (address, path) = parse(url)?;
    let log = Transcript::live();
    let start = Instant::now();
    let done = match manner {
        Manner::Drip => drip(address, &path, &log, Duration::from_millis(pace)),
        Manner::Stall => stall(address, &path, &log),
        Manner::NeverRead => never_read(address, &path, &log),
        Manner::HalfClose => half_close(address, &path, &log),
        Manner::Reset => reset(address, &path, &log),
        Manner::Flood => flood(address, &path, &log, count),
        Manner::ConnectSilent => connect_silent(address, &path, &log, count),
    };
    println!("{:.1} s after the start", start.elapsed().as_secs_f64());
    match done {
        Ok(()) => Ok(()),
        Err(Stop::Fail(fault)) => {
            bail!("waited for {}, but: {}", fault.expected, fault.came)
        }
        Err(Stop::Skip(why)) => bail!(why),
    }
}

/// Waits, however long, until the server says something or ends.
fn wait(client: &mut Client) {
    let start = Instant::now();
    let mut told = 0;
    while client.look(Duration::from_secs(1)) == Seen::Nothing {
        let seconds = start.elapsed().as_secs();
        if seconds >= told + 5 {
            told = seconds;
            println!("{} still holds its connection after {seconds} s", client.name());
        }
    }
}

fn drip(address: SocketAddr, path: &str, log: &Transcript, pace: Duration) -> Step<()> {
    let mut client = Client::connect(address, "A", log)?;
    let padding = format!("X-Padding: {}\r\n", "x".repeat(1000));
    let answered = client.drip(request("GET", path, &padding), 1, pace)?;
    println!(
        "{}",
        if answered { "the server has had enough" } else { "the whole head was taken" }
    );
    client.rest().map(drop)
}

fn stall(address: SocketAddr, path: &str, log: &Transcript) -> Step<()> {
    let mut client = Client::connect(address, "A", log)?;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: stal"))?;
    println!("A now says nothing more");
    wait(&mut client);
    client.rest().map(drop)
}

fn never_read(address: SocketAddr, path: &str, log: &Transcript) -> Step<()> {
    let mut client = Client::connect_with(address, "A", log, Some(4096))?;
    let asked = get(path).repeat(1000);
    client.send_some(&asked);
    println!("A now reads nothing");
    let start = Instant::now();
    loop {
        // More requests are a way to notice the end without reading.
        std::thread::sleep(Duration::from_secs(1));
        let peeked = client.stream.take_error().ok().flatten();
        let sent = client.send_some(&asked[..1]);
        if let Some(error) = peeked {
            println!("the connection is broken: {error}");
            return Ok(());
        }
        let seconds = start.elapsed().as_secs();
        if seconds.is_multiple_of(5) {
            println!(
                "after {seconds} s the server still holds on ({sent} byte more taken)"
            );
        }
        if hung_up(&client) {
            println!("the server has given up");
            return Ok(());
        }
    }
}

/// Whether the other side has reset the connection, without reading from it.
fn hung_up(client: &Client) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let mut polled = [PollFd::new(client.stream.as_fd(), PollFlags::empty())];
    let _ = poll(&mut polled, PollTimeout::ZERO);
    polled[0]
        .revents()
        .is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP))
}

fn half_close(address: SocketAddr, path: &str, log: &Transcript) -> Step<()> {
    let mut client = Client::connect(address, "A", log)?;
    client.send(get(path))?;
    client.half_close();
    client.rest().map(drop)
}

fn reset(address: SocketAddr, path: &str, log: &Transcript) -> Step<()> {
    let mut client = Client::connect(address, "A", log)?;
    client.send(get(path))?;
    client.reset();
    let mut other = Client::connect(address, "B", log)?;
    other.send(request("GET", path, "Connection: close\r\n"))?;
    other.response()?;
    println!("the server is still there for B");
    Ok(())
}

fn flood(address: SocketAddr, path: &str, log: &Transcript, count: usize) -> Step<()> {
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
                    "A has {answers} answers; {} bytes are still to be sent",
                    rest.len()
                );
            }
        }
    }
    log.add(
        "A",
        crate::transcript::What::Note("every request has its answer".to_owned()),
    );
    Ok(())
}

fn connect_silent(
    address: SocketAddr,
    path: &str,
    log: &Transcript,
    count: usize,
) -> Step<()> {
    // Ten thousand clients want ten thousand descriptors; if they cannot be had, connecting says so.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let quiet = Transcript::default();
    let mut silent = Vec::new();
    for i in 0..count {
        silent.push(Client::connect(address, &format!("S{i}"), &quiet)?);
    }
    println!("{count} clients are connected and say nothing");
    let mut other = Client::connect(address, "B", log)?;
    other.send(request("GET", path, "Connection: close\r\n"))?;
    println!("B asks; will it be answered?");
    wait(&mut other);
    other.response()?;
    silent.retain_mut(|client| client.look(Duration::ZERO) == Seen::Nothing);
    let gone = count - silent.len();
    println!("meanwhile the server has closed or answered {gone} of {count}");
    if !silent.is_empty() {
        println!("the others stay until it has had enough of them (or Ctrl-C)");
    }
    while let Some(client) = silent.last_mut() {
        if client.look(Duration::from_secs(1)) != Seen::Nothing {
            silent.pop();
        }
    }
    Ok(())
}
