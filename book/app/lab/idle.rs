//! `lab idle`: what clients that say nothing cost the others, and the processor.
//!
//! Each server runs as a process of its own beside so many keep-alive connections that
//! have been served once and now are silent. First nobody speaks for a while; then one
//! fresh client after the other connects, asks, and is answered. Processor time is the
//! operating system's account of the server's process (`/proc/PID/schedstat`).

use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use super::chart::{Chart, Series};
use super::running::{Server, answered, ask, hold};
use super::spread::{Spread, thousands};
use super::{Lab, keep};

const SERVERS: [&str; 2] = ["spin", "sigio"];
const IDLE: [usize; 5] = [0, 10, 100, 1_000, 5_000];
const REPEATS: usize = 7;
/// For so long fresh clients come, one after the other: the account of a process that is
/// running is kept in ticks of a few milliseconds.
const BUSY: Duration = Duration::from_millis(400);
/// For so long nobody speaks, in each repeat.
const REST: Duration = Duration::from_millis(250);

const LAST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";

#[derive(Serialize)]
struct Row {
    server: &'static str,
    idle_connections: usize,
    /// Of the time that other programs left it, while nobody spoke.
    at_rest_percent: Spread,
    cpu_microseconds_per_request: Spread,
    /// From connect to the answer's last byte; each repeat counts as its median.
    latency_microseconds: Spread,
}

/// The whole experiment.
pub(super) fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    let mut rows = Vec::new();
    for server in SERVERS {
        for idle in IDLE {
            eprintln!("lab idle: {server}, {idle} idle connections");
            rows.push(row(lab, server, idle)?);
        }
    }
    keep(lab, "idle", &rows, &table(&rows), Some(&chart(&rows)))
}

fn row(lab: &Lab<'_>, server: &'static str, idle: usize) -> Result<Row> {
    let running = Server::start(lab, server, &["--idle-timeout", "3600"])?;
    let held = hold(running.address, idle)?;
    let (mut at_rest, mut cpu, mut latency) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (before, start) = (running.account()?, Instant::now());
        thread::sleep(REST);
        let (after, over) = (running.account()?, start.elapsed());
        let left = over.saturating_sub(after.waited - before.waited);
        let used = after.used - before.used;
        at_rest.push(100.0 * used.as_secs_f64() / left.as_secs_f64());

        let (before, start) = (running.account()?, Instant::now());
        let mut times = Vec::new();
        while start.elapsed() < BUSY {
            times.push(fresh(running.address)?);
        }
        let used = running.account()?.used - before.used;
        cpu.push(used.as_secs_f64() * 1e6 / times.len() as f64);
        latency.push(Spread::of(times).median);
    }
    drop(held);
    Ok(Row {
        server,
        idle_connections: idle,
        at_rest_percent: Spread::of(at_rest),
        cpu_microseconds_per_request: Spread::of(cpu),
        latency_microseconds: Spread::of(latency),
    })
}

/// Microseconds from a fresh client's connecting to its answer.
fn fresh(address: SocketAddr) -> Result<f64> {
    let start = Instant::now();
    let mut client = ask(address, LAST)?;
    answered(&mut client)?;
    let took = start.elapsed().as_secs_f64() * 1e6;
    // Until the server has closed, too: its work for this client is over.
    client.read_to_end(&mut Vec::new())?;
    Ok(took)
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| | idle connections | processor while nobody speaks | processor time for one request | its client waits |\n\
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

fn chart(rows: &[Row]) -> String {
    let series = SERVERS.map(|server| Series {
        name: server,
        points: rows
            .iter()
            .filter(|row| row.server == server && row.idle_connections > 0)
            .map(|row| (row.idle_connections as f64, row.latency_microseconds.median))
            .collect(),
    });
    Chart {
        name: "idle",
        title: "How long a fresh client waits beside idle ones",
        description: "Two lines. The one for spin rises in proportion once there are more than some tens of idle connections; the one for sigio stays level.",
        x: "idle connections",
        y: "microseconds from connect to answer",
        series: &series,
    }
    .svg()
}
