//! `lab memory`: what a server owns for each client that says nothing.
//!
//! Every server is the real program. So many clients connect, ask once, have their answer,
//! keep their connection, and say nothing more. Then the server's own memory is weighed
//! (`RssAnon` of proc(5): what it wrote itself, not its program and not the kernel's
//! sockets), a fresh client asks, all leave, and the same is done once more.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use nix::sys::signal::Signal;
use serde::Serialize;

use super::machine::after;
use super::spread::{bytes, thousands};
use super::{Lab, Part, keep_parts};
use crate::servers;
use crate::terminal::Terminal;

/// Each server, and how many clients it is tried with: `select` has no room for more. A
/// server that a later chapter brings is a line here.
const SERVERS: &[(&str, usize)] = &[
    ("thread", 10_000),
    ("spin", 10_000),
    ("sigio", 10_000),
    ("select", 1_000),
    ("poll", 10_000),
    ("epoll", 10_000),
    ("epoll-et", 10_000),
];
/// So many connect before their answers are read: fewer than the kernel's backlog holds.
const BATCH: usize = 400;
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
    /// Descriptors that were not given back.
    kept_descriptors: usize,
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
    let part = Part { name: "memory", table: table(&rows), chart: None };
    keep_parts(lab, "memory", &rows, &[part])
}

fn row(lab: &Lab<'_>, server: &'static str, clients: usize) -> Result<Row> {
    let program = servers::find(lab.house, server)?;
    let mut terminal = Terminal::start(
        Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--max-connections", "20000"])
            .args(["--idle-timeout", "3600"]),
    )?;
    let port = terminal.see("listening on http://127.0.0.1:")?;
    let address = format!("127.0.0.1:{port}").parse()?;
    let pid = terminal.pid();

    // What is made once, with the first client, belongs to no client.
    drop(hold(address, 1)?);
    let descriptors = open_descriptors(pid)?;
    until(|| Ok(open_descriptors(pid)? < descriptors))?;
    let descriptors = open_descriptors(pid)?;
    let alone = own_memory(pid)?;
    let mut held = Vec::new();
    for _ in 0..2 {
        let guests = hold(address, clients)?;
        held.push((own_memory(pid)?, resident(pid)?));
        hold(address, 1).context("a fresh client beside them")?;
        drop(guests);
        until(|| Ok(open_descriptors(pid)? <= descriptors))?;
    }
    let kept_descriptors = open_descriptors(pid)?.saturating_sub(descriptors);
    terminal.signal(Signal::SIGTERM);
    ensure!(terminal.wait()?.success(), "it did not end well");
    let [(first, resident_first), (_, resident_second)] = held[..] else {
        bail!("two rounds were held")
    };
    Ok(Row {
        server,
        clients,
        alone,
        each: (first - alone) / clients as f64,
        second: (resident_second / resident_first - 1.0) * 100.0,
        kept_descriptors,
    })
}

/// So many clients that have had an answer.
fn hold(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let first = clients.len();
        for _ in 0..BATCH.min(count - first) {
            let mut client = TcpStream::connect(address)?;
            client.set_read_timeout(Some(PATIENCE))?;
            client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: lab\r\n\r\n")?;
            clients.push(client);
        }
        for client in &mut clients[first..] {
            let mut answer = [0; 1024];
            let n = client.read(&mut answer).context("no answer")?;
            let answer = String::from_utf8_lossy(&answer[..n]);
            ensure!(
                answer.starts_with("HTTP/1.1 200") && answer.ends_with("Hello, World!"),
                "an answer was {answer:?}"
            );
        }
    }
    Ok(clients)
}

/// Waits for something that is certain to come.
fn until(mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        ensure!(Instant::now() < deadline, "descriptors are not given back");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn open_descriptors(pid: u32) -> Result<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .context("this experiment needs Linux's /proc")?;
    Ok(entries.count())
}

fn own_memory(pid: u32) -> Result<f64> {
    status(pid, "RssAnon")
}

fn resident(pid: u32) -> Result<f64> {
    status(pid, "VmRSS")
}

fn status(pid: u32, name: &str) -> Result<f64> {
    let value = after(&format!("/proc/{pid}/status"), name)
        .with_context(|| format!("this experiment needs Linux's /proc, with {name}"))?;
    let kib: f64 = value.split(' ').next().unwrap_or_default().parse()?;
    Ok(kib * 1024.0)
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
