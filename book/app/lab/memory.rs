//! `lab memory`: what a server owns for each client that says nothing.
//!
//! Every server is the real program. So many clients connect, ask once, have their answer,
//! keep their connection, and say nothing more. Then the server's own memory is weighed
//! (`RssAnon` of proc(5): what it wrote itself, not its program and not the kernel's
//! sockets), a fresh client asks, all leave, every descriptor must be given back, and the same
//! is done once more.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use super::running::{Server, hold};
use super::spread::{bytes, thousands};
use super::{Lab, keep};

/// Each server, and how many clients it is tried with: `select` has no room for more. A
/// server that a later chapter brings is a line here.
const SERVERS: &[(&str, usize)] = &[
    ("thread", 10_000),
    ("spin", 10_000),
    ("sigio", 10_000),
    ("select", 1_000),
    ("poll", 10_000),
    ("epoll", 15_000),
    ("epoll-et", 15_000),
    ("reactors", 15_000),
    ("coroutine", 15_000),
    ("async", 15_000),
];
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Row {
    server: &'static str,
    clients: usize,
    /// Memory before there were clients, in bytes.
    alone: f64,
    /// What came to it with the clients, for each of them, in bytes.
    each: f64,
    /// How much more the second round held than the first, in percent of what was resident.
    second: f64,
}

/// The whole experiment.
pub(super) fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    let rows = SERVERS
        .iter()
        .map(|&(server, clients)| {
            eprintln!("lab memory: {server}, {clients} clients");
            row(lab, server, clients).with_context(|| format!("with {server}"))
        })
        .collect::<Result<Vec<Row>>>()?;
    keep(lab, "memory", &rows, &table(&rows), None)
}

fn row(lab: &Lab<'_>, server: &'static str, clients: usize) -> Result<Row> {
    let options = ["--idle-timeout", "3600", "--max-connections", "20000"];
    let running = Server::start(lab, server, &options)?;
    let Weight { alone, each, second } = weigh(&running, clients)?;
    Ok(Row { server, clients, alone, each, second })
}

/// What idle connections weigh.
pub(super) struct Weight {
    /// As in [`Row`].
    alone: f64,
    /// As in [`Row`].
    pub(super) each: f64,
    /// As in [`Row`].
    second: f64,
}

/// Weighs a server that has just been started.
pub(super) fn weigh(running: &Server, clients: usize) -> Result<Weight> {
    // What is made once, with the first client, belongs to no client.
    let first = hold(running.address, 1)?;
    let before = running.descriptors()? - first.len();
    let given_back = |running: &Server| -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while running.descriptors()? > before {
            ensure!(Instant::now() < deadline, "descriptors are not given back");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    };
    drop(first);
    given_back(running)?;
    let alone = running.memory()?;
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let held = hold(running.address, clients)?;
        rounds.push((running.memory()?, running.resident()?));
        hold(running.address, 1).context("a fresh client beside them")?;
        drop(held);
        given_back(running)?;
    }
    let kib = |memory: u64| memory as f64 * 1024.0;
    let ((first, resident), (_, again)) = (rounds[0], rounds[1]);
    Ok(Weight {
        alone: kib(alone),
        each: (kib(first) - kib(alone)) / clients as f64,
        second: (again as f64 / resident as f64 - 1.0) * 100.0,
    })
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| | idle clients | its own memory for each | for all of them | without any | more in the second round |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for Row { server, clients, alone, each, second, .. } in rows {
        table += &format!(
            "| `{server}` | {} | {} | {} | {} | {:.1}% |\n",
            thousands(*clients),
            bytes(*each),
            bytes(each * *clients as f64),
            bytes(*alone),
            second.max(0.0),
        );
    }
    table
}
