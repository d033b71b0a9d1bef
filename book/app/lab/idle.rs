//! `lab idle`: what clients that say nothing cost the others, and the processor.
//!
//! Each server runs as a process of its own beside so many keep-alive connections that
//! have been served once and now are silent. First nobody speaks for a while; then one
//! fresh client after the other connects, asks, and is answered. Processor time is the
//! operating system's account of the server's process (`/proc/PID/schedstat`).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use super::chart::{Chart, Series};
use super::spread::{Spread, thousands};
use super::{Lab, keep};
use crate::servers;

const SERVERS: [&str; 2] = ["spin", "sigio"];
const IDLE: [usize; 5] = [0, 10, 100, 1_000, 5_000];
const REPEATS: usize = 7;
/// For so long fresh clients come, one after the other: the account of a process that is
/// running is kept in ticks of a few milliseconds.
const BUSY: Duration = Duration::from_millis(400);
/// For so long nobody speaks, in each repeat.
const REST: Duration = Duration::from_millis(250);
/// So many connect before the first of them is answered: fewer than a backlog holds.
const AT_ONCE: usize = 100;
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

const KEPT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: lab\r\n\r\n";
const LAST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"Hello, World!";

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
    keep(lab, "idle", &rows, &table(&rows), &chart(&rows))
}

fn row(lab: &Lab<'_>, server: &'static str, idle: usize) -> Result<Row> {
    let running = Server::start(lab, server)?;
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

/// Opens so many connections; each is served once and kept.
fn hold(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
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

fn ask(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address).context("cannot connect")?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(request)?;
    Ok(client)
}

fn answered(client: &mut TcpStream) -> Result<()> {
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(ANSWER) {
        let n = client.read(&mut piece).context("no answer came")?;
        ensure!(n > 0, "the server hung up");
        answer.extend_from_slice(&piece[..n]);
    }
    Ok(())
}

/// A server that runs, and ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

/// What a process has had of the processors.
struct Account {
    /// It ran.
    used: Duration,
    /// It could have run, but others did.
    waited: Duration,
}

impl Server {
    fn start(lab: &Lab<'_>, name: &str) -> Result<Server> {
        let mut child = Command::new(servers::find(lab.house, name)?)
            .args(["--listen", "127.0.0.1:0", "--idle-timeout", "3600"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut server = Server { child, address: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        server.address =
            address.with_context(|| format!("{name} said {line:?}"))?.parse()?;
        Ok(server)
    }

    fn account(&self) -> Result<Account> {
        let mut account = Account { used: Duration::ZERO, waited: Duration::ZERO };
        let threads = format!("/proc/{}/task", self.child.id());
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

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // or it has ended already
        let _ = self.child.wait();
    }
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
