//! `lab idle`: the cost of idle clients, in processor time and in other clients' latency.
//!
//! Each server runs in a separate process, with keep-alive connections that have been served once
//! and are now idle. First no client sends anything for a while; then fresh clients, one after
//! another, connect, send a request, and are answered. Processor time is the operating system's
//! figure for the server's process (`/proc/PID/schedstat`).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::lab::prelude::*;
use crate::lab::tools::clients::{LAST, TIMEOUT, answered, hold};
use crate::lab::tools::server::Server;

/// Chapter 3's servers, which the first of the experiment's charts shows.
const FIRST: [&str; 2] = ["spin", "sigio"];
/// Servers of later chapters, which the second of the experiment's charts shows.
const LATER: [&str; 4] = ["select", "poll", "epoll", "coroutine"];
/// The greatest number of idle connections of the server `select`, which can watch at most 1,024
/// descriptors.
const ROOM_OF_SELECT: usize = 1_000;
/// The servers whose latencies the third of the experiment's charts shows, as a distribution.
const SHOWN: [&str; 2] = ["poll", "epoll"];

static IDLE: Parameter = parameter(
    "idle connections",
    &[0, 100, 1_000, 5_000],
    &[0, 10, 100, 1_000, 5_000, 15_000],
);
static REPEATS: Parameter = parameter("repeats", &[3], &[7]);
/// The time for which fresh clients connect, one after the other, in each repeat. It is long enough
/// to measure the server's processor time well, which the kernel updates only every few
/// milliseconds while the server runs.
static BUSY: Parameter = parameter("milliseconds of fresh clients", &[80], &[400]);
/// The time for which no client sends anything, in each repeat.
static REST: Parameter = parameter("milliseconds of silence", &[50], &[250]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "idle",
    question: "What do idle clients cost a fresh one, and the processor?",
    predict: curve(
        "How long does a fresh client of spin wait for its answer: beside no idle connection, beside ten, a hundred, a thousand, ten thousand?",
        "idle",
        "spin",
    ),
    parameters: &[&IDLE, &REPEATS, &BUSY, &REST],
    parts: &[
        charted("idle", Kind::Line),
        charted("idle-all", Kind::Line),
        charted("idle-spread", Kind::Heat),
    ],
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    server: &'static str,
    idle_connections: usize,
    /// The server's processor time while no client sends anything, in percent. 100 percent is the
    /// elapsed time minus the time in which the server was runnable and waited for a processor.
    at_rest_percent: Summary,
    cpu_microseconds_per_request: Summary,
    /// The time from connect to the answer's last byte, in microseconds: a summary of the medians
    /// of all repeats.
    latency_microseconds: Summary,
    /// The median latency of all repeats' requests together, in microseconds; the next fields are
    /// other quantiles of the same latencies.
    p50_microseconds: f64,
    p90_microseconds: f64,
    p99_microseconds: f64,
    p99_5_microseconds: f64,
    /// The latencies of all repeats' requests, in microseconds, sorted.
    #[serde(skip)]
    times: Vec<f64>,
}

fn run(run: &Run<'_>) -> Result<Results> {
    raise_descriptor_limit();
    let room =
        |server: &str| if server == "select" { ROOM_OF_SELECT } else { usize::MAX };
    let cells = FIRST
        .into_iter()
        .chain(LATER)
        .flat_map(|server| run.list(&IDLE).iter().map(move |&idle| (server, idle)))
        .filter(|&(server, idle)| idle <= room(server))
        .collect();
    let name =
        |&(server, idle): &_| format!("{server}, {} idle connections", thousands(idle));
    run.rows(cells, name, |(server, idle)| row(run, server, idle), parts)
}

fn row(run: &Run<'_>, server: &'static str, idle: usize) -> Result<Row> {
    let of = |parameter| Duration::from_millis(run.one(parameter) as u64);
    let (rest, busy) = (of(&REST), of(&BUSY));
    let options = "--idle-timeout 3600 --max-connections 20000";
    let running = Server::start(run, server, options)?;
    let held = hold(running.address, idle)?;
    let (mut at_rest, mut cpu, mut latency) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Vec::new();
    for _ in 0..run.one(&REPEATS) {
        let (before, start) = (running.account()?, Instant::now());
        thread::sleep(rest);
        let (after, over) = (running.account()?, start.elapsed());
        let left = over.saturating_sub(after.waited - before.waited);
        let used = after.used - before.used;
        at_rest.push(100.0 * used.as_secs_f64() / left.as_secs_f64());

        let (before, start) = (running.account()?, Instant::now());
        let mut times = Vec::new();
        while start.elapsed() < busy {
            times.push(fresh(running.address)?);
        }
        let used = running.account()?.used - before.used;
        cpu.push(used.as_secs_f64() * 1e6 / times.len() as f64);
        all.extend(&times);
        latency.push(Summary::of(times).median);
    }
    drop(held);
    all.sort_by(f64::total_cmp);
    let quantile = |part: f64| {
        let at = (all.len() as f64 * part) as usize;
        all.get(at.min(all.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Ok(Row {
        server,
        idle_connections: idle,
        at_rest_percent: Summary::of(at_rest),
        cpu_microseconds_per_request: Summary::of(cpu),
        latency_microseconds: Summary::of(latency),
        p50_microseconds: quantile(0.5),
        p90_microseconds: quantile(0.9),
        p99_microseconds: quantile(0.99),
        p99_5_microseconds: quantile(0.995),
        times: all,
    })
}

/// Connects from another address than that of the idle clients. More than half of the ports of the
/// idle clients' address may be in use; connect(2) would then try thousands of ports before it
/// finds a free one, and the half millisecond of this search would count as the server's latency.
fn connect(address: SocketAddr) -> Result<TcpStream> {
    let client = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if cfg!(target_os = "linux") {
        client.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into())?;
    }
    client.connect(&address.into()).context("cannot connect")?;
    let client = TcpStream::from(client);
    client.set_read_timeout(Some(TIMEOUT))?;
    Ok(client)
}

/// Connects a fresh client, sends a request, and returns the microseconds from the start of the
/// connect to the last byte of the answer.
fn fresh(address: SocketAddr) -> Result<f64> {
    let start = Instant::now();
    let mut client = connect(address)?;
    client.write_all(LAST)?;
    answered(&mut client)?;
    let took = start.elapsed().as_secs_f64() * 1e6;
    // This read returns when the server has closed the connection, so all the server's work for
    // this client is then done.
    client.read_to_end(&mut Vec::new())?;
    Ok(took)
}

const LABELS: Labels<'_> = Labels {
    title: "How long a fresh client waits beside idle ones",
    description: "Two lines. The one for spin rises in proportion once there are more than some tens of idle connections; the one for sigio stays level.",
    x: "idle connections",
    y: "microseconds from connect to answer",
};

fn parts(rows: &[Row]) -> Vec<Part> {
    let of = |servers: &[&str]| -> Vec<&Row> {
        rows.iter().filter(|row| servers.contains(&row.server)).collect()
    };
    let (first, later, shown) = (of(&FIRST), of(&LATER), of(&SHOWN));
    let later_labels = Labels {
        description: "Four lines. Without idle connections they lie together. Those of select and poll rise with the idle connections; those of epoll and coroutine stay level.",
        ..LABELS
    };
    vec![
        Part::new("idle", costs(&first), Some(lines(&first, &LABELS))),
        Part::new("idle-all", costs(&later), Some(lines(&later, &later_labels))),
        // The figures of this part are quantiles of all repeats' requests together. `once` keeps
        // the page from calling them medians of several repeats.
        Part::once("idle-spread", quantiles(&shown), Some(heat(&shown))),
    ]
}

fn costs(rows: &[&Row]) -> String {
    // Formats the median of a time, followed by the extremes.
    let time = |of: Summary| {
        let [median, min, max] =
            [of.median, of.min, of.max].map(|micros| thousands(micros as usize));
        format!("{median} µs ({min} to {max})")
    };
    let head = "server | >idle connections | >processor while idle | >processor time for one request | >its client waits";
    let row = |row: &&Row| {
        format!(
            "`{}` | {} | {:.0} % | {} | {}",
            row.server,
            thousands(row.idle_connections),
            row.at_rest_percent.median,
            time(row.cpu_microseconds_per_request),
            time(row.latency_microseconds),
        )
    };
    table(head, rows.iter().map(row))
}

fn lines(rows: &[&Row], labels: &Labels<'_>) -> Chart {
    let servers = rows.chunk_by(|a, b| a.server == b.server);
    let series = servers.map(|rows| {
        let point = |row: &&Row| (row.idle_connections as f64, row.latency_microseconds);
        Series::of(rows.first().map_or("", |row| row.server), rows.iter().map(point))
    });
    Chart::new(Kind::Line, labels, series)
}

/// Returns a table of the quantiles of latency.
fn quantiles(rows: &[&Row]) -> String {
    let head = "server | >idle connections | >half of the clients wait at most | >90 % | >99 % | >99.5 %";
    let row = |row: &&Row| {
        let quantiles = [
            row.p50_microseconds,
            row.p90_microseconds,
            row.p99_microseconds,
            row.p99_5_microseconds,
        ];
        let quantiles =
            quantiles.map(|micros| format!("{} µs", thousands(micros as usize)));
        let idle = thousands(row.idle_connections);
        format!("`{}` | {idle} | {}", row.server, quantiles.join(" | "))
    };
    table(head, rows.iter().map(row))
}

fn heat(rows: &[&Row]) -> Chart {
    let labels = Labels {
        title: "How the waits of fresh clients are spread, beside idle ones",
        description: "Two panels, with a column for each number of idle connections. In that of poll the waits lie higher the more connections there are; in that of epoll they do not.",
        ..LABELS
    };
    let column = |row: &&Row| {
        let idle = thousands(row.idle_connections);
        Series::column(row.server, &idle, row.times.iter().copied())
    };
    Chart::new(Kind::Heat, &labels, rows.iter().map(column))
}
