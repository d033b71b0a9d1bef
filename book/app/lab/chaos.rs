//! `lab chaos`: everything at once, for a minute, and one client that means well.
//!
//! Fifteen thousand idle connections; heads and contents that come a byte at a time;
//! clients that ask for a gigabyte and read nothing; others that ask and are gone; more
//! clients than there are descriptors. In their midst one client asks again and again:
//! what does it notice? And afterwards: is everything given back?

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ch01_blocking::program::raise_descriptor_limit;
use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;

use super::Lab;
use super::experiment::{Experiment, Parameter, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, Record, keep};
use super::running::{KEPT, Server, answered, ask, hold};
use super::spread::{bytes, thousands};

const SERVERS: [&str; 5] = ["epoll", "epoll-et", "reactors", "coroutine", "async"];
static IDLE: Parameter =
    Parameter { name: "idle connections", quick: &[2_000], full: &[15_000] };
static LASTS: Parameter = Parameter { name: "seconds", quick: &[3], full: &[60] };
/// So many of each other kind.
const EACH: usize = 200;
/// What the server may open beside the idle ones: enough for all of those, and not for all
/// that come.
const DESCRIPTORS: usize = 3 * EACH + 200;
/// So many find no descriptor left, in the second half.
const TOO_MANY: usize = 500;
/// From one round to the next.
const PAUSE: Duration = Duration::from_millis(10);
const RESETS: usize = 10;

const OPTIONS: [&str; 10] = [
    "--max-connections",
    "30000",
    "--idle-timeout",
    "3600",
    "--head-timeout",
    "2",
    "--body-timeout",
    "2",
    "--write-timeout",
    "2",
];

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "chaos",
    question: "Everything that clients can do, at once: what does one that means well notice?",
    predict: Predict {
        ask: "Thousands are idle, hundreds send a byte at a time or read nothing, more come than there are descriptors. What becomes of the one client that asks as it should?",
        form: Form::Choice {
            options: &[
                "some of its requests fail",
                "all are answered, the median in more than a millisecond",
                "all are answered, the median in less than a millisecond",
            ],
            answer: answered_by,
        },
    },
    parameters: &[&IDLE, &LASTS],
    parts: &[tabled("chaos")],
    from_page: true,
    run,
};

#[derive(Serialize)]
struct Row {
    server: &'static str,
    /// Of the client that means well.
    requests: usize,
    failed: usize,
    median_microseconds: f64,
    slowest_microseconds: f64,
    resets: usize,
    /// Before the crowd came, in its midst, and when it had gone.
    descriptors: [usize; 3],
    kib: [u64; 3],
}

/// What a result says to that.
fn answered_by(record: &Record) -> Option<(usize, String)> {
    let rows = record.rows.as_array()?;
    let most = |field: &str| {
        rows.iter().filter_map(|row| row[field].as_f64()).max_by(f64::total_cmp)
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

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    lab.begin(SERVERS.len());
    let rows = SERVERS
        .map(|server| row(lab, server))
        .into_iter()
        .collect::<Result<Vec<Row>>>()?;
    keep(lab, &rows, vec![Part::once("chaos", table(&rows))])
}

fn row(lab: &Lab<'_>, server: &'static str) -> Result<Row> {
    let lasts = Duration::from_secs(lab.one(&LASTS) as u64);
    let idle = lab.one(&IDLE);
    lab.step(&format!("{server}, {} s", lasts.as_secs()));
    let running = Server::start_within(lab, server, &OPTIONS, idle + DESCRIPTORS)?;
    let mut good = ask(running.address, KEPT)?;
    answered(&mut good)?;
    let before = (running.descriptors()?, running.memory()?);
    let idle = hold(running.address, idle)?;
    let mut crowd = Crowd::gather(running.address)?;
    let (mut times, mut failed, mut resets) = (Vec::new(), 0, 0);
    let mut late = Vec::new();
    let start = Instant::now();
    while start.elapsed() < lasts {
        crowd.drip(running.address);
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
    let midst = (running.descriptors()?, running.memory()?);
    drop((idle, crowd, late));
    let after = until_back(&running, before.0)?;
    times.sort_by(f64::total_cmp);
    Ok(Row {
        server,
        requests: times.len() + failed,
        failed,
        median_microseconds: times.get(times.len() / 2).copied().unwrap_or_default(),
        slowest_microseconds: times.last().copied().unwrap_or_default(),
        resets,
        descriptors: [before.0, midst.0, after.0],
        kib: [before.1, midst.1, after.1],
    })
}

/// Those whose connections the server cuts, and who come again.
struct Crowd {
    /// Each with what it sends first.
    dripping: Vec<(TcpStream, &'static [u8])>,
    never_read: Vec<TcpStream>,
}

const HEAD: &[u8] = b"GET /plaintext HTTP/1.1\r\nX: ";
const CONTENT: &[u8] =
    b"POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 900000\r\n\r\n";
const GIGABYTE: &[u8] = b"GET /bytes/1073741824 HTTP/1.1\r\nHost: lab\r\n\r\n";

impl Crowd {
    fn gather(address: SocketAddr) -> Result<Crowd> {
        let dripping = [HEAD, CONTENT]
            .into_iter()
            .flat_map(|first| (0..EACH).map(move |_| (first, connect(address, first))))
            .map(|(first, client)| Ok((client?, first)))
            .collect::<Result<_>>()?;
        let never_read =
            (0..EACH).map(|_| connect(address, GIGABYTE)).collect::<Result<_>>()?;
        Ok(Crowd { dripping, never_read })
    }

    /// Each sends one byte. Those who were cut begin again.
    fn drip(&mut self, address: SocketAddr) {
        for (client, first) in &mut self.dripping {
            if client.write(b"x").is_err()
                && let Ok(again) = connect(address, first)
            {
                *client = again;
            }
        }
        for client in &mut self.never_read {
            // It never reads, so only what it sends tells it that it was cut.
            if client.write(b"\r\n").is_err()
                && let Ok(again) = connect(address, GIGABYTE)
            {
                *client = again;
            }
        }
    }
}

fn connect(address: SocketAddr, first: &[u8]) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address).context("cannot connect")?;
    setsockopt(&client, sockopt::RcvBuf, &4096)?;
    client.write_all(first)?;
    client.set_nonblocking(true)?; // the server may not read it, and we do not wait
    Ok(client)
}

/// Asks, and is gone.
fn reset(address: SocketAddr) -> Result<()> {
    let client = ask(address, GIGABYTE)?;
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    Ok(setsockopt(&client, sockopt::Linger, &at_once)?)
}

/// Waits until the descriptors are what they were, or for a minute.
fn until_back(server: &Server, before: usize) -> Result<(usize, u64)> {
    let start = Instant::now();
    while server.descriptors()? > before && start.elapsed() < Duration::from_secs(60) {
        thread::sleep(PAUSE);
    }
    Ok((server.descriptors()?, server.memory()?))
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| server | its requests | failed | median | slowest | descriptors before, during, after | memory |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let memory = row.kib.map(|kib| bytes(kib as f64 * 1024.0)).join(", ");
        table += &format!(
            "| `{}` | {} | {} | {:.0} µs | {:.1} ms | {} | {memory} |\n",
            row.server,
            thousands(row.requests),
            row.failed,
            row.median_microseconds,
            row.slowest_microseconds / 1000.0,
            row.descriptors.map(thousands).join(", "),
        );
    }
    table
}
