//! `lab idle`: what clients that say nothing cost the others, and the processor.
//!
//! Each server runs as a process of its own beside so many keep-alive connections that
//! have been served once and now are silent. First nobody speaks for a while; then one
//! fresh client after the other connects, asks, and is answered. Processor time is the
//! operating system's account of the server's process (`/proc/PID/schedstat`).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;
use socket2::{Domain, Socket, Type};

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::experiment::{Experiment, Kind, Parameter, charted};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::running::{LAST, PATIENCE, Server, answered, hold};
use super::spread::{Spread, thousands};

/// Chapter 3's, and those that follow, each with the most idle connections that it has
/// room for. A server that a later chapter brings is a word here.
const FIRST: [&str; 2] = ["spin", "sigio"];
const LATER: [&str; 4] = ["select", "poll", "epoll", "coroutine"];
/// `select` has room for less than 1,024 descriptors.
const ROOM_OF_SELECT: usize = 1_000;
/// Those whose answers are shown one by one.
const SHOWN: [&str; 2] = ["poll", "epoll"];

static IDLE: Parameter = Parameter {
    name: "idle connections",
    quick: &[0, 100, 1_000, 5_000],
    full: &[0, 10, 100, 1_000, 5_000, 15_000],
};
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[3], full: &[7] };
/// For so long fresh clients come, one after the other: the account of a process that is
/// running is kept in ticks of a few milliseconds.
static BUSY: Parameter =
    Parameter { name: "milliseconds of fresh clients", quick: &[80], full: &[400] };
/// For so long nobody speaks, in each repeat.
static REST: Parameter =
    Parameter { name: "milliseconds of silence", quick: &[50], full: &[250] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "idle",
    question: "What do idle clients cost a fresh one, and the processor?",
    predict: Predict {
        ask: "How long does a fresh client of spin wait for its answer: beside no idle connection, beside ten, a hundred, a thousand, ten thousand?",
        form: Form::Curve { chart: "idle", line: "spin" },
    },
    parameters: &[&IDLE, &REPEATS, &BUSY, &REST],
    parts: &[
        charted("idle", Kind::Line),
        charted("idle-all", Kind::Line),
        charted("idle-spread", Kind::Heat),
    ],
    from_page: true,
    run,
};

#[derive(Serialize)]
struct Row {
    server: &'static str,
    idle_connections: usize,
    /// Of the time that other programs left it, while nobody spoke.
    at_rest_percent: Spread,
    cpu_microseconds_per_request: Spread,
    /// From connect to the answer's last byte; each repeat counts as its median.
    latency_microseconds: Spread,
    /// Half a percent of the answers of all repeats took longer than the last of these, and so
    /// on: what 50, 90, 99 and 99.5 percent of them did not exceed.
    latency_quantiles: [f64; 4],
    /// All of them.
    #[serde(skip)]
    times: Vec<f64>,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    let room =
        |server: &str| if server == "select" { ROOM_OF_SELECT } else { usize::MAX };
    let cells: Vec<(&'static str, usize)> = FIRST
        .into_iter()
        .chain(LATER)
        .flat_map(|server| lab.list(&IDLE).iter().map(move |&idle| (server, idle)))
        .filter(|&(server, idle)| idle <= room(server))
        .collect();
    lab.begin(cells.len());
    let mut rows = Vec::new();
    for (server, idle) in cells {
        lab.step(&format!("{server}, {} idle connections", thousands(idle)));
        rows.push(row(lab, server, idle)?);
        lab.partial(|| parts(&rows));
    }
    keep(lab, &rows, parts(&rows))
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let of = |servers: &[&str]| -> Vec<&Row> {
        rows.iter().filter(|row| servers.contains(&row.server)).collect()
    };
    let (first, later, shown) = (of(&FIRST), of(&LATER), of(&SHOWN));
    vec![
        Part::new("idle", table(&first), Some(chart(&first, FIRST_WORDS))),
        Part::new("idle-all", table(&later), Some(chart(&later, LATER_WORDS))),
        // Of all answers together, and no median of repeats.
        Part {
            chart: Some(heat(&shown)),
            ..Part::once("idle-spread", quantiles(&shown))
        },
    ]
}

fn row(lab: &Lab<'_>, server: &'static str, idle: usize) -> Result<Row> {
    let of = |parameter| Duration::from_millis(lab.one(parameter) as u64);
    let (rest, busy) = (of(&REST), of(&BUSY));
    let options = ["--idle-timeout", "3600", "--max-connections", "20000"];
    let running = Server::start(lab, server, &options)?;
    let held = hold(running.address, idle)?;
    let (mut at_rest, mut cpu, mut latency) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Vec::new();
    for _ in 0..lab.one(&REPEATS) {
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
        latency.push(Spread::of(times).median);
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
        at_rest_percent: Spread::of(at_rest),
        cpu_microseconds_per_request: Spread::of(cpu),
        latency_microseconds: Spread::of(latency),
        latency_quantiles: [0.5, 0.9, 0.99, 0.995].map(quantile),
        times: all,
    })
}

/// Connects from an address of its own, as a client elsewhere would. From the one that has
/// all the idle connections, more than half of the ports may be taken, and then connect(2)
/// looks at thousands of them for a free one: half a millisecond that is not the server's.
fn connect(address: SocketAddr) -> Result<TcpStream> {
    let client = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if cfg!(target_os = "linux") {
        client.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into())?;
    }
    client.connect(&address.into()).context("cannot connect")?;
    let client = TcpStream::from(client);
    client.set_read_timeout(Some(PATIENCE))?;
    Ok(client)
}

/// Microseconds from a fresh client's connecting to its answer.
fn fresh(address: SocketAddr) -> Result<f64> {
    let start = Instant::now();
    let mut client = connect(address)?;
    client.write_all(LAST)?;
    answered(&mut client)?;
    let took = start.elapsed().as_secs_f64() * 1e6;
    // Until the server has closed, too: its work for this client is over.
    client.read_to_end(&mut Vec::new())?;
    Ok(took)
}

fn table(rows: &[&Row]) -> String {
    let mut table = String::from(
        "| server | idle connections | processor while nobody speaks | processor time for one request | its client waits |\n\
         |---|--:|--:|--:|--:|\n",
    );
    for row in rows {
        table += &format!(
            "| `{}` | {} | {:.0} % | {} | {} |\n",
            row.server,
            thousands(row.idle_connections),
            row.at_rest_percent.median,
            time(row.cpu_microseconds_per_request),
            time(row.latency_microseconds),
        );
    }
    table
}

/// Microseconds for people: the median and, behind it, the extremes.
fn time(of: Spread) -> String {
    let [median, min, max] =
        [of.median, of.min, of.max].map(|microseconds| thousands(microseconds as usize));
    format!("{median} µs ({min} to {max})")
}

const FIRST_WORDS: Words<'_> = Words {
    title: "How long a fresh client waits beside idle ones",
    description: "Two lines. The one for spin rises in proportion once there are more than some tens of idle connections; the one for sigio stays level.",
    x: "idle connections",
    y: "microseconds from connect to answer",
};

const LATER_WORDS: Words<'_> = Words {
    description: "Four lines. Without idle connections they lie together. Those of select and poll rise with the idle connections; those of epoll and coroutine stay level.",
    ..FIRST_WORDS
};

fn chart(rows: &[&Row], words: Words<'_>) -> Chart {
    let servers = rows.chunk_by(|a, b| a.server == b.server);
    let series = servers.map(|rows| {
        let point = |row: &&Row| (row.idle_connections as f64, row.latency_microseconds);
        Series::of(rows.first().map_or("", |row| row.server), rows.iter().map(point))
    });
    Chart::new(Kind::Line, &words, series)
}

/// Microseconds that so many percent of the answers did not exceed.
fn quantiles(rows: &[&Row]) -> String {
    let mut table = String::from(
        "| server | idle connections | half of the clients wait at most | 90 % | 99 % | 99.5 % |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let [half, most, nearly, all] =
            row.latency_quantiles.map(|microseconds| thousands(microseconds as usize));
        table += &format!(
            "| `{}` | {} | {half} µs | {most} µs | {nearly} µs | {all} µs |\n",
            row.server,
            thousands(row.idle_connections)
        );
    }
    table
}

fn heat(rows: &[&Row]) -> Chart {
    let words = Words {
        title: "How the waits of fresh clients are spread, beside idle ones",
        description: "Two panels, with a column for each number of idle connections. In that of poll the waits lie higher the more connections there are; in that of epoll they do not.",
        ..FIRST_WORDS
    };
    let column = |row: &&Row| {
        let idle = thousands(row.idle_connections);
        Series::column(row.server, &idle, row.times.iter().copied())
    };
    Chart::new(Kind::Heat, &words, rows.iter().map(column))
}
