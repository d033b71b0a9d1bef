//! `lab hold`: as many clients as this machine can, all at once.
//!
//! A process may have only so many descriptors, so there are as many servers as it takes,
//! each with its own address and beside it a process of clients. Everybody connects, asks once,
//! is answered, and says nothing. When all are there, the memory is weighed: the kernel's, in
//! which both ends of each connection are, and the servers' own. Then everybody asks once more,
//! on the same connection, and who is not answered was lost.

mod client;
mod needs;
mod weight;

use std::io::IsTerminal;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use client_suite::load::Errors;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Lab;
use super::experiment::{Experiment, Parameter, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, keep_as};
use super::running::{self, Server};
use super::spread::{bytes, some, thousands};
use client::Clients;
use needs::{Limits, Needs};
use weight::{Weight, sockets};

/// Who holds them. A server that a later chapter brings is a word here.
const SERVERS: [&str; 3] = ["epoll", "coroutine", "async"];
static CONNECTIONS: Parameter =
    Parameter { name: "connections", quick: &[20_000], full: &[200_000] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "hold",
    question: "How many clients can this machine hold, and what does it pay for each? (`--connections N`)",
    predict: Predict {
        ask: "A client has been answered, keeps its connection and says nothing, and both its ends are on this machine. How much memory does the kernel hold for it?",
        form: Form::Number {
            unit: "KiB",
            answer: |record| {
                let held = |of| record.figure(&[("server", "epoll")], of);
                Some((held("/kernel")? + held("/buffers")?) / 1024.0)
            },
        },
    },
    parameters: &[&CONNECTIONS],
    parts: &[tabled("hold"), tabled("hold-needs")],
    from_page: true,
    run,
};
/// Between two looks at how many sockets there still are.
const SETTLING: Duration = Duration::from_millis(200);

/// How many, and whose.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Of `lab hold`: how many connections [default: 20000, or 200000 with --full]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Of `lab hold`: only this server [default: epoll, coroutine and async, one after the other]
    #[arg(long, value_name = "NAME", value_parser = SERVERS)]
    server: Option<String>,
}

#[derive(Serialize)]
struct Row {
    server: String,
    connections: usize,
    /// Servers, and as many processes of clients.
    processes: usize,
    /// Answered at the start.
    opened: usize,
    /// Answered again at the end, on the same connection.
    kept: usize,
    /// What became of the others.
    errors: Errors,
    /// Until all were answered.
    opening_seconds: f64,
    /// For each connection, in bytes: the kernel's, for both ends.
    kernel: f64,
    /// Buffers, for both ends.
    buffers: f64,
    /// The servers' own.
    own: f64,
}

/// The experiment as it is called by its name alone.
fn run(lab: &Lab<'_>) -> Result<()> {
    hold(lab, &Options::default())
}

/// The whole experiment.
pub(super) fn hold(lab: &Lab<'_>, options: &Options) -> Result<()> {
    let usual = lab.one(&CONNECTIONS);
    let connections = options.connections.unwrap_or(usual);
    ensure!(connections > 0, "--connections 0: somebody must be held");
    let one = options.server.as_deref();
    let needs = Needs::of(connections, &Limits::here()?)?;
    if !lab.progress.events() {
        eprint!("lab hold: {} connections\n{needs}", thousands(connections));
    }
    lab.begin(
        SERVERS.into_iter().filter(|name| one.is_none_or(|one| one == *name)).count(),
    );
    let mut rows = Vec::new();
    for server in SERVERS.into_iter().filter(|name| one.is_none_or(|one| one == *name)) {
        let row = row(lab, server, connections)
            .with_context(|| format!("{} clients of {server}", thousands(connections)))?;
        rows.push(row);
    }
    for row in &rows {
        let lost = row.connections - row.kept;
        if lost > 0 {
            // Who holds fewer than was asked for has no figures: shown, and not kept.
            lab.show(&[Part::once("hold", table(&rows))], true);
            let name = &row.server;
            bail!("{name} lost {} ({:?})", some(lost, "connection"), row.errors);
        }
    }
    let mut command =
        format!("cargo run --release -- lab hold --connections {connections}");
    if let Some(server) = one {
        command += &format!(" --server {server}");
    }
    // What is asked for by a number is no substitute for what is usual.
    if connections == usual {
        let needs = Part::once("hold-needs", needs.table());
        let parts = vec![Part::once("hold", table(&rows)), needs];
        keep_as(lab, &command, "hold", &rows, parts)?;
    } else {
        let part = Part::once("hold-far", table(&rows));
        keep_as(lab, &command, "hold-far", &rows, vec![part])?;
    }
    Ok(())
}

fn row(lab: &Lab<'_>, name: &str, connections: usize) -> Result<Row> {
    let needs = Needs::of(connections, &Limits::here()?)?;
    needs.check()?; // what the one before has left behind is there, too
    let shares = needs.shares;
    lab.step(name);

    let most = shares[0].to_string();
    let options = ["--idle-timeout", "86400", "--max-connections", &most];
    let mut servers = Vec::new();
    for _ in &shares {
        let server = Server::start(lab, name, &options)?;
        // What is made once, with the first client, belongs to no client.
        running::hold(server.address, 1)?;
        servers.push(server);
    }
    let before = Weight::now(&servers)?;

    let (start, progress) = (Instant::now(), progress(connections));
    let (mut held, mut done) = (Vec::new(), 0);
    progress.set_message("connecting");
    for (server, share) in servers.iter().zip(&shares) {
        let tell = &mut |count| progress.set_position((done + count) as u64);
        held.push(Clients::connect(server.address, *share, tell)?);
        done += share;
    }
    let opening = start.elapsed();
    let weight = Weight::now(&servers)?.each(before, connections);

    let (mut opened, mut kept, mut errors, mut done) = (0, 0, Errors::default(), 0);
    progress.set_message("asking again");
    for (clients, share) in held.into_iter().zip(&shares) {
        let tell = &mut |count| progress.set_position((done + count) as u64);
        let result = clients.ask_again(tell)?;
        done += share;
        opened += result.opened;
        kept += result.kept;
        errors += result.errors;
    }
    progress.finish_and_clear();
    drop(servers);
    // The kernel is not done with so many at once, and the next server is not to pay for it.
    let mut left = u64::MAX;
    loop {
        let now = sockets("inuse")?;
        if now >= left {
            break;
        }
        left = now;
        thread::sleep(SETTLING);
    }
    Ok(Row {
        server: name.to_owned(),
        connections,
        processes: shares.len(),
        opened,
        kept,
        errors,
        opening_seconds: opening.as_secs_f64(),
        kernel: weight.kernel,
        buffers: weight.buffers,
        own: weight.servers,
    })
}

/// Drawn on a terminal only.
fn progress(connections: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}");
    ProgressBar::new(connections as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| server | connections | servers | lost | in the kernel, each | in the server, each | all together |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        table += &format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            row.server,
            thousands(row.connections),
            row.processes,
            thousands(row.connections - row.kept),
            bytes(row.kernel + row.buffers),
            bytes(row.own),
            bytes((row.kernel + row.buffers + row.own) * row.connections as f64),
        );
    }
    table
}

/// The clients of one server, in this process.
pub(super) fn measure(to: &str, count: usize) -> Result<impl Serialize> {
    client::run(to.parse().with_context(|| format!("{to} is no address"))?, count)
}
