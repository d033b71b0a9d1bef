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

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::experiment::{Experiment, Kind, Parameter, charted};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::running::{Server, hold};
use super::spread::{bytes, thousands};

/// Each server, and the most clients that it is tried with: `select` has no room for more. A
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
static CLIENTS: Parameter =
    Parameter { name: "idle clients at most", quick: &[1_000], full: &[15_000] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "memory",
    question: "What does a server own for each client that says nothing?",
    predict: Predict {
        ask: "A client has been served, keeps its connection, and says nothing. How much memory of its own does the server poll hold for it?",
        form: Form::Choice {
            options: &[
                "some hundred bytes",
                "a page, four KiB",
                "a read buffer, sixteen KiB",
                "more",
            ],
            answer: |record| {
                let each = record.figure(&[("server", "poll")], "/each")?;
                let ends = [2_048.0, 8_192.0, 24_576.0];
                let option = ends.iter().filter(|end| each >= **end).count();
                Some((option, format!("{} for each", bytes(each))))
            },
        },
    },
    parameters: &[&CLIENTS],
    parts: &[charted("memory", Kind::Bar)],
    from_page: true,
    run,
};

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
fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    lab.begin(SERVERS.len());
    let mut rows = Vec::new();
    for &(server, most) in SERVERS {
        let clients = most.min(lab.one(&CLIENTS));
        lab.step(&format!("{server}, {} clients", thousands(clients)));
        rows.push(row(lab, server, clients).with_context(|| format!("with {server}"))?);
        lab.partial(|| parts(&rows));
    }
    keep(lab, &rows, parts(&rows))
}

fn parts(rows: &[Row]) -> Vec<Part> {
    vec![Part { once: true, ..Part::new("memory", table(rows), Some(chart(rows))) }]
}

fn chart(rows: &[Row]) -> Chart {
    let words = Words {
        title: "A server's own memory for each idle client",
        description: "A bar for each server. That of thread is by far the longest; those of the event loops and of coroutine are hardly to be seen beside it.",
        x: "",
        y: "bytes for each idle client",
    };
    let bar = |row: &Row| Series::plain(row.server, [(0.0, row.each.max(0.0))]);
    Chart::new(Kind::Bar, &words, rows.iter().map(bar))
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
    // One that has just been killed has none.
    let before = running.descriptors()?.saturating_sub(first.len());
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
        "| server | idle clients | its own memory for each | for all of them | without any | more in the second round |\n\
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
