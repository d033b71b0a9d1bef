//! `lab waiting`: what a client costs its server, by what the two wait for.
//!
//! So many clients are idle; or have sent half a head and no more; or wait for an answer
//! that sleeps. Each time the server's own memory is weighed (`RssAnon` of proc(5)), a fresh
//! program for each. An idle client can be had for nearly nothing. Whoever is in the middle of something
//! has to be remembered: by a thread's stack, by a connection's buffers, by a coroutine's
//! stack, by a future.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use serde::Serialize;

use super::Lab;
use super::experiment::{Experiment, Parameter, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::running::{Server, ask, hold};
use super::spread::{bytes, thousands};

/// Servers, and the most clients that each is tried with.
const SERVERS: [(&str, usize); 4] =
    [("thread", 5_000), ("epoll", 10_000), ("coroutine", 10_000), ("async", 10_000)];
static CLIENTS: Parameter =
    Parameter { name: "clients at most", quick: &[1_000], full: &[10_000] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "waiting",
    question: "What does a client cost its server, by what the two wait for: thread, epoll, coroutine, async?",
    predict: Predict {
        ask: "A client has sent half a head, and no more. Which server holds least memory for it?",
        form: Form::Choice {
            options: &[
                "thread: a stack",
                "epoll: a connection's buffers",
                "coroutine: a small stack",
                "async: what one function still needs",
            ],
            answer: |record| {
                let each = SERVERS.iter().map(|(server, _)| {
                    record.figure(&[("server", server)], "/half_a_head")
                });
                let each = each.collect::<Option<Vec<f64>>>()?;
                let least = |&(_, a): &(_, f64), &(_, b): &(_, f64)| a.total_cmp(&b);
                let (option, least) = each.into_iter().enumerate().min_by(least)?;
                let server = SERVERS[option].0;
                Some((option, format!("the least is {server}'s, {}", bytes(least))))
            },
        },
    },
    parameters: &[&CLIENTS],
    parts: &[tabled("waiting")],
    from_page: true,
    run,
};

/// What the clients have sent, and what for.
const HALF: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: la";
const SLEEP: &[u8] = b"GET /sleep/60000 HTTP/1.1\r\nHost: lab\r\n\r\n";
/// So many connect before somebody is answered: fewer than a backlog holds.
const AT_ONCE: usize = 100;
/// Between two looks at a server's memory.
const SETTLING: Duration = Duration::from_millis(100);
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Row {
    server: &'static str,
    clients: usize,
    /// Bytes for each client that is idle, …
    idle: f64,
    /// … that is in the middle of a head, …
    half_a_head: f64,
    /// … that waits for its answer.
    asleep: f64,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    raise_descriptor_limit();
    lab.begin(SERVERS.len());
    let rows = SERVERS
        .iter()
        .map(|&(server, most)| {
            let clients = most.min(lab.one(&CLIENTS));
            lab.step(&format!("{server}, {} clients", thousands(clients)));
            let each = |what| {
                each(lab, server, clients, what).with_context(|| format!("with {server}"))
            };
            let (idle, half_a_head, asleep) =
                (each(None)?, each(Some(HALF))?, each(Some(SLEEP))?);
            Ok(Row { server, clients, idle, half_a_head, asleep })
        })
        .collect::<Result<Vec<Row>>>()?;
    keep(lab, &rows, vec![Part::once("waiting", table(&rows))])
}

/// What comes with each client that has sent this; `None`: that was served and is idle.
fn each(lab: &Lab<'_>, server: &str, clients: usize, what: Option<&[u8]>) -> Result<f64> {
    let options = [
        "--idle-timeout",
        "3600",
        "--head-timeout",
        "3600",
        "--max-connections",
        "20000",
    ];
    let running = Server::start(lab, server, &options)?;
    // What is made once, with the first client, belongs to no client.
    drop(hold(running.address, 1)?);
    let alone = settled(&running)?;
    let held = match what {
        None => hold(running.address, clients)?,
        Some(request) => {
            let mut held: Vec<TcpStream> = Vec::with_capacity(clients);
            while held.len() < clients {
                for _ in 0..AT_ONCE.min(clients - held.len()) {
                    held.push(ask(running.address, request)?);
                }
                hold(running.address, 1)?;
            }
            held
        }
    };
    let memory = settled(&running)?;
    drop(held);
    Ok((memory as f64 - alone as f64) * 1024.0 / clients as f64)
}

/// The server's memory, when it does not change any more.
fn settled(running: &Server) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = running.memory()?;
    loop {
        hold(running.address, 1)?;
        thread::sleep(SETTLING);
        let now = running.memory()?;
        if now == before {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "its memory does not come to rest");
        before = now;
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| server | clients | each that is idle | each that has sent half a head | each that waits for its answer |\n\
         |---|--:|--:|--:|--:|\n",
    );
    for Row { server, clients, idle, half_a_head, asleep } in rows {
        table += &format!(
            "| `{server}` | {} | {} | {} | {} |\n",
            thousands(*clients),
            bytes(*idle),
            bytes(*half_a_head),
            bytes(*asleep),
        );
    }
    table
}
