//! `lab memory`: a server's own memory for each idle client.
//!
//! Every server is the book's own program, in a separate process. Clients connect, send a request,
//! are answered, keep their connection, and send nothing more. Then the server's own memory is read
//! (`RssAnon` of proc(5): the pages that the server itself has written, not the pages of its
//! program and not the kernel's sockets), a fresh client is served, all clients leave, and the
//! server must close the descriptors of all their connections. These steps are then repeated with
//! the same number of new clients.

use anyhow::Result;
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::server::{IdleMemory, Server};

/// The servers, each with its greatest number of clients in this measurement. (`select` can
/// watch at most 1,024 descriptors.)
const SERVERS: [(&str, usize); 10] = [
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
/// The measured servers of chapters 1 to 4, for chapter 4's page, which shows no figure of a later
/// chapter.
const BEFORE_EPOLL: [&str; 5] = ["thread", "spin", "sigio", "select", "poll"];
static CLIENTS: Parameter = parameter("idle clients at most", &[1_000], &[15_000]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "memory",
    question: "What does a server own for each client that says nothing?",
    predict: choice(
        "A client has been served, keeps its connection, and says nothing. How much memory of its own does the server poll hold for it?",
        &["some hundred bytes", "a page, four KiB", "a read buffer, sixteen KiB", "more"],
        |record| {
            let each = record.figure(&[("server", "poll")], "each")?;
            let option = range(each, &[2_048.0, 8_192.0, 24_576.0]);
            Some((option, format!("{} for each", bytes(each))))
        },
    ),
    parameters: &[&CLIENTS],
    parts: &[tabled("memory-idle"), charted("memory", Kind::Bar)],
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    server: &'static str,
    clients: usize,
    /// The server's memory without clients, in bytes.
    alone: f64,
    /// The additional memory for each client, in bytes.
    each: f64,
    /// The growth of the server's resident memory from a first round of clients to a second, in
    /// percent.
    second: f64,
}

fn run(run: &Run<'_>) -> Result<Results> {
    raise_descriptor_limit();
    let cells = SERVERS.map(|(server, most)| (server, most.min(run.one(&CLIENTS))));
    let name =
        |&(server, clients): &_| format!("{server}, {} clients", thousands(clients));
    run.rows(cells.into(), name, |(server, clients)| row(run, server, clients), parts)
}

fn row(run: &Run<'_>, server: &'static str, clients: usize) -> Result<Row> {
    let options = "--idle-timeout 3600 --max-connections 20000";
    let running = Server::start(run, server, options)?;
    let IdleMemory { alone, each, second } = IdleMemory::of(&running, clients)?;
    Ok(Row { server, clients, alone, each, second })
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let labels = Labels {
        title: "A server's own memory for each idle client",
        description: "A bar for each server. That of thread is by far the longest; those of the event loops and of coroutine are hardly to be seen beside it.",
        x: "",
        y: "bytes for each idle client",
    };
    let bar = |row: &Row| Series::plain(row.server, [(0.0, row.each.max(0.0))]);
    let chart = Chart::new(Kind::Bar, &labels, rows.iter().map(bar));
    let head = "server | >idle clients | >its own memory for each | >for all of them | >without any | >more in the second round";
    let line = |Row { server, clients, alone, each, second }: &Row| {
        format!(
            "`{server}` | {} | {} | {} | {} | {:.1}%",
            thousands(*clients),
            bytes(*each),
            bytes(each * *clients as f64),
            bytes(*alone),
            second.max(0.0),
        )
    };
    let before = rows.iter().filter(|row| BEFORE_EPOLL.contains(&row.server));
    vec![
        Part::once("memory-idle", table(head, before.map(line)), None),
        Part::once("memory", table(head, rows.iter().map(line)), Some(chart)),
    ]
}
