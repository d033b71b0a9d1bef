//! `lab slow-client`: how many silent clients each server bears, and what the next one waits.
//!
//! Every server is the real program. Clients connect and say nothing; then one
//! more asks, and its answer is timed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::experiment::{Experiment, Kind, Parameter, charted};
use super::prediction::{Form, Predict};
use super::record::{Part, keep, number};
use super::running::Server;
use super::spread::{Spread, some, thousands};
use crate::servers;

const SERVERS: [&str; 5] = ["iterative", "fork", "thread", "pool", "prefork"];
static COUNTS: Parameter = Parameter {
    name: "silent clients",
    quick: &[1, 10, 100],
    full: &[1, 10, 100, 1_000],
};
/// The most silent clients that a server is tried with, to see how many it bears.
static MOST: Parameter =
    Parameter { name: "silent clients at most", quick: &[300], full: &[1_000] };
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[1], full: &[3] };
/// In seconds. The contract's minute would make this take a day.
const IDLE: f64 = 0.1;
/// Behind so many deadlines one after another we wait no more.
const TOO_LONG: usize = 100;
/// Without an answer in this time it will not come before somebody leaves.
const SOON: Duration = Duration::from_secs(1);

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "slow-client",
    question: "How many silent clients does a server bear, and what does the next one wait?",
    predict: Predict {
        ask: "A pool has sixteen workers, and a silent client is hung up on after a tenth of a second. A hundred silent clients are there before you. How long do you wait?",
        form: Form::Number {
            unit: "s",
            answer: |record| {
                let waits = record.row(&[("server", "pool")])?["waits"].as_array()?;
                let behind = waits.iter().find(|wait| wait["silent"] == 100)?;
                number(&behind["seconds"])
            },
        },
    },
    parameters: &[&COUNTS, &MOST, &REPEATS],
    parts: &[charted("slow-client", Kind::Line)],
    from_page: true,
    run,
};

#[derive(Clone, Serialize)]
struct Row {
    server: &'static str,
    /// So many silent clients, and another is served at once; nothing if it bore all that were tried.
    bears: Option<usize>,
    waits: Vec<Wait>,
}

/// What a client waits for its answer, in seconds.
#[derive(Clone, Serialize)]
struct Wait {
    silent: usize,
    seconds: Spread,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    for server in SERVERS {
        servers::find(lab.house, server)?; // one after another, as cargo builds them
    }
    lab.begin(SERVERS.len() * (1 + lab.list(&COUNTS).len()));
    let rows = SERVERS.map(|server| Row { server, bears: None, waits: Vec::new() });
    let rows = Mutex::new(rows);
    // All at once: they do nothing but wait.
    thread::scope(|scope| {
        let rows = &rows;
        let all: [_; SERVERS.len()] =
            std::array::from_fn(|at| scope.spawn(move || row(lab, at, rows)));
        all.map(|measured| measured.join().unwrap_or_else(|_| std::process::exit(101)))
            .into_iter()
            .collect::<Result<()>>()
    })?;
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    keep(lab, &rows, parts(lab, &rows))
}

fn row(lab: &Lab<'_>, at: usize, rows: &Mutex<[Row; SERVERS.len()]>) -> Result<()> {
    let server = SERVERS[at];
    lab.step(&format!("{server}, how many it bears"));
    let bears = bears(lab, server)?;
    for &silent in lab.list(&COUNTS) {
        lab.step(&format!("{server}, behind {}", some(silent, "silent client")));
        // Who bears one less for each deadline would keep us for ever.
        let forever = bears.is_some_and(|bears| silent / (bears + 1) > TOO_LONG);
        let repeats = if forever { 0 } else { lab.one(&REPEATS) };
        let once = |_| behind(lab, server, silent);
        let seconds = (0..repeats).map(once).collect::<Result<Vec<f64>>>()?;
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows[at].bears = bears;
        if !forever {
            rows[at].waits.push(Wait { silent, seconds: Spread::of(seconds) });
        }
        lab.partial(|| parts(lab, &*rows));
    }
    Ok(())
}

fn parts(lab: &Lab<'_>, rows: &[Row]) -> Vec<Part> {
    vec![Part::new("slow-client", table(lab, rows), Some(chart(rows)))]
}

/// The silent clients beside whom one more is served at once.
fn bears(lab: &Lab<'_>, server: &str) -> Result<Option<usize>> {
    let server = start(lab, server, 3600.0)?;
    let address = server.address;
    let mut silent = Vec::new();
    while silent.len() < lab.one(&MOST) {
        silent.push(TcpStream::connect(address)?);
        if ask(address, Some(SOON))?.is_none() {
            return stop(server, silent).map(|silent| Some(silent - 1));
        }
    }
    stop(server, silent).map(|_| None)
}

/// The seconds that a client waits behind so many silent ones.
fn behind(lab: &Lab<'_>, server: &str, count: usize) -> Result<f64> {
    let server = start(lab, server, IDLE)?;
    let address = server.address;
    let mut silent = Vec::with_capacity(count);
    for _ in 0..count {
        silent.push(TcpStream::connect(address)?);
    }
    let waited = ask(address, None)?.context("no answer")?;
    stop(server, silent)?;
    Ok(waited.as_secs_f64())
}

fn start(lab: &Lab<'_>, server: &str, idle: f64) -> Result<Server> {
    let idle = idle.to_string();
    Server::start(lab, server, &["--drain-timeout", "1", "--idle-timeout", &idle])
}

fn stop(server: Server, silent: Vec<TcpStream>) -> Result<usize> {
    let count = silent.len();
    drop(silent);
    server.stop()?;
    Ok(count)
}

/// How long an answer takes, if it comes in time.
fn ask(address: SocketAddr, within: Option<Duration>) -> Result<Option<Duration>> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(within)?;
    stream.write_all(
        b"GET /plaintext HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n",
    )?;
    let mut answer = [0; 1024];
    Ok(match stream.read(&mut answer) {
        Ok(n) if answer[..n].starts_with(b"HTTP/1.1 200") => Some(start.elapsed()),
        _ => None,
    })
}

fn table(lab: &Lab<'_>, rows: &[Row]) -> String {
    let counts = lab.list(&COUNTS);
    let mut table = String::from("| server | silent clients that it bears |");
    for &count in counts {
        table += &format!(" the next one's wait behind {} |", thousands(count));
    }
    table += "\n|---|--:|";
    table += &"--:|".repeat(counts.len());
    table += "\n";
    for Row { server, bears, waits } in rows {
        let bears = match bears {
            None => format!("all {} tried", thousands(lab.one(&MOST))),
            Some(0) => "none".to_owned(),
            Some(bears) => thousands(*bears),
        };
        table += &format!("| `{server}` | {bears} |");
        for &count in counts {
            let wait = waits.iter().find(|wait| wait.silent == count);
            table += &wait.map_or(" too long to try |".to_owned(), |wait| {
                format!(" {} |", time(wait.seconds.median))
            });
        }
        table += "\n";
    }
    table
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.2} s"),
        s => format!("{s:.1} s"),
    }
}

fn chart(rows: &[Row]) -> Chart {
    let series = rows.iter().map(|row| {
        let waits = row.waits.iter();
        Series::of(row.server, waits.map(|wait| (wait.silent as f64, wait.seconds)))
    });
    let words = Words {
        title: "What the next client waits behind silent ones",
        description: "Five lines over the number of silent clients. The line of iterative rises from one deadline in proportion to the clients. Those of pool and prefork lie flat and low while there are fewer clients than workers, and then rise likewise, a sixteenth as high. Those of fork and thread stay low.",
        x: "silent clients before it",
        y: "seconds until its answer",
    };
    Chart::new(Kind::Line, &words, series)
}
