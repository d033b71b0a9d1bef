//! `lab concurrency`: every server, from one client to ten thousand, who ask all the time.
//!
//! Each server is the real program, and the client is the suite's `load`. In three manners:
//! every client keeps its connection and always has a request under way; all clients
//! together ask so many times a second, so that of many most are silent at any moment; every
//! request is a new connection. Client and server share this machine's processors.

mod tables;

use std::time::Duration;

use anyhow::{Context, Result};
use client_suite::load::{self, Errors, Phase, Plan};
use serde::Serialize;

use super::running::Server;
use super::spread::Spread;
use super::{Lab, Part, family, keep_parts};

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

/// How much is measured.
struct Effort {
    clients: &'static [usize],
    rounds: usize,
    warm_up: Duration,
    time: Duration,
}

/// What is recorded; and a look, which takes a few minutes.
const RECORDED: Effort = Effort {
    clients: &[1, 10, 100, 1_000, 10_000],
    rounds: 3,
    warm_up: Duration::from_millis(100),
    time: Duration::from_millis(500),
};
const A_LOOK: Effort = Effort {
    clients: &[1, 100, 1_000, 10_000],
    rounds: 1,
    warm_up: Duration::from_millis(100),
    time: Duration::from_millis(500),
};

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
pub(super) fn run(lab: &Lab<'_>) -> Result<()> {
    let effort = if lab.record { &RECORDED } else { &A_LOOK };
    if !lab.record {
        eprintln!("lab concurrency: a quick look; --record measures longer");
    }
    let mut rows = Vec::new();
    for manner in [Manner::Busy, Manner::Steady, Manner::Each] {
        for server in SERVERS {
            for &clients in effort.clients {
                eprintln!("lab concurrency: {server}, {clients} clients, {manner:?}");
                rows.push(
                    row(lab, effort, server, manner, clients)
                        .with_context(|| format!("with {server}"))?,
                );
            }
        }
    }
    let once = effort.rounds == 1;
    let part = |name, table, chart| Part { name, table, chart, once };
    let tables = tables::Tables { clients: effort.clients, rows: &rows };
    let (busy, steady, each) = (Manner::Busy, Manner::Steady, Manner::Each);
    keep_parts(
        lab,
        "concurrency",
        &rows,
        &[
            part("concurrency", tables.speed(busy), None),
            part("concurrency-cpu", tables.cost(busy), None),
            part("concurrency-p99", tables.latency(busy), None),
            part("concurrency-steady", tables.cost(steady), Some(tables.chart(steady))),
            part("concurrency-steady-p99", tables.latency(steady), None),
            part("concurrency-each", tables.speed(each) + &tables::published(), None),
        ],
    )
}

fn row(
    lab: &Lab<'_>,
    effort: &Effort,
    server: &'static str,
    manner: Manner,
    clients: usize,
) -> Result<Row> {
    let rounds = (0..effort.rounds)
        .map(|_| round(lab, effort, server, manner, clients))
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
fn round(
    lab: &Lab<'_>,
    effort: &Effort,
    server: &str,
    manner: Manner,
    clients: usize,
) -> Result<Round> {
    let running = Server::start(lab, server, &OPTIONS)?;
    let plan = Plan {
        connections: clients,
        keep_alive: manner != Manner::Each,
        rate: (manner == Manner::Steady).then_some(STEADY),
        timeout: PATIENCE,
        warm_up: effort.warm_up,
        time: effort.time,
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
