//! `lab closing`: clients wait to be accepted by several loops, and one of the loops is no
//! more. Who of them is reset?
//!
//! The listeners are those of `reactors`, without loops around them, so that all clients
//! still wait when one listener is closed. What is counted is what the clients see.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ch01_blocking::Listener;
use ch01_blocking::program::raise_descriptor_limit;
use ch01_blocking::server::listener::Mode;
use ch05_epoll::reactors::{self, Listeners};
use serde::Serialize;

use super::Lab;
use super::experiment::{Experiment, Parameter, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::spread::Spread;

static LOOPS: Parameter =
    Parameter { name: "loops", quick: &[2, 4, 8], full: &[2, 4, 8] };
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[3], full: &[5] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "closing",
    question: "One of several loops goes: which of the clients that wait does it take along?",
    predict: Predict {
        ask: "Four loops, each with a listener of its own, and four hundred clients who are connected, have sent their request, and wait to be accepted. One of the loops dies, and its listener is closed with it. How many of the clients are reset?",
        form: Form::Number {
            unit: "clients",
            answer: |record| {
                let row = [("listeners", "`each`"), ("loops", "4")];
                record.figure(&row, "/reset")
            },
        },
    },
    parameters: &[&LOOPS, &REPEATS],
    parts: &[tabled("closing")],
    from_page: true,
    run,
};

/// Fewer than any queue holds, and on loopback each is in one as soon as it is connected.
const CLIENTS: usize = 400;
/// Long after all has been answered that ever will be; only a hang gets here.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the clients were dealt out.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    listeners: Listeners,
    /// Whether another process holds the closed socket too, for a successor.
    kept: bool,
}

const WAYS: [Way; 3] = [
    Way { name: "`each`", listeners: Listeners::Each, kept: false },
    Way {
        name: "`each`, and the parent keeps it",
        listeners: Listeners::Each,
        kept: true,
    },
    Way { name: "`one`", listeners: Listeners::One, kept: false },
];

#[derive(Serialize)]
struct Row {
    listeners: &'static str,
    loops: usize,
    clients: usize,
    by_others: Spread,
    by_successor: Spread,
    reset: Spread,
}

/// What became of the clients.
#[derive(Default)]
struct Fate {
    by_others: usize,
    by_successor: usize,
    reset: usize,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    lab.begin(WAYS.len() * lab.list(&LOOPS).len());
    let mut rows = Vec::new();
    for way in WAYS {
        for &loops in lab.list(&LOOPS) {
            lab.step(&format!("{}, {loops} loops", way.name.replace('`', "")));
            let fates: Vec<Fate> = (0..lab.one(&REPEATS))
                .map(|_| close_one(way, loops))
                .collect::<Result<_>>()?;
            let spread = |of: fn(&Fate) -> usize| {
                Spread::of(fates.iter().map(|fate| of(fate) as f64).collect())
            };
            rows.push(Row {
                listeners: way.name,
                loops,
                clients: CLIENTS,
                by_others: spread(|fate| fate.by_others),
                by_successor: spread(|fate| fate.by_successor),
                reset: spread(|fate| fate.reset),
            });
        }
    }
    keep(lab, &rows, vec![Part::new("closing", table(&rows), None)])
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| listeners | loops | clients that wait | answered by the other loops | … by a successor | reset |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for Row { listeners, loops, clients, by_others, by_successor, reset } in rows {
        let reset = match reset.max {
            0.0 => "none".to_owned(),
            _ => format!("{:.0} ({:.0} to {:.0})", reset.median, reset.min, reset.max),
        };
        table += &format!(
            "| {listeners} | {loops} | {clients} | {:.0} | {:.0} | {reset} |\n",
            by_others.median, by_successor.median,
        );
    }
    table
}

/// Clients connect and ask, one listener is closed, the others accept whom they have; and
/// then a successor does, if there is one.
fn close_one(way: Way, loops: usize) -> Result<Fate> {
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.address()?;
    let mut others = reactors::deal(listener, way.listeners, loops)?;
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.write_all(b"?")?;
        clients.push(client);
    }
    let closed = others.pop().context("no listener")?;
    let successor = if way.kept { Some(closed.shared()?) } else { None };
    drop(closed);
    let mut served = Vec::new();
    for listener in &others {
        answer_all(listener, b'o', &mut served)?;
    }
    if let Some(listener) = &successor {
        answer_all(listener, b's', &mut served)?;
    }
    let mut fate = Fate::default();
    for mut client in clients {
        let mut answer = [0];
        match client.read(&mut answer) {
            Ok(1) if answer == *b"o" => fate.by_others += 1,
            Ok(1) => fate.by_successor += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => fate.reset += 1,
            other => bail!("a client was neither answered nor reset: {other:?}"),
        }
    }
    Ok(fate)
}

/// Accepts all who wait in this queue, and answers each.
fn answer_all(listener: &Listener, with: u8, served: &mut Vec<TcpStream>) -> Result<()> {
    while let Some(mut client) = listener.accept_now(Mode::Blocking)? {
        client.socket.write_all(&[with])?;
        served.push(client.socket);
    }
    Ok(())
}
