//! `lab instructions`: the number of instructions that a server executes outside the kernel for
//! one request.
//!
//! Each server runs under `valgrind --tool=callgrind`, which counts the instructions of all the
//! server's threads. Each server runs twice: in the first run all clients connect and are answered
//! once; in the second run, they then go on sending requests. The difference between the two counts
//! is divided by the number of additional requests, so that starting, connecting and stopping
//! cancel out. Unlike a time, the count does not depend on other work of the machine.
//!
//! The number of instructions does not determine the time: an instruction that waits for memory
//! takes as long as a hundred others. And the count leaves out the kernel's work for a request.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use load_generator::{self as load, Plan};
use manuscript::files;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::cores::Cores;
use crate::lab::tools::peers::{self, Entrant};

/// The number of clients, each of which keeps its connection and sends a request after each answer.
const CLIENTS: usize = 16;
/// The numbers of requests in flight on each connection.
const DEPTHS: [usize; 2] = [1, 16];

/// The servers that a quick run measures: first those of the book, then the peers (other servers,
/// which tests/peers builds).
const QUICK: [&[&str]; 2] = [&["epoll", "coroutine"], &["floor"]];
/// The servers that a full run measures: first those of the book, then the peers (other servers,
/// which tests/peers builds).
const FULL: [&[&str]; 2] = [
    &["epoll", "epoll-et", "poll", "select", "sigio", "coroutine", "async", "thread"],
    &["floor", "may_minihttp", "hyper", "actix-web"],
];

static MILLISECONDS: Parameter = parameter("milliseconds", &[1_000], &[3_000]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "instructions",
    question: "How many instructions does a request cost outside the kernel?",
    predict: number(
        "Sixteen clients ask epoll, each for one answer at a time. How many instructions does it execute for a request, outside the kernel?",
        "instructions",
        |record| record.figure(&[("server", "epoll"), ("depth", "1")], "instructions"),
    ),
    parameters: &[&MILLISECONDS],
    parts: &[tabled("instructions")],
    from_page: false, // the peers must be built first
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    server: String,
    depth: usize,
    /// Instructions per request.
    instructions: f64,
}

/// The counts of one run of a server.
struct Count {
    /// Instructions from the server's start to its stop.
    instructions: u64,
    /// Requests that were answered after the first request of each client.
    requests: u64,
}

fn run(run: &Run<'_>) -> Result<Results> {
    ensure!(
        Command::new("valgrind").arg("--version").output().is_ok(),
        "valgrind, which counts the instructions, is not installed (Debian: apt-get install valgrind)"
    );
    let names = |names: &[&str]| -> Vec<String> {
        names.iter().map(|&name| name.into()).collect()
    };
    let [stages, peers] = if run.full { FULL } else { QUICK };
    let servers = peers::all(run, &names(stages), &[], &names(peers))?;
    let site = tempfile::tempdir()?;
    let cores = Cores::of_this_process(&mut Vec::new());
    let time = Duration::from_millis(run.one(&MILLISECONDS) as u64);
    let cells = servers.iter().flat_map(|server| DEPTHS.map(|depth| (server, depth)));
    run.rows(
        cells.collect(),
        |(server, depth)| format!("{}, {CLIENTS} clients × {depth}", server.name),
        |(server, depth)| {
            let counted = |time| count(server, depth, time, site.path(), &cores);
            let (idle, busy) = (counted(Duration::ZERO)?, counted(time)?);
            ensure!(busy.requests > 0, "no request was answered");
            let more = busy.instructions.saturating_sub(idle.instructions);
            let instructions = more as f64 / busy.requests as f64;
            Ok(Row { server: server.name.clone(), depth, instructions })
        },
        parts,
    )
}

/// Counts the instructions of the server under callgrind, with a load that lasts for the duration
/// `time` and has `depth` requests in flight on each connection.
fn count(
    server: &Entrant,
    depth: usize,
    time: Duration,
    site: &Path,
    cores: &Cores,
) -> Result<Count> {
    let file = tempfile::NamedTempFile::new()?;
    let mut valgrind = Command::new("valgrind");
    // valgrind's own messages are discarded, because they would appear among the server's messages.
    valgrind.args(["--tool=callgrind", "--log-file=/dev/null"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.path().display()));
    let running = server.start_under(valgrind, site, cores)?;
    let plan = Plan {
        connections: CLIENTS,
        depth,
        warm_up: Duration::ZERO,
        time,
        ..Plan::new(running.address, "/plaintext")
    };
    let outcome = load::run(&plan, &mut |_| {})?;
    let failed = outcome.errors.total();
    ensure!(failed == 0, "{failed} requests failed");
    running.stop()?;
    let instructions =
        total(&files::read(file.path())?).context("callgrind has counted nothing")?;
    Ok(Count { instructions, requests: outcome.requests })
}

/// Returns the number of instructions of the whole run, from the text that callgrind writes. `None`
/// if the text does not contain the number.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.trim().parse().ok()
}

/// Returns the experiment's only part: a table with a row for each server, beginning with the
/// server that executes the fewest instructions.
fn parts(rows: &[Row]) -> Vec<Part> {
    let mut servers: Vec<_> = rows.chunks(DEPTHS.len()).collect();
    servers.sort_by(|a, b| a[0].instructions.total_cmp(&b[0].instructions));
    let head = format!("{CLIENTS} clients | >× {} | >× {} deep", DEPTHS[0], DEPTHS[1]);
    let line = |rows: &[Row]| {
        let figures = rows.iter().map(|row| thousands(row.instructions.round() as usize));
        format!("`{}` | {}", rows[0].server, figures.collect::<Vec<_>>().join(" | "))
    };
    let lines = servers.into_iter().map(line);
    vec![Part::once("instructions", table(&head, lines), None)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_in_callgrinds_file() {
        let text = "# callgrind format\nversion: 1\nevents: Ir\n\nfn=(1) main\n\
                    7 12\n\ntotals: 208123\n";
        assert_eq!(total(text), Some(208_123));
        assert_eq!(total("events: Ir\n"), None);
    }
}
