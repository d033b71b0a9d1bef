//! `lab slow-client`: how many silent clients a server has room for, and how long the next client
//! waits for its answer.
//!
//! Every server is the book's own program, in a separate process. Clients connect and send nothing;
//! then one more client sends a request, and its answer is timed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::clients::LAST;
use crate::lab::tools::server::Server;
use crate::servers;

const SERVERS: [&str; 5] = ["iterative", "fork", "thread", "pool", "prefork"];
static COUNTS: Parameter =
    parameter("silent clients", &[1, 10, 100], &[1, 10, 100, 1_000]);
/// The greatest number of silent clients that a server gets.
static MOST: Parameter = parameter("silent clients at most", &[300], &[1_000]);
static REPEATS: Parameter = parameter("repeats", &[1], &[3]);
/// The idle timeout, in seconds, when [`behind`] measures a wait. With the servers' usual timeout
/// of one minute, the experiment would take a day.
const IDLE: f64 = 0.1;
/// The longest wait that is measured, as a number of idle timeouts that pass one after another.
const TOO_LONG: usize = 100;
/// The time within which an answer counts as immediate when [`bears`] tests whether a client is
/// served at once beside silent clients. The idle timeout is then an hour, so a client that must
/// wait until another client is disconnected gets no answer within this time.
const SOON: Duration = Duration::from_secs(1);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "slow-client",
    question: "How many silent clients does a server bear, and what does the next one wait?",
    predict: number(
        "A pool has sixteen workers, and a silent client's connection is closed after a tenth of a second. A hundred silent clients are there before you. How long do you wait?",
        "s",
        |record| record.figure(&[("server", "pool"), ("silent", "100")], "seconds"),
    ),
    parameters: &[&COUNTS, &MOST, &REPEATS],
    parts: &[charted("slow-client", Kind::Line)],
    ..measured_by(run)
};

#[derive(Clone, Serialize)]
struct Row {
    server: &'static str,
    /// The greatest number of silent clients beside which another client is served at once; `None`
    /// if the client is served at once beside as many as were tried.
    bears: Option<usize>,
    silent: usize,
    /// The seconds for which a client waits for its answer while the silent clients are connected;
    /// `None` if the wait would take too long to measure.
    seconds: Option<Summary>,
}

fn run(run: &Run<'_>) -> Result<Results> {
    raise_descriptor_limit();
    for server in SERVERS {
        // Build a missing server now, not in the threads below: cargo builds one program at a time.
        servers::find(run.paths, server)?;
    }
    run.begin(SERVERS.len() * (1 + run.list(&COUNTS).len()));
    let all: [_; SERVERS.len()] = std::array::from_fn(|_| Mutex::new(Vec::new()));
    let rows = || -> Vec<Row> {
        let of = |rows: &Mutex<Vec<Row>>| {
            rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        all.iter().flat_map(of).collect()
    };
    // All servers are measured at the same time, because servers and clients mostly wait, and so
    // hardly disturb each other.
    thread::scope(|scope| {
        let of = |(server, own)| {
            let shown = || parts(run, &rows());
            scope.spawn(move || measure_server(run, server, own, shown))
        };
        let all: Vec<_> = SERVERS.into_iter().zip(&all).map(of).collect();
        all.into_iter().try_for_each(|server| {
            server.join().unwrap_or_else(|_| std::process::exit(101))
        })
    })?;
    Results::new(&rows(), parts(run, &rows()))
}

fn measure_server(
    run: &Run<'_>,
    server: &'static str,
    rows: &Mutex<Vec<Row>>,
    parts: impl Fn() -> Vec<Part>,
) -> Result<()> {
    run.step(&format!("{server}, room for silent clients"));
    let bears = bears(run, server)?;
    for &silent in run.list(&COUNTS) {
        run.step(&format!("{server}, behind {}", counted(silent, "silent client")));
        // The server handles `bears + 1` clients at a time, and disconnects as many silent clients
        // per idle timeout. So the timed client waits for `silent / (bears + 1)` idle timeouts.
        let forever = bears.is_some_and(|bears| silent / (bears + 1) > TOO_LONG);
        let repeats = if forever { 0 } else { run.one(&REPEATS) };
        let once = |_| behind(run, server, silent);
        let waits = (0..repeats).map(once).collect::<Result<Vec<f64>>>()?;
        let seconds = (!forever).then(|| Summary::of(waits));
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(Row { server, bears, silent, seconds });
        drop(rows);
        run.partial(&parts);
    }
    Ok(())
}

/// Returns the greatest number of silent clients beside which one more client is served at once, or
/// `None` if the client is served at once beside as many as are tried.
fn bears(run: &Run<'_>, server: &str) -> Result<Option<usize>> {
    let server = start(run, server, 3600.0)?;
    let mut silent = Vec::new();
    let mut bears = None;
    while bears.is_none() && silent.len() < run.one(&MOST) {
        silent.push(TcpStream::connect(server.address)?);
        if ask(server.address, Some(SOON))?.is_none() {
            bears = Some(silent.len() - 1);
        }
    }
    drop(silent);
    server.stop()?;
    Ok(bears)
}

/// Returns the seconds that a client waits for its answer while `count` silent clients are
/// connected.
fn behind(run: &Run<'_>, server: &str, count: usize) -> Result<f64> {
    let server = start(run, server, IDLE)?;
    let silent = (0..count).map(|_| TcpStream::connect(server.address));
    let silent = silent.collect::<Result<Vec<_>, _>>()?;
    let waited = ask(server.address, None)?.context("no answer")?;
    drop(silent);
    server.stop()?;
    Ok(waited.as_secs_f64())
}

fn start(run: &Run<'_>, server: &str, idle: f64) -> Result<Server> {
    Server::start(run, server, &format!("--drain-timeout 1 --idle-timeout {idle}"))
}

/// Sends a request on a new connection, and returns the time until the answer. `None` if no answer
/// comes within the time `within`, or the connection is closed.
fn ask(address: SocketAddr, within: Option<Duration>) -> Result<Option<Duration>> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(within)?;
    stream.write_all(LAST)?;
    let mut answer = [0; 1024];
    Ok(match stream.read(&mut answer) {
        Ok(n) if answer[..n].starts_with(b"HTTP/1.1 200") => Some(start.elapsed()),
        _ => None,
    })
}

fn parts(run: &Run<'_>, rows: &[Row]) -> Vec<Part> {
    let counts = run.list(&COUNTS);
    let waits = counts
        .iter()
        .map(|&count| format!(" | >the next one's wait behind {}", thousands(count)));
    let head = "server | >silent clients that it bears".to_owned();
    let line = |rows: &[Row]| {
        let Some(Row { server, bears, .. }) = rows.first() else { return String::new() };
        let bears = match bears {
            None => format!("all {} tried", thousands(run.one(&MOST))),
            Some(0) => "none".to_owned(),
            Some(bears) => thousands(*bears),
        };
        let waits = counts.iter().map(|count| {
            let row = rows.iter().find(|row| row.silent == *count);
            let wait = row.and_then(|row| row.seconds);
            wait.map_or("too long to try".to_owned(), |wait| time(wait.median))
        });
        format!("`{server}` | {bears} | {}", waits.collect::<Vec<_>>().join(" | "))
    };
    let servers = || rows.chunk_by(|a, b| a.server == b.server);
    let table = table(&(head + &waits.collect::<String>()), servers().map(line));
    let labels = Labels {
        title: "What the next client waits behind silent ones",
        description: "Five lines over the number of silent clients. The line of iterative rises from one deadline in proportion to the clients. Those of pool and prefork lie flat and low while there are fewer clients than workers, and then rise likewise, a sixteenth as high. Those of fork and thread stay low.",
        x: "silent clients before it",
        y: "seconds until its answer",
    };
    let line = |name: &&str| {
        let rows = rows.iter().filter(|row| row.server == *name);
        Series::of(name, rows.filter_map(|row| Some((row.silent as f64, row.seconds?))))
    };
    let chart = Chart::new(Kind::Line, &labels, SERVERS.iter().map(line));
    vec![Part::new("slow-client", table, Some(chart))]
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.2} s"),
        s => format!("{s:.1} s"),
    }
}
