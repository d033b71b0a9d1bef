//! `lab closing`: clients that wait to be accepted by several event loops, when one loop closes
//! its listener. How many of the clients are reset?
//!
//! The listeners are those of the server `reactors`, but no event loop runs: the experiment itself
//! closes one loop's listener while all clients still wait, and then accepts and answers clients in
//! place of the other loops and of the server's successor process. The figures are what the clients
//! see: an answer from another loop, an answer from the successor, or a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ch01_blocking::Listener;
use ch01_blocking::program::raise_descriptor_limit;
use ch01_blocking::server::listener::Mode;
use ch05_epoll::reactors::{self, Listeners};
use serde::Serialize;

use crate::lab::prelude::*;

static LOOPS: Parameter = parameter("loops", &[2, 4, 8], &[2, 4, 8]);
static REPEATS: Parameter = parameter("repeats", &[3], &[5]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "closing",
    question: "One of several loops goes: which of the clients that wait does it take along?",
    predict: number(
        "Four loops, each with a listener of its own, and four hundred clients that are connected, have sent their request, and wait to be accepted. One of the loops dies, and its listener is closed with it. How many of the clients are reset?",
        "clients",
        |record| record.figure(&[("listeners", "`each`"), ("loops", "4")], "reset"),
    ),
    parameters: &[&LOOPS, &REPEATS],
    parts: &[tabled("closing")],
    ..measured_by(run)
};

/// The number of clients, all of which fit into a single accept queue. On loopback a client is
/// in a queue as soon as connect(2) returns.
const CLIENTS: usize = 400;
/// The time for which a client waits for its answer or a reset. Only a client that hangs waits that
/// long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The name of a way to close a listener; whether all loops share one listener or each loop has its
/// own; and whether a successor process keeps a descriptor of the closed listener.
type CloseMode = (&'static str, Listeners, bool);

const MODES: [CloseMode; 3] = [
    ("`each`", Listeners::Each, false),
    ("`each`, and the parent keeps it", Listeners::Each, true),
    ("`one`", Listeners::One, false),
];

#[derive(Serialize)]
struct Row {
    listeners: &'static str,
    loops: usize,
    clients: usize,
    by_others: Summary,
    by_successor: Summary,
    reset: Summary,
}

/// The numbers of clients that were answered by another loop, were answered by the server's
/// successor process, or were reset.
#[derive(Default)]
struct Outcome {
    by_others: usize,
    by_successor: usize,
    reset: usize,
}

fn run(run: &Run<'_>) -> Result<Results> {
    raise_descriptor_limit();
    let of = |mode| run.list(&LOOPS).iter().map(move |&loops| (mode, loops));
    let cells = MODES.into_iter().flat_map(of).collect();
    let name = |(mode, loops): &(CloseMode, usize)| {
        format!("{}, {loops} loops", mode.0.replace('`', ""))
    };
    run.rows(cells, name, |(mode, loops)| row(run, mode, loops), parts)
}

fn row(run: &Run<'_>, mode: CloseMode, loops: usize) -> Result<Row> {
    let outcomes: Vec<Outcome> =
        (0..run.one(&REPEATS)).map(|_| close_one(mode, loops)).collect::<Result<_>>()?;
    let summary = |of: fn(&Outcome) -> usize| {
        Summary::over(&outcomes, |outcome| of(outcome) as f64)
    };
    Ok(Row {
        listeners: mode.0,
        loops,
        clients: CLIENTS,
        by_others: summary(|outcome| outcome.by_others),
        by_successor: summary(|outcome| outcome.by_successor),
        reset: summary(|outcome| outcome.reset),
    })
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let head = "listeners | >loops | >clients that wait | >answered by the other loops | >… by a successor | >reset";
    let row = |row: &Row| {
        let Row { listeners, loops, clients, by_others, by_successor, reset } = row;
        let reset = match reset.max {
            0.0 => "none".to_owned(),
            _ => format!("{:.0} ({:.0} to {:.0})", reset.median, reset.min, reset.max),
        };
        let [others, successor] = [by_others.median, by_successor.median];
        format!(
            "{listeners} | {loops} | {clients} | {others:.0} | {successor:.0} | {reset}"
        )
    };
    vec![Part::new("closing", table(head, rows.iter().map(row)), None)]
}

/// Connects all clients, closes one listener, and accepts and answers the clients that wait at the
/// other listeners. If a successor process has kept the closed listener, then also answers the
/// clients that wait there.
fn close_one((_, listeners, kept): CloseMode, loops: usize) -> Result<Outcome> {
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.address()?;
    let mut others = reactors::split_listener(listener, listeners, loops)?;
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(TIMEOUT))?;
        client.write_all(b"?")?;
        clients.push(client);
    }
    let closed = others.pop().context("no listener")?;
    let successor = if kept { Some(closed.shared()?) } else { None };
    drop(closed);
    let mut served = Vec::new();
    for listener in &others {
        answer_all(listener, b'o', &mut served)?;
    }
    if let Some(listener) = &successor {
        answer_all(listener, b's', &mut served)?;
    }
    let mut outcome = Outcome::default();
    for mut client in clients {
        let mut answer = [0];
        match client.read(&mut answer) {
            Ok(1) if answer == *b"o" => outcome.by_others += 1,
            Ok(1) => outcome.by_successor += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                outcome.reset += 1
            }
            other => bail!("a client was neither answered nor reset: {other:?}"),
        }
    }
    Ok(outcome)
}

/// Accepts every client in the listener's queue, and answers each with the byte `with`.
fn answer_all(listener: &Listener, with: u8, served: &mut Vec<TcpStream>) -> Result<()> {
    while let Some(mut client) = listener.accept_now(Mode::Blocking)? {
        client.socket.write_all(&[with])?;
        served.push(client.socket);
    }
    Ok(())
}
