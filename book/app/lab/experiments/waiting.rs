//! `lab waiting`: a server's memory for each client, by the client's state.
//!
//! Clients are idle, or have sent half a head, or wait for a delayed answer. For each of these
//! three states, a fresh server's own memory is read (`RssAnon` of proc(5)). For a client in the
//! middle of a request, a server has to keep state: on a thread's stack, in a connection's buffers,
//! on a coroutine's stack, or in a future. For an idle client, `thread` needs as much memory as for
//! a client in the middle of a request, because the client's thread keeps its stack; the other
//! servers need next to nothing.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::clients::{hold, waiting};
use crate::lab::tools::server::Server;

/// The servers, each with its greatest number of clients in this measurement.
const SERVERS: [(&str, usize); 4] =
    [("thread", 5_000), ("epoll", 10_000), ("coroutine", 10_000), ("async", 10_000)];
static CLIENTS: Parameter = parameter("clients at most", &[1_000], &[10_000]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "waiting",
    question: "What does a client cost its server, by what the two wait for: thread, epoll, coroutine, async?",
    predict: choice(
        "A client has sent only half a head. Which server holds least memory for it?",
        &[
            "thread: a stack",
            "epoll: a connection's buffers",
            "coroutine: a small stack",
            "async: what one function still needs",
        ],
        |record| {
            let each = SERVERS
                .iter()
                .map(|(name, _)| record.figure(&[("server", name)], "half_a_head"));
            let each = each.collect::<Option<Vec<f64>>>()?;
            let least = |&(_, a): &(_, f64), &(_, b): &(_, f64)| a.total_cmp(&b);
            let (option, least) = each.into_iter().enumerate().min_by(least)?;
            let server = SERVERS[option].0;
            Some((option, format!("the least is {server}'s, {}", bytes(least))))
        },
    ),
    parameters: &[&CLIENTS],
    parts: &[tabled("waiting")],
    ..measured_by(run)
};

/// The first half of a head, sent by clients that then send nothing more.
const HALF: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: la";
/// The request of clients that wait for an answer, which the server sends after a minute.
const SLEEP: &[u8] = b"GET /sleep/60000 HTTP/1.1\r\nHost: lab\r\n\r\n";
/// The pause between two readings of a server's memory.
const SETTLING: Duration = Duration::from_millis(100);
/// The time within which a server's memory must stop changing.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Row {
    server: &'static str,
    clients: usize,
    /// Bytes of the server's memory for each idle client.
    idle: f64,
    /// Bytes of the server's memory for each client that has sent half a head.
    half_a_head: f64,
    /// Bytes of the server's memory for each client that waits for its answer.
    asleep: f64,
}

fn run(run: &Run<'_>) -> Result<Results> {
    raise_descriptor_limit();
    let cells = SERVERS.map(|(server, most)| (server, most.min(run.one(&CLIENTS))));
    let name =
        |&(server, clients): &_| format!("{server}, {} clients", thousands(clients));
    let row = |(server, clients)| {
        let each = |what| each(run, server, clients, what);
        let (idle, half_a_head, asleep) =
            (each(None)?, each(Some(HALF))?, each(Some(SLEEP))?);
        Ok(Row { server, clients, idle, half_a_head, asleep })
    };
    run.rows(cells.into(), name, row, parts)
}

/// Returns the server's memory, in bytes, for each client that has sent `what` and waits for an
/// answer. If `what` is `None`, for each client that was served and is idle.
fn each(run: &Run<'_>, server: &str, clients: usize, what: Option<&[u8]>) -> Result<f64> {
    let options = "--idle-timeout 3600 --head-timeout 3600 --max-connections 20000";
    let running = Server::start(run, server, options)?;
    // Serve one client, so that memory which the server allocates for its first client and keeps is
    // not counted as memory of the clients.
    drop(hold(running.address, 1)?);
    let alone = settled(&running)?;
    let held = match what {
        None => hold(running.address, clients)?,
        Some(request) => waiting(running.address, clients, request)?,
    };
    let memory = settled(&running)?;
    drop(held);
    Ok((memory as f64 - alone as f64) * 1024.0 / clients as f64)
}

/// Waits until the server's memory no longer changes, and returns the memory in KiB.
fn settled(running: &Server) -> Result<u64> {
    let deadline = Instant::now() + TIMEOUT;
    let mut before = running.memory()?;
    loop {
        hold(running.address, 1)?;
        thread::sleep(SETTLING);
        let now = running.memory()?;
        if now == before {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "the server's memory does not settle");
        before = now;
    }
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let head = "server | >clients | >each that is idle | >each that has sent half a head | >each that waits for its answer";
    let row = |Row { server, clients, idle, half_a_head, asleep }: &Row| {
        let each = [*idle, *half_a_head, *asleep].map(bytes).join(" | ");
        format!("`{server}` | {} | {each}", thousands(*clients))
    };
    vec![Part::once("waiting", table(head, rows.iter().map(row)), None)]
}
