//! `compare`: the book's servers beside servers in wide use, and beside a floor, which is a loop on
//! epoll that parses nothing.
//!
//! Each server runs in a separate process on one core, and the client on another core. A cell of
//! the comparison is one kind of load. In each cell, every server is measured in a first round,
//! then every server in a second round, and so on, so that other work of the machine affects all
//! servers. Processor time is the operating system's figure for the server's process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use clap::Args;
use load_generator::Plan;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::cores::Cores;
use crate::lab::tools::load::{Load, Round};
use crate::lab::tools::peers::{self, Entrant};
use crate::lab::tools::ranking::{Cost, order, since};
use crate::lab::tools::server::IdleMemory;
use crate::paths::Paths;

/// A cell of the comparison: one kind of load.
#[derive(Debug)]
pub(super) struct Cell {
    /// The cell's name on the command line and in the record.
    pub name: &'static str,
    /// A description of the load, which heads the cell's column or table.
    title: &'static str,
    path: &'static str,
    connections: usize,
    /// The number of requests in flight on each connection.
    depth: usize,
    /// The number of additional connections, which are idle.
    idle: usize,
}

const HELLO: &str = "/plaintext";
const FILES: [(&str, usize); 2] = [("small.bin", 10 * 1024), ("large.bin", 1024 * 1024)];

const fn hello(
    name: &'static str,
    title: &'static str,
    [connections, depth, idle]: [usize; 3],
) -> Cell {
    Cell { name, title, path: HELLO, connections, depth, idle }
}

pub(super) static CELLS: [Cell; 8] = [
    hello("64x1", "64 × 1", [64, 1, 0]),
    hello("64x16", "64 × 16 deep", [64, 16, 0]),
    hello("1000x1", "1,000 × 1", [1_000, 1, 0]),
    hello("64x1-idle", "64 × 1, 10,000 idle", [64, 1, 10_000]),
    hello("64x16-idle", "64 × 16 deep, 10,000 idle", [64, 16, 10_000]),
    hello("1000x1-idle", "1,000 × 1, 10,000 idle", [1_000, 1, 10_000]),
    Cell { path: "/small.bin", ..hello("small", "64 × 1, 10 KiB file", [64, 1, 0]) },
    Cell { path: "/large.bin", ..hello("large", "64 × 1, 1 MiB file", [64, 1, 0]) },
];
/// The name of the cell that measures no load, but the memory of idle connections.
const MEMORY: &str = "memory";
/// The number of idle connections in the cell `memory`.
const HELD: usize = 10_000;

/// The command-line options of `compare`: servers, kinds of load (cells), and duration.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Servers of the book [default: epoll epoll-et coroutine async poll thread reactors]
    #[arg(value_name = "SERVER")]
    stages: Vec<String>,

    /// Other servers to compare with [default: floor,hyper,actix-web,may_minihttp,nginx]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    peers: Vec<String>,

    /// Kinds of load to compare; `list` prints their names [default: all]
    #[arg(long, value_name = "CELL,…", value_delimiter = ',')]
    cells: Vec<String>,

    /// A program of your own, or another build of one of these servers, with any options;
    /// `--listen` and `--root` are added
    #[arg(long, value_name = "NAME=PROGRAM …", value_parser = Entrant::named)]
    beside: Vec<Entrant>,

    /// Measure in more and longer rounds: twenty minutes instead of six
    #[arg(long)]
    full: bool,
}

impl Options {
    /// Prints the names of the kinds of load if `--cells list` was given, and returns whether it
    /// was given.
    pub fn lists_cells(&self) -> bool {
        let lists = self.cells.iter().any(|cell| cell == "list");
        let memory = (MEMORY, "memory of an idle connection");
        let loads = CELLS.iter().map(|cell| (cell.name, cell.title));
        for (name, title) in loads.chain([memory]).filter(|_| lists) {
            println!("{name:<12} {title}");
        }
        lists
    }

    /// Returns whether the kind of load called `cell` is to be measured: either `--cells` names it,
    /// or `--cells` was not given.
    fn names(&self, cell: &str) -> bool {
        self.cells.is_empty() || self.cells.iter().any(|name| name == cell)
    }

    /// Returns whether `--full` was given, which selects the rounds that the book shows.
    pub fn full(&self) -> bool {
        self.full
    }

    /// Returns the command that repeats the comparison.
    fn command(&self, full: bool) -> String {
        let mut command = String::from("cargo run --release -- compare");
        for stage in &self.stages {
            command += &format!(" {stage}");
        }
        for (option, values) in [("peers", &self.peers), ("cells", &self.cells)] {
            if !values.is_empty() {
                command += &format!(" --{option} {}", values.join(","));
            }
        }
        for Entrant { name, .. } in &self.beside {
            command += &format!(" --beside {name}=…");
        }
        command + if full { " --full" } else { "" }
    }
}

/// The number of rounds in each cell, and the length of each round.
pub(super) struct Workload {
    pub rounds: usize,
    /// Seconds of each round that are measured.
    measured: f64,
    /// Seconds of load before the measured part of each round.
    warm_up: f64,
}

// Other work on the machine makes a round more expensive, never cheaper, and lasts for about a
// second. Short rounds are better than long ones, because most short rounds are undisturbed.
pub(super) const QUICK: Workload = Workload { rounds: 5, measured: 0.3, warm_up: 0.1 };
pub(super) const FULL: Workload = Workload { rounds: 11, measured: 0.5, warm_up: 0.2 };

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "compare",
    question: "What does a request cost, here and in the servers that people run? (`compare` has options)",
    predict: choice(
        "Beside a program that answers every read with the same bytes and knows no HTTP at all, epoll parses, decides and writes. How many times the processor time does it take for a request?",
        &[
            "nearly the same",
            "about one and a half times as much",
            "several times as much",
        ],
        |record| {
            let cpu =
                |server| record.figure(&[("cell", "64x1"), ("server", server)], "cpu");
            let times = cpu("epoll")? / cpu("floor")?;
            let option = range(times, &[1.25, 2.0]);
            Some((option, format!("{times:.2} times as much, one request at a time")))
        },
    ),
    parameters: &[],
    parts: &[tabled("compare"), tabled("compare-order"), tabled("compare-cells")],
    from_page: false, // the peers must be built first
    ..measured_by(run)
};

/// The figures of all rounds of one server in one cell, that is, under one kind of load.
#[derive(Serialize)]
pub(super) struct Row {
    cell: &'static str,
    #[serde(skip)]
    pub title: &'static str,
    pub server: String,
    #[serde(flatten)]
    pub load: Load,
}

impl Row {
    fn cost(&self) -> Cost<'_> {
        let least = self.load.cpu.map_or(f64::NAN, |cpu| cpu.min);
        Cost { cell: self.cell, server: &self.server, least }
    }
}

/// The memory that one server needs for each idle connection.
#[derive(Serialize)]
struct Memory {
    cell: &'static str,
    server: String,
    clients: usize,
    bytes_each: f64,
}

/// Runs `lab compare`. With `--full` it compares all servers under every kind of load, in more and
/// longer rounds, and otherwise a few servers under two kinds of load.
fn run(run: &Run<'_>) -> Result<Results> {
    let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect();
    let quick = Options {
        stages: words(&["epoll", "coroutine", "thread"]),
        peers: words(&["floor"]),
        cells: words(&["64x1", "64x16"]),
        ..Options::default()
    };
    measure(run, &if run.full { Options::default() } else { quick })
}

/// Compares the servers that `options` name, under the kinds of load that `options` name.
pub(crate) fn measure(run: &Run<'_>, options: &Options) -> Result<Results> {
    for name in &options.cells {
        let known = name == MEMORY || CELLS.iter().any(|cell| cell.name == name);
        ensure!(
            known,
            "no cell is called {name}; `compare --cells list` prints their names"
        );
    }
    let whole = options.cells.is_empty() && options.peers.is_empty();
    ensure!(
        whole || !run.record || !options.beside.is_empty(),
        "the book shows the whole comparison: leave out --cells and --peers with --record"
    );
    // A comparison with the reader's own programs does not replace the book's result.
    let name = if options.beside.is_empty() { "compare" } else { "beside" };
    // The earlier record is read before the measurement, because a failure to read it afterwards
    // would lose the new result.
    let earlier = Record::read(&run.paths.recorded(), name)?;
    raise_descriptor_limit();
    let workload = if run.full { FULL } else { QUICK };
    let mut remarks = Vec::new();
    let cores = Cores::of_this_process(&mut remarks);
    let site = site(run.paths)?;
    let all = peers::all(run, &options.stages, &options.beside, &options.peers)?;
    let (all, versions) = peers::inspected(all, run, &site, &cores, &mut remarks)?;
    for remark in &remarks {
        eprintln!("compare: {remark}");
    }
    let cells: Vec<_> = CELLS.iter().filter(|cell| options.names(cell.name)).collect();
    let weighed = options.names(MEMORY);
    run.begin(cells.len() * workload.rounds + usize::from(weighed));
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for cell in cells {
        rows.extend(rounds(run, cell, &all, &site, &cores, &workload, &mut failed));
    }
    let mut memory = Vec::new();
    if weighed {
        run.step("idle connections");
        for entrant in &all {
            let running = entrant.start(&site, &cores);
            match running.and_then(|running| IdleMemory::of(&running, HELD)) {
                Ok(IdleMemory { each: bytes_each, .. }) => {
                    let server = entrant.name.clone();
                    memory.push(Memory {
                        cell: MEMORY,
                        server,
                        clients: HELD,
                        bytes_each,
                    });
                }
                Err(error) => note(&mut failed, entrant, MEMORY, &error),
            }
        }
    }
    drop(cores); // lets this process use all its cores again, before the record counts them
    let Workload { rounds, measured, warm_up } = workload;
    let rounds = format!("{rounds} rounds of {measured} s each, after {warm_up} s");
    let tables = Tables { versions, remarks, failed, rows, memory };
    let mut results = Results::new(&tables.rows, tables.parts(name, earlier.as_ref()))?;
    results.rows.extend(Results::new(&tables.memory, Vec::new())?.rows);
    let Tables { versions, remarks, failed, .. } = tables;
    results.notes = [vec![rounds], versions, remarks, failed].concat();
    let command = options.command(run.full);
    let stored_as = Some(StoredAs { command, name, parameters: BTreeMap::new() });
    Ok(Results { stored_as, ..results })
}

/// Creates the directory with the files that clients request, in place of an earlier directory, and
/// returns its path.
fn site(paths: &Paths) -> Result<PathBuf> {
    let site = paths.own().join("site");
    let made = || -> std::io::Result<()> {
        if site.exists() {
            fs::remove_dir_all(&site)?;
        }
        fs::create_dir_all(&site)?;
        FILES.iter().try_for_each(|(name, length)| {
            fs::write(site.join(name), vec![b'x'; *length])
        })
    };
    made().with_context(|| format!("cannot make {}", site.display()))?;
    Ok(site)
}

/// Measures all rounds of every server under one kind of load. If a round fails, the failure is
/// added to `failed`, and the server's other rounds are still measured.
pub(super) fn rounds(
    run: &Run<'_>,
    cell: &'static Cell,
    all: &[Entrant],
    site: &Path,
    cores: &Cores,
    workload: &Workload,
    failed: &mut Vec<String>,
) -> Vec<Row> {
    let able = all.iter().filter(|one| one.serves_files || cell.path == HELLO);
    let mut measured: Vec<_> = able.map(|one| (one, Vec::new())).collect();
    for round in 1..=workload.rounds {
        run.step(&format!("{}, round {round} of {}", cell.title, workload.rounds));
        for (entrant, rounds) in &mut measured {
            match measure_round(entrant, cell, site, cores, workload) {
                Ok(round) => {
                    let Round { cpu, requests_per_second: rate, failures, .. } = &round;
                    let name = &entrant.name;
                    eprintln!(
                        "    {name:<13} {cpu:>8.2} µs of processor a request, {rate:>7.0} requests/s, errors: {failures}"
                    );
                    rounds.push(round);
                }
                Err(error) => note(failed, entrant, cell.title, &error),
            }
        }
    }
    measured.retain(|(_, rounds)| !rounds.is_empty());
    let row = |(entrant, rounds): &(&Entrant, Vec<Round>)| Row {
        cell: cell.name,
        title: cell.title,
        server: entrant.name.clone(),
        load: Load::of(rounds),
    };
    measured.iter().map(row).collect()
}

/// Starts a server, and measures it for one round.
fn measure_round(
    entrant: &Entrant,
    cell: &Cell,
    site: &Path,
    cores: &Cores,
    workload: &Workload,
) -> Result<Round> {
    let running = entrant.start(site, cores)?;
    let plan = Plan {
        connections: cell.connections,
        depth: cell.depth,
        idle: cell.idle,
        warm_up: Duration::from_secs_f64(workload.warm_up),
        time: Duration::from_secs_f64(workload.measured),
        ..Plan::new(running.address, cell.path)
    };
    let round = Round::measure(&running, &plan)?;
    let answered = !round.cpu.is_nan();
    ensure!(answered, "no request succeeded: {}", round.failures);
    Ok(round)
}

/// Prints the failure of a server under the kind of load `at`, and adds the failure to `failed`,
/// which is shown below the table. The comparison goes on with the next round.
fn note(failed: &mut Vec<String>, entrant: &Entrant, at: &str, error: &Error) {
    let failure = format!("`{}` in {at}: {error:#}", entrant.name);
    eprintln!("compare: {failure}");
    failed.push(failure);
}

/// All figures and remarks of a comparison, from which the tables are made.
struct Tables {
    /// The versions of the peers.
    versions: Vec<String>,
    /// Remarks on the circumstances of the measurement.
    remarks: Vec<String>,
    /// The failures of rounds: the server, the cell, and the error.
    failed: Vec<String>,
    rows: Vec<Row>,
    memory: Vec<Memory>,
}

impl Tables {
    /// Returns the parts of the result: the tables, and the order of the servers, compared with the
    /// order in the earlier record.
    fn parts(&self, name: &'static str, earlier: Option<&Record>) -> Vec<Part> {
        let mut parts = vec![Part::new(name, self.overview() + &self.foot(), None)];
        if name == "compare" {
            let costs: Vec<_> = self.rows.iter().map(Row::cost).collect();
            let title = |name: &str| {
                CELLS.iter().find(|cell| cell.name == name).map_or("", |cell| cell.title)
            };
            let since = earlier.and_then(|earlier| since(earlier, &costs));
            let order = order(&costs, title) + &since.unwrap_or_default();
            parts.push(Part::once("compare-order", order, None));
            parts.push(Part::new("compare-cells", self.cells(), None));
        }
        parts
    }

    /// Returns the median processor times, with a row for each server and a column for each kind of
    /// load, in several tables with as many columns as fit a page.
    fn overview(&self) -> String {
        let (mut titles, mut servers) = (Vec::new(), Vec::new());
        for Row { title, server, .. } in &self.rows {
            titles.extend((!titles.contains(title)).then_some(*title));
            servers.extend((!servers.contains(&server)).then_some(server));
        }
        for Memory { server, .. } in &self.memory {
            servers.extend((!servers.contains(&server)).then_some(server));
        }
        let groups: Vec<_> = titles.chunks(3).collect();
        let mut text = String::new();
        for (at, titles) in groups.iter().enumerate() {
            let memory = at + 1 == groups.len() && !self.memory.is_empty();
            let last = if memory { " | >memory of an idle one" } else { "" };
            let head = format!("µs a request | >{}{last}", titles.join(" | >"));
            let line = |server: &&String| {
                let mut line = format!("`{server}`");
                for title in *titles {
                    let is = |row: &&Row| row.server == **server && row.title == *title;
                    let row = self.rows.iter().find(is);
                    let cpu = row.and_then(|row| row.load.cpu);
                    let cpu = cpu.map_or("–".into(), |cpu| measured(cpu.median));
                    line += &format!(" | {cpu}");
                }
                let weighed = self.memory.iter().find(|one| one.server == **server);
                if let Some(one) = weighed.filter(|_| memory) {
                    line += &format!(" | {}", bytes(one.bytes_each.max(0.0)));
                }
                line
            };
            text += &(table(&head, servers.iter().map(line)) + "\n");
        }
        text
    }

    /// Returns the text below the comparison's overview table: the peers' versions, the remarks,
    /// and the failures.
    fn foot(&self) -> String {
        let mut foot = String::new();
        if !self.versions.is_empty() {
            foot += &format!("The others: {}.", self.versions.join(", "));
        }
        for remark in &self.remarks {
            foot += &format!(" *{remark}.*");
        }
        let some = self.rows.iter().filter(|row| !row.load.failures.are_none());
        let failed: Vec<String> = some
            .map(|row| {
                format!("`{}` in {}: {}", row.server, row.title, row.load.failures)
            })
            .chain(self.failed.iter().cloned())
            .collect();
        foot + &match failed.len() {
            0 => " No request failed.\n".to_owned(),
            _ => format!(" What failed: {}.\n", failed.join("; ")),
        }
    }

    /// Returns the tables of all figures, one for each kind of load.
    fn cells(&self) -> String {
        let head = "server | >processor, µs a request | >user | >system | >requests/s | >p50, µs | >p99 | >p99.9 | >client busy | >errors";
        let median = |summary: Summary| measured(summary.median);
        let line = |Row { server, load, .. }: &Row| {
            let cpu = load.cpu.map_or("–".to_owned(), |cpu| {
                let [median, min, max] = [cpu.median, cpu.min, cpu.max].map(measured);
                format!("{median} ({min} to {max})")
            });
            let [user, system] =
                [load.user, load.system].map(|time| measured(time.unwrap_or(0.0)));
            format!(
                "`{server}` | {cpu} | {user} | {system} | {} | {} | {} | {} | {:.0} % | {}",
                thousands(load.requests_per_second.median as usize),
                median(load.p50),
                median(load.p99),
                median(load.p999),
                load.client_busy.median * 100.0,
                load.failures,
            )
        };
        let cells = self.rows.chunk_by(|a, b| a.cell == b.cell).map(|cell| {
            let title = cell.first().map_or("", |row| row.title);
            format!("**{title}**\n\n{}\n", table(head, cell.iter().map(line)))
        });
        cells.collect()
    }
}
