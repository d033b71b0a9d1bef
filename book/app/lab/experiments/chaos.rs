//! `lab chaos`: everything at once, for a minute, and one well-behaved client.
//!
//! Fifteen thousand idle connections; heads and bodies that come a byte at a time; clients
//! that ask for a gigabyte and read nothing; others that ask and are gone; more clients than
//! there are descriptors. In their midst one client asks again and again: what does it
//! notice? And afterwards: is everything released?
//!
//! `lab chaos --minutes N` does so for longer, to two servers side by side.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ch01_blocking::program::raise_descriptor_limit;
use clap::Args;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::clients::{KEPT, answered, ask, hold};
use crate::lab::tools::server::Server;

const SERVERS: [&str; 5] = ["epoll", "epoll-et", "reactors", "coroutine", "async"];
/// The servers of a longer run.
const LONGER: [&str; 2] = ["epoll", "coroutine"];
static IDLE: Parameter = parameter("idle connections", &[2_000], &[15_000]);
static LASTS: Parameter = parameter("seconds", &[3], &[60]);
/// Clients of each other kind.
const EACH: usize = 200;
/// What the server may open beside the idle ones: enough for all of those, and not for the
/// late ones.
const DESCRIPTORS: usize = 3 * EACH + 200;
/// Late ones, in the second half: for most of them no descriptor is left.
const TOO_MANY: usize = 500;
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(10);
/// Clients in each round that ask and reset the connection.
const RESETS: usize = 10;
/// Longer than a server waits after the last close before it returns memory.
const CALM: Duration = Duration::from_secs(3);

const OPTIONS: &str = "--max-connections 30000 --idle-timeout 86400 \
    --head-timeout 2 --body-timeout 2 --write-timeout 2";

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "chaos",
    question: "Everything that clients can do, at once: what does one that means well notice?",
    predict: choice(
        "Thousands are idle, hundreds send a byte at a time or read nothing, more come than there are descriptors. What becomes of the one client that asks as it should?",
        &[
            "some of its requests fail",
            "all are answered, the median in more than a millisecond",
            "all are answered, the median in less than a millisecond",
        ],
        worst,
    ),
    parameters: &[&IDLE, &LASTS],
    parts: &[tabled("chaos")],
    ..measured_by(|run| measure(run, &Options::default()))
};

/// How long.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Of `lab chaos`: for this many minutes, epoll and coroutine side by side, as in --full
    #[arg(long, value_name = "N")]
    minutes: Option<usize>,
}

#[derive(Serialize)]
struct Row {
    server: &'static str,
    seconds: u64,
    /// Of the well-behaved client.
    requests: usize,
    failed: usize,
    median_microseconds: f64,
    slowest_microseconds: f64,
    /// Of the others: all their connections, and among them those that the server cut off and
    /// that their clients reset.
    others: usize,
    cut_off: usize,
    resets: usize,
    /// Without the crowd, in its midst, and when it has left.
    descriptors_before: usize,
    descriptors_during: usize,
    descriptors_after: usize,
    kib_before: u64,
    kib_during: u64,
    kib_after: u64,
}

/// What a result says of the server that does worst.
fn worst(record: &Record) -> Option<(usize, String)> {
    let most = |field: &str| {
        let figures = record.rows.iter().filter_map(|row| row.get(field)?.figure());
        figures.max_by(f64::total_cmp)
    };
    let (failed, median) = (most("failed")?, most("median_microseconds")?);
    let said = format!(
        "in the server that does worst, {failed} fail, and half of them take longer than {} µs",
        thousands(median as usize)
    );
    match () {
        () if failed > 0.0 => Some((0, said)),
        () if median > 1_000.0 => Some((1, said)),
        () => Some((2, said)),
    }
}

/// Measures all servers one after the other, or two for this many minutes.
pub(crate) fn measure(run: &Run<'_>, options: &Options) -> Result<Results> {
    raise_descriptor_limit();
    let Some(minutes) = options.minutes else {
        let lasts = Duration::from_secs(run.one(&LASTS) as u64);
        let name = |server: &&str| format!("{server}, {} s", lasts.as_secs());
        let row = |server| row(run, server, run.one(&IDLE), lasts);
        return run.rows(SERVERS.into(), name, row, |rows| parts("chaos", rows));
    };
    let lasts = Duration::from_secs(60 * minutes as u64);
    run.begin(LONGER.len());
    let row = |server| {
        // A process's descriptors are not enough for the clients of both servers.
        unshare(CloneFlags::CLONE_FILES)?;
        run.step(&format!("{server}, {minutes} minutes"));
        row(run, server, IDLE.full[0], lasts).with_context(|| format!("with {server}"))
    };
    let rows: Result<Vec<Row>> = thread::scope(|scope| {
        let threads = LONGER.map(|server| scope.spawn(move || row(server)));
        let joined =
            threads.map(|thread| thread.join().map_err(|_| anyhow!("a panic"))?);
        joined.into_iter().collect()
    });
    let command = format!("cargo run --release -- lab chaos --minutes {minutes}");
    let rows = rows?;
    let results = Results::new(&rows, parts("chaos-long", &rows))?;
    Ok(Results { stored_as: Some((command, "chaos-long")), ..results })
}

fn row(run: &Run<'_>, server: &'static str, idle: usize, lasts: Duration) -> Result<Row> {
    let running = Server::start_within(run, server, OPTIONS, idle + DESCRIPTORS)?;
    let mut good = ask(running.address, KEPT)?;
    answered(&mut good)?;
    let before = (running.descriptors()?, running.memory()?);
    let mut others = idle + KINDS.len() * EACH;
    let idle = hold(running.address, idle)?;
    let mut crowd = Crowd::gather(running.address)?;
    let (mut times, mut failed, mut cut_off, mut resets) = (Vec::new(), 0, 0, 0);
    let mut late = Vec::new();
    let start = Instant::now();
    while start.elapsed() < lasts {
        cut_off += crowd.drip(running.address);
        for _ in 0..RESETS {
            resets += usize::from(reset(running.address).is_ok());
        }
        if start.elapsed() > lasts / 2 && late.len() < TOO_MANY {
            late.extend(TcpStream::connect(running.address));
        }
        let asked = Instant::now();
        match good.write_all(KEPT).map_err(Into::into).and_then(|()| answered(&mut good))
        {
            Ok(_) => times.push(asked.elapsed().as_secs_f64() * 1e6),
            Err(_) => {
                failed += 1;
                good = ask(running.address, KEPT)?;
                answered(&mut good)?;
            }
        }
        thread::sleep(PAUSE);
    }
    let during = (running.descriptors()?, running.memory()?);
    others += cut_off + resets + late.len();
    drop((idle, crowd, late));
    running.settle(before.0)?;
    thread::sleep(CALM);
    let after = (running.descriptors()?, running.memory()?);
    times.sort_by(f64::total_cmp);
    Ok(Row {
        server,
        seconds: lasts.as_secs(),
        requests: times.len() + failed,
        failed,
        median_microseconds: times.get(times.len() / 2).copied().unwrap_or_default(),
        slowest_microseconds: times.last().copied().unwrap_or_default(),
        others,
        cut_off,
        resets,
        descriptors_before: before.0,
        descriptors_during: during.0,
        descriptors_after: after.0,
        kib_before: before.1,
        kib_during: during.1,
        kib_after: after.1,
    })
}

/// What a client sends first, and what it sends in each round. Those that ask for a gigabyte
/// never read it, so only a failing write shows them that they were cut off.
type Kind = (&'static [u8], &'static [u8]);

const KINDS: [Kind; 3] = [
    (b"GET /plaintext HTTP/1.1\r\nX: ", b"x"),
    (b"POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 900000\r\n\r\n", b"x"),
    (GIGABYTE, b"\r\n"),
];
const GIGABYTE: &[u8] = b"GET /bytes/1073741824 HTTP/1.1\r\nHost: lab\r\n\r\n";

/// Clients that reconnect when the server cuts their connections.
struct Crowd(Vec<(TcpStream, Kind)>);

impl Crowd {
    fn gather(address: SocketAddr) -> Result<Crowd> {
        let all = KINDS.into_iter().flat_map(|kind| (0..EACH).map(move |_| kind));
        let all = all.map(|kind| Ok((connect(address, kind.0)?, kind)));
        Ok(Crowd(all.collect::<Result<_>>()?))
    }

    /// Each sends a little. A client whose connection was cut begins again; returns how many
    /// did.
    fn drip(&mut self, address: SocketAddr) -> usize {
        let mut cut_off = 0;
        for (client, (first, more)) in &mut self.0 {
            if client.write(more).is_err()
                && let Ok(again) = connect(address, first)
            {
                *client = again;
                cut_off += 1;
            }
        }
        cut_off
    }
}

fn connect(address: SocketAddr, first: &[u8]) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address).context("cannot connect")?;
    setsockopt(&client, sockopt::RcvBuf, &4096)?;
    client.write_all(first)?;
    client.set_nonblocking(true)?; // the server may not read it, and this must not block
    Ok(client)
}

/// Asks, and resets the connection.
fn reset(address: SocketAddr) -> Result<()> {
    let client = ask(address, GIGABYTE)?;
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    Ok(setsockopt(&client, sockopt::Linger, &at_once)?)
}

fn parts(name: &str, rows: &[Row]) -> Vec<Part> {
    let head = "server | >its requests | >failed | >median | >slowest | >other clients | >cut off | >descriptors before, during, after | >memory";
    let row = |row: &Row| {
        let descriptors =
            [row.descriptors_before, row.descriptors_during, row.descriptors_after];
        let memory = [row.kib_before, row.kib_during, row.kib_after];
        format!(
            "`{}` | {} | {} | {:.0} µs | {:.1} ms | {} | {} | {} | {}",
            row.server,
            thousands(row.requests),
            row.failed,
            row.median_microseconds,
            row.slowest_microseconds / 1000.0,
            thousands(row.others),
            thousands(row.cut_off),
            descriptors.map(thousands).join(", "),
            memory.map(|kib| bytes(kib as f64 * 1024.0)).join(", "),
        )
    };
    vec![Part::once(name, table(head, rows.iter().map(row)), None)]
}
