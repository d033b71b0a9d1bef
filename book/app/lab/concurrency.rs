//! `lab concurrency`: every server, from one client to ten thousand, who ask all the time.
//!
//! Each server is the real program, and the client is the suite's `load`. In three manners:
//! every client keeps its connection and always has a request under way; all clients
//! together ask so many times a second, so that of many most are silent at any moment; every
//! request is a new connection. Client and server share this machine's processors.

mod tables;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use client_suite::load::{self, Errors, Phase, Plan};
use serde::Serialize;

use super::experiment::{Experiment, Kind, Parameter, charted, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::running::Server;
use super::spread::{Spread, some};
use super::{Lab, family};

/// In the order of the story. A server that a later chapter brings is a line here.
const SERVERS: [&str; 14] = [
    "iterative",
    "fork",
    "thread",
    "pool",
    "prefork",
    "spin",
    "sigio",
    "select",
    "poll",
    "epoll",
    "epoll-et",
    "reactors",
    "coroutine",
    "async",
];
/// Not shorter than what is measured: so a client that is never answered fails once in
/// each round, and such failures count clients.
const PATIENCE: Duration = Duration::from_millis(1_200);
const OPTIONS: [&str; 4] = ["--max-connections", "20000", "--idle-timeout", "3600"];

static CLIENTS: Parameter = Parameter {
    name: "clients",
    quick: &[1, 100, 1_000],
    full: &[1, 10, 100, 1_000, 10_000],
};
/// All of it takes ten minutes a round.
static ROUNDS: Parameter = Parameter { name: "rounds", quick: &[1], full: &[1] };
static MEASURED: Parameter =
    Parameter { name: "milliseconds measured", quick: &[300], full: &[500] };
const WARM_UP: Duration = Duration::from_millis(100);

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "concurrency",
    question: "All servers, from one client to ten thousand: who still answers, and at what cost?",
    predict: Predict {
        ask: "All clients together ask two thousand times a second, whether they are one or ten thousand. How much processor time does a request cost poll, with more and more of them?",
        form: Form::Curve { chart: "concurrency-steady", line: "poll" },
    },
    parameters: &[&CLIENTS, &ROUNDS, &MEASURED],
    parts: &[
        tabled("concurrency"),
        tabled("concurrency-cpu"),
        tabled("concurrency-p99"),
        charted("concurrency-steady", Kind::Line),
        tabled("concurrency-steady-p99"),
        charted("concurrency-each", Kind::Line),
    ],
    from_page: true,
    run,
};

/// In a quick run: the servers of the chart, whose clients are mostly silent; and with a
/// connection for each request, those whose curves were published.
const QUICK: [(Manner, &[&str]); 2] = [
    (Manner::Steady, &["fork", "thread", "spin", "select", "poll", "epoll"]),
    (Manner::Each, &["thread", "poll", "epoll"]),
];

/// Requests a second of all clients together, where they are mostly silent.
const STEADY: f64 = 2_000.0;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Manner {
    /// They ask all the time, on connections that they keep.
    Busy,
    /// They keep their connections, and ask now and then.
    Steady,
    /// They ask all the time, with a new connection for each request.
    Each,
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Manner::Busy => "who ask all the time",
            Manner::Steady => "mostly silent",
            Manner::Each => "a connection for each request",
        })
    }
}

#[derive(Serialize)]
struct Row {
    server: &'static str,
    manner: Manner,
    clients: usize,
    /// Answered well.
    requests_per_second: Spread,
    /// Of those, from asking (with a connection for each: from connecting) to the last byte.
    p50_microseconds: Spread,
    p99_microseconds: Spread,
    /// All processes of the server.
    cpu_microseconds_per_request: Option<Spread>,
    client_busy: Spread,
    /// In the round with most of them.
    errors: Errors,
    /// Were due, and nobody was free to send them.
    unsent: u64,
}

/// What one round brings.
struct Round {
    requests_per_second: f64,
    p50: f64,
    p99: f64,
    cpu: Option<f64>,
    client_busy: f64,
    errors: Errors,
    unsent: u64,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    let manners: Vec<(Manner, &[&'static str])> = if lab.full {
        [Manner::Busy, Manner::Steady, Manner::Each]
            .map(|manner| (manner, &SERVERS[..]))
            .into()
    } else {
        QUICK.into()
    };
    let servers: usize = manners.iter().map(|(_, servers)| servers.len()).sum();
    lab.begin(servers * lab.list(&CLIENTS).len());
    let mut rows = Vec::new();
    for (manner, servers) in manners {
        for &server in servers {
            for &clients in lab.list(&CLIENTS) {
                lab.step(&format!("{server}, {}, {manner}", some(clients, "client")));
                rows.push(
                    row(lab, server, manner, clients)
                        .with_context(|| format!("with {server}"))?,
                );
                lab.partial(|| parts(lab, &rows));
            }
        }
    }
    keep(lab, &rows, parts(lab, &rows))
}

/// A quick run has not measured all of it.
fn parts(lab: &Lab<'_>, rows: &[Row]) -> Vec<Part> {
    let tables = tables::Tables { clients: lab.list(&CLIENTS), rows };
    let (busy, steady, each) = (Manner::Busy, Manner::Steady, Manner::Each);
    let there = |manner| rows.iter().any(|row| row.manner == manner);
    let once = lab.one(&ROUNDS) == 1;
    let part = |name, table, chart| Part { once, ..Part::new(name, table, chart) };
    let mut parts = Vec::new();
    if there(busy) {
        parts.extend([
            part("concurrency", tables.speed(busy), None),
            part("concurrency-cpu", tables.cost(busy), None),
            part("concurrency-p99", tables.latency(busy), None),
        ]);
    }
    if there(steady) {
        parts.extend([
            part("concurrency-steady", tables.cost(steady), Some(tables.cost_chart())),
            part("concurrency-steady-p99", tables.latency(steady), None),
        ]);
    }
    if there(each) {
        let table = tables.speed(each) + &tables::published();
        parts.push(part("concurrency-each", table, Some(tables.speed_chart())));
    }
    parts
}

fn row(
    lab: &Lab<'_>,
    server: &'static str,
    manner: Manner,
    clients: usize,
) -> Result<Row> {
    let rounds = (0..lab.one(&ROUNDS))
        .map(|_| round(lab, server, manner, clients))
        .collect::<Result<Vec<Round>>>()?;
    let spread = |of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of).collect());
    let cpu: Vec<f64> = rounds.iter().filter_map(|round| round.cpu).collect();
    let worst = rounds.iter().map(|round| round.errors).max_by_key(Errors::total);
    Ok(Row {
        server,
        manner,
        clients,
        requests_per_second: spread(|round| round.requests_per_second),
        p50_microseconds: spread(|round| round.p50),
        p99_microseconds: spread(|round| round.p99),
        cpu_microseconds_per_request: (!cpu.is_empty()).then(|| Spread::of(cpu)),
        client_busy: spread(|round| round.client_busy),
        errors: worst.unwrap_or_default(),
        unsent: rounds.iter().map(|round| round.unsent).max().unwrap_or(0),
    })
}

/// A fresh server, since what one round leaves behind (clients in its backlog that gave up, for
/// instance) is not to be met by the next.
fn round(lab: &Lab<'_>, server: &str, manner: Manner, clients: usize) -> Result<Round> {
    let running = Server::start(lab, server, &OPTIONS)?;
    let plan = Plan {
        connections: clients,
        keep_alive: manner != Manner::Each,
        rate: (manner == Manner::Steady).then_some(STEADY),
        timeout: PATIENCE,
        warm_up: WARM_UP,
        time: Duration::from_millis(lab.one(&MEASURED) as u64),
        ..Plan::new(running.address, "/plaintext")
    };
    let (mut before, mut after) = (None, None);
    let outcome = load::run(&plan, &mut |phase| match phase {
        Phase::Measuring { .. } if before.is_none() => {
            before = Some(family::used(running.id()))
        }
        Phase::Finished => after = Some(family::used(running.id())),
        _ => {}
    })?;
    let account = |account: Option<Result<Duration>>| account.context("no account")?;
    let used = account(after)?.saturating_sub(account(before)?);
    let quantile = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
    let requests = outcome.requests as f64;
    Ok(Round {
        requests_per_second: requests / outcome.elapsed.as_secs_f64(),
        p50: quantile(0.5),
        p99: quantile(0.99),
        cpu: (outcome.requests > 0).then(|| used.as_secs_f64() * 1e6 / requests),
        client_busy: outcome.client_busy,
        errors: outcome.errors,
        unsent: outcome.unsent,
    })
}
