//! `compare`: the book's servers beside those that people run, and beside a floor.
//!
//! Each server runs as a process of its own on one core, the client on another. In every
//! cell of the comparison all servers have their turn, then all have another, and so on:
//! what happens to the machine meanwhile happens to all of them. Processor time is
//! the operating system's account of the server's process.

mod cells;
mod contestants;
mod cores;
mod ranking;
mod tables;
mod turn;

use std::path::Path;

use anyhow::{Error, Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use self::cells::Cell;
use self::contestants::{Contestant, Own};
pub(super) use self::cores::Cores;
use self::turn::{Row, Turn};
use super::Lab;
use super::experiment::{Experiment, table as tabled};
use super::memory::weigh;
use super::prediction::{Form, Predict};
use super::record::{Record, keep_as, number, recorded};

/// Idle connections of which each is weighed.
const WEIGHED: usize = 10_000;

/// Who is compared, in what, and how long.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Servers of the book [default: epoll epoll-et coroutine async poll thread reactors]
    #[arg(value_name = "SERVER")]
    stages: Vec<String>,

    /// Those beside them [default: floor,hyper,actix-web,may_minihttp,nginx]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    peers: Vec<String>,

    /// What they are compared in; `list` lists it [default: all]
    #[arg(long, value_name = "CELL,…", value_delimiter = ',')]
    cells: Vec<String>,

    /// A program of your own, or another build of one of these, perhaps with options behind
    /// it; it is started with `--listen` and `--root`, too
    #[arg(long, value_name = "NAME=PROGRAM …", value_parser = contestants::named)]
    beside: Vec<Own>,

    /// More and longer turns: twenty minutes instead of six
    #[arg(long)]
    full: bool,
}

/// How often and how long everybody has a turn.
#[derive(Clone, Copy, Serialize)]
struct Effort {
    rounds: usize,
    /// Seconds of each turn that are measured, and before.
    measured: f64,
    warm_up: f64,
}

// A neighbour on the machine makes a turn dearer, never cheaper, and stays for a second or
// so. So many short turns tell more than a few long ones: most of them are spared.
const QUICK: Effort = Effort { rounds: 5, measured: 0.3, warm_up: 0.1 };
const FULL: Effort = Effort { rounds: 11, measured: 0.5, warm_up: 0.2 };

/// All that is kept.
#[derive(Serialize)]
struct Results {
    effort: Effort,
    /// The servers that are not ours.
    versions: Vec<String>,
    /// What there is to say about how they were measured.
    remarks: Vec<String>,
    /// Who could not have a turn, and why.
    failures: Vec<String>,
    rows: Vec<Row>,
    memory: Vec<Weight>,
}

/// Memory of one server.
#[derive(Serialize)]
struct Weight {
    server: String,
    clients: usize,
    bytes_each: f64,
}

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "compare",
    question: "What does a request cost, here and in the servers that people run? (`compare` has options)",
    predict: Predict {
        ask: "Beside a program that answers every read with the same bytes and knows no HTTP at all, epoll parses, decides and writes. How many times the processor time does it take for a request?",
        form: Form::Choice {
            options: &[
                "nearly the same",
                "about one and a half times as much",
                "several times as much",
            ],
            answer: |record| {
                let rows = record.rows.pointer("/0/rows")?.as_array()?;
                let cpu = |server: &str| {
                    let row =
                        |row: &&Value| row["cell"] == "64x1" && row["server"] == server;
                    number(&rows.iter().find(row)?["cpu"])
                };
                let times = cpu("epoll")? / cpu("floor")?;
                let option = [1.25, 2.0].iter().filter(|end| times >= **end).count();
                Some((option, format!("{times:.2} times as much, one request at a time")))
            },
        },
    },
    parameters: &[],
    parts: &[tabled("compare"), tabled("compare-order"), tabled("compare-cells")],
    from_page: false, // the others must be built first
    run,
};

/// As `lab compare`: all of it in full, else a look that takes seconds.
fn run(lab: &Lab<'_>) -> Result<()> {
    let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect();
    let look = Options {
        stages: words(&["epoll", "coroutine", "thread"]),
        peers: words(&["floor"]),
        cells: words(&["64x1", "64x16"]),
        ..Options::default()
    };
    compare(lab, &if lab.full { Options::default() } else { look })
}

/// The comparison of those that were named.
pub(super) fn compare(lab: &Lab<'_>, options: &Options) -> Result<()> {
    let cells = cells::chosen(&options.cells)?;
    if options.cells.iter().any(|cell| cell == "list") {
        print!("{}", cells::list());
        return Ok(());
    }
    let whole = options.cells.is_empty() && options.peers.is_empty();
    ensure!(
        whole || !lab.record || !options.beside.is_empty(),
        "the book shows the whole comparison: with --record, leave --cells and --peers away"
    );
    // Who is compared with somebody else's programs does not replace what the book shows.
    let name = if options.beside.is_empty() { "compare" } else { "beside" };
    // Now, and not when all is measured: what cannot be read would cost the result.
    let earlier = Record::read(&recorded(lab.house), name)?;
    raise_descriptor_limit();
    let effort = if options.full { FULL } else { QUICK };
    let mut remarks = Vec::new();
    let cores = Cores::of_this_process(&mut remarks);
    let site = cells::site(lab.house)?;
    let all = contestants::all(lab, options)?;
    let (all, versions) = contestants::inspected(all, lab, &site, &cores, &mut remarks)?;
    for remark in &remarks {
        eprintln!("compare: {remark}");
    }
    lab.begin(cells.len() * effort.rounds + usize::from(cells::weighed(&options.cells)));
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for cell in &cells {
        rows.extend(rounds(lab, cell, &all, &site, &cores, effort, &mut failures));
    }
    let mut memory = Vec::new();
    if cells::weighed(&options.cells) {
        lab.step("idle connections");
    }
    for contestant in all.iter().filter(|_| cells::weighed(&options.cells)) {
        match weight(contestant, &site, &cores) {
            Ok(weight) => memory.push(weight),
            Err(error) => failed(&mut failures, contestant, "being weighed", &error),
        }
    }
    drop(cores); // the machine's facts are those of all of them
    let results = Results { effort, versions, remarks, failures, rows, memory };
    let parts = tables::parts(name, &results, earlier.as_ref());
    keep_as(lab, &command(options), name, &[&results], parts)
}

/// Everybody's turns in one cell, one after the other, and again.
fn rounds(
    lab: &Lab<'_>,
    cell: &'static Cell,
    all: &[Contestant],
    site: &Path,
    cores: &Cores,
    effort: Effort,
    failures: &mut Vec<String>,
) -> Vec<Row> {
    let able: Vec<_> =
        all.iter().filter(|one| one.serves_files || !cell.is_file()).collect();
    let mut turns: Vec<Vec<Turn>> = able.iter().map(|_| Vec::new()).collect();
    for round in 1..=effort.rounds {
        lab.step(&format!("{}, round {round} of {}", cell.title, effort.rounds));
        for (contestant, turns) in able.iter().zip(&mut turns) {
            match turn::take(contestant, cell, site, cores, effort) {
                Ok(turn) => {
                    eprintln!("    {:<13} {turn}", contestant.name);
                    turns.push(turn);
                }
                Err(error) => failed(failures, contestant, cell.title, &error),
            }
        }
    }
    let took_part = able.iter().zip(&turns).filter(|(_, turns)| !turns.is_empty());
    took_part.map(|(contestant, turns)| Row::of(cell, contestant, turns)).collect()
}

/// One who fails does not end the comparison of the others, but it is said below the table.
fn failed(failures: &mut Vec<String>, who: &Contestant, at: &str, error: &Error) {
    let failure = format!("`{}` in {at}: {error:#}", who.name);
    eprintln!("compare: {failure}");
    failures.push(failure);
}

fn weight(contestant: &Contestant, site: &Path, cores: &Cores) -> Result<Weight> {
    let running = contestant.start(site, cores)?;
    let weight = weigh(&running, WEIGHED)?;
    Ok(Weight {
        server: contestant.name.clone(),
        clients: WEIGHED,
        bytes_each: weight.each,
    })
}

/// What somebody types to repeat it.
fn command(options: &Options) -> String {
    let mut command = String::from("cargo run --release -- compare");
    for stage in &options.stages {
        command += &format!(" {stage}");
    }
    for (option, values) in [("peers", &options.peers), ("cells", &options.cells)] {
        if !values.is_empty() {
            command += &format!(" --{option} {}", values.join(","));
        }
    }
    for Own { name, .. } in &options.beside {
        command += &format!(" --beside {name}=…");
    }
    if options.full {
        command += " --full";
    }
    command
}
