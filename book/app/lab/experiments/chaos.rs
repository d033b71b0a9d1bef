//! `lab chaos`: one well-behaved client among all kinds of bad ones, for a minute.
//!
//! Bad clients of all kinds use the server at the same time: fifteen thousand idle connections;
//! heads and bodies that arrive a byte at a time; clients that ask for a gigabyte and read nothing;
//! again and again, clients that ask and reset the connection; and in the second half of the run,
//! more clients than the server has descriptors. Among them, one well-behaved client sends a
//! request after each answer. Is it served, and how fast? And does the server release everything
//! when the bad clients have left?
//!
//! `lab chaos --minutes N` runs longer, with two servers side by side.

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
/// The servers that a run with `--minutes` measures side by side.
const LONGER: [&str; 2] = ["epoll", "coroutine"];
static IDLE: Parameter = parameter("idle connections", &[2_000], &[15_000]);
static LASTS: Parameter = parameter("seconds", &[3], &[60]);
/// The number of clients of each of the [`KINDS`].
const EACH: usize = 200;
/// The number of descriptors that the server may open besides those of idle connections: enough for
/// the bad clients of all [`KINDS`], but not also for the [`TOO_MANY`] clients that connect in the
/// second half of a run.
const DESCRIPTORS: usize = 3 * EACH + 200;
/// The number of late clients, which connect in the second half of a run. The server has no
/// descriptors left for most of them.
const TOO_MANY: usize = 500;
/// The pause between two rounds. In each round, the bad clients send a little and the well-behaved
/// client sends a request.
const PAUSE: Duration = Duration::from_millis(10);
/// The number of clients in each round that send a request and reset the connection.
const RESETS: usize = 10;
/// The wait between the close of the last connection and the reading of the server's memory: longer
/// than a server waits before it returns memory to the kernel.
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

/// The command-line options that only `lab chaos` has.
#[derive(Args, Debug, Default)]
#[group(skip)] // clap names a group after its type, and `hold` also has a type `Options`
pub struct Options {
    /// Only for `lab chaos`: run for N minutes, epoll and coroutine side by side, with as many idle
    /// connections as with --full
    #[arg(long, value_name = "N")]
    minutes: Option<usize>,
}

impl Options {
    /// Returns whether `--minutes` was given. Such a run has as many idle connections as a full run.
    pub fn is_long(&self) -> bool {
        self.minutes.is_some()
    }
}

#[derive(Serialize)]
struct Row {
    server: &'static str,
    seconds: u64,
    /// The number of requests of the well-behaved client.
    requests: usize,
    /// The number of requests of the well-behaved client that were not answered.
    failed: usize,
    median_microseconds: f64,
    slowest_microseconds: f64,
    /// The number of connections that bad clients opened in the whole run, including those that
    /// were cut off or reset.
    others: usize,
    /// The number of bad clients' connections that the server cut off.
    cut_off: usize,
    /// The number of bad clients' connections that the clients themselves reset.
    resets: usize,
    /// The number of descriptors that the server had open before the bad clients connected.
    descriptors_before: usize,
    descriptors_during: usize,
    descriptors_after: usize,
    /// The server's own memory before the bad clients connected, in KiB.
    kib_before: u64,
    kib_during: u64,
    kib_after: u64,
}

/// Returns the index of the prediction's option that the record confirms, and, in words, the
/// figures of the server that does worst. `None` if the record lacks the figures.
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

/// Measures all servers, one after another. If the options contain `minutes`, measures only the
/// servers in [`LONGER`], side by side, for that many minutes.
pub(crate) fn measure(run: &Run<'_>, options: &Options) -> Result<Results> {
    raise_descriptor_limit();
    let Some(minutes) = options.minutes else {
        let lasts = Duration::from_secs(run.one(&LASTS) as u64);
        let name = |server: &&str| format!("{server}, {} s", lasts.as_secs());
        let row = |server| row(run, server, run.one(&IDLE), lasts);
        return run.rows(SERVERS.into(), name, row, |rows| parts("chaos", rows));
    };
    let (idle, lasts) = (IDLE.full[0], Duration::from_secs(60 * minutes as u64));
    run.begin(LONGER.len());
    let row = |server| {
        // Each thread gets its own table of descriptors, because one table is too small for the
        // clients of two servers.
        unshare(CloneFlags::CLONE_FILES)?;
        run.step(&format!("{server}, {minutes} minutes"));
        row(run, server, idle, lasts).with_context(|| format!("with {server}"))
    };
    let rows: Result<Vec<Row>> = thread::scope(|scope| {
        let threads = LONGER.map(|server| scope.spawn(move || row(server)));
        let joined = threads
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread has panicked"))?);
        joined.into_iter().collect()
    });
    let command = format!("cargo run --release -- lab chaos --minutes {minutes}");
    let rows = rows?;
    let results = Results::new(&rows, parts("chaos-long", &rows))?;
    let parameters =
        [(IDLE.name.to_owned(), vec![idle]), (LASTS.name.to_owned(), vec![60 * minutes])];
    let stored_as =
        Some(StoredAs { command, name: "chaos-long", parameters: parameters.into() });
    Ok(Results { stored_as, ..results })
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

/// A kind of bad client: the bytes that the client sends first, and the bytes that it sends in each
/// round. Bad clients never read, so only a failing write shows that the server has cut off a
/// client.
type Kind = (&'static [u8], &'static [u8]);

/// The kinds of bad clients: a head and a body that arrive a byte at a time, and a request for a
/// gigabyte.
const KINDS: [Kind; 3] = [
    (b"GET /plaintext HTTP/1.1\r\nX: ", b"x"),
    (b"POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 900000\r\n\r\n", b"x"),
    (GIGABYTE, b"\r\n"),
];
const GIGABYTE: &[u8] = b"GET /bytes/1073741824 HTTP/1.1\r\nHost: lab\r\n\r\n";

/// Bad clients of all [`KINDS`], which connect again when the server cuts off their connections.
struct Crowd(Vec<(TcpStream, Kind)>);

impl Crowd {
    fn gather(address: SocketAddr) -> Result<Crowd> {
        let all = KINDS.into_iter().flat_map(|kind| (0..EACH).map(move |_| kind));
        let all = all.map(|kind| Ok((connect(address, kind.0)?, kind)));
        Ok(Crowd(all.collect::<Result<_>>()?))
    }

    /// Makes each client send the bytes of one round. Clients whose connections were cut off
    /// connect again. Returns the number of clients that have connected again.
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
    client.set_nonblocking(true)?; // the server may stop reading, and writes must not block
    Ok(client)
}

/// Connects, sends a request for a gigabyte, and resets the connection.
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
