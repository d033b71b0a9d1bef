//! `lab uring`: the floor of `compare`, which is a loop on epoll that parses nothing, beside the
//! same loop on io_uring. On io_uring, a round of the loop makes a single system call, however many
//! requests it answers. How much processor time does that save?
//!
//! Both servers are measured as in `compare`: each server in a process on one core, the client on
//! another core, and in each round one server after the other.

use anyhow::{Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;

use super::compare::{CELLS, FULL, QUICK, Row, rounds};
use crate::lab::prelude::*;
use crate::lab::tools::cores::Cores;
use crate::lab::tools::peers;

/// The two servers, which are programs in tests/peers.
const SERVERS: [&str; 2] = ["floor", "uring"];
/// The kinds of load, by their names in `compare`: connections, and requests in flight on each.
const LOADS: [&str; 3] = ["64x1", "64x16", "1000x1"];

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "uring",
    question: "Does io_uring make a request cheaper?",
    predict: choice(
        "A loop on epoll makes two system calls for each request, and one for each round. The same on io_uring makes only the one for each round. With 64 clients that ask one thing at a time, how much of the processor time for a request is left?",
        &["less than half", "two thirds or so", "nearly all, or more than before"],
        |record| {
            let cpu =
                |server| record.figure(&[("cell", "64x1"), ("server", server)], "cpu");
            let times = cpu("uring")? / cpu("floor")?;
            let option = range(times, &[0.5, 0.85]);
            Some((option, format!("{times:.2} times as much as with epoll")))
        },
    ),
    parameters: &[],
    parts: &[tabled("uring")],
    from_page: false, // the peers must be built first
    ..measured_by(run)
};

fn run(run: &Run<'_>) -> Result<Results> {
    raise_descriptor_limit();
    let workload = if run.full { FULL } else { QUICK };
    let servers = peers::others(run, SERVERS.map(str::to_owned).to_vec())?;
    let site = tempfile::tempdir()?;
    let cores = Cores::of_this_process(&mut Vec::new());
    run.begin(LOADS.len() * workload.rounds);
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for cell in CELLS.iter().filter(|cell| LOADS.contains(&cell.name)) {
        let path = site.path();
        rows.extend(rounds(run, cell, &servers, path, &cores, &workload, &mut failed));
    }
    drop(cores); // lets this process use all its cores again, before the record counts them
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Results::new(&rows, vec![Part::new("uring", overview(&rows), None)])
}

/// Returns the processor times, with a row for each load and a column for each server.
fn overview(rows: &[Row]) -> String {
    let head = format!("µs of processor a request | >`{}`", SERVERS.join("` | >`"));
    let loads = rows.chunk_by(|one, other| one.title == other.title);
    let line = |rows: &[Row]| {
        let times = rows.iter().map(|Row { load, .. }| {
            load.cpu.map_or("–".to_owned(), |cpu| {
                let [median, min, max] = [cpu.median, cpu.min, cpu.max].map(measured);
                format!("{median} ({min} to {max})")
            })
        });
        let title = rows.first().map_or("", |row| row.title);
        format!("{title} | {}", times.collect::<Vec<_>>().join(" | "))
    };
    table(&head, loads.map(line))
}
