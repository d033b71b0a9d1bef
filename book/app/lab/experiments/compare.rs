//! `compare`: the book's servers beside those in wide use, and beside a floor.
//!
//! Each server runs as a process of its own on one core, the client on another. In every
//! cell of the comparison all servers have a turn, then all have another, and so on: so
//! whatever else the machine does meanwhile affects all of them. Processor time is the
//! operating system's account of the server's process.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use ch01_blocking::program::raise_descriptor_limit;
use clap::Args;
use load_generator::{self as load, Errors, Outcome, Phase, Plan};
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::cores::Cores;
use crate::lab::tools::peers::{self, Entrant};
use crate::lab::tools::ranking::{Cost, order, since};
use crate::lab::tools::server::IdleMemory;
use crate::paths::Paths;
use crate::proc::{family_cpu, ticks};

/// One kind of load.
#[derive(Debug)]
struct Cell {
    /// On the command line and in the record.
    name: &'static str,
    /// In the tables.
    title: &'static str,
    path: &'static str,
    connections: usize,
    /// Requests in flight on each connection.
    depth: usize,
    /// Idle connections beside these.
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

const CELLS: [Cell; 8] = [
    hello("64x1", "64 × 1", [64, 1, 0]),
    hello("64x16", "64 × 16 deep", [64, 16, 0]),
    hello("1000x1", "1,000 × 1", [1_000, 1, 0]),
    hello("64x1-idle", "64 × 1, 10,000 idle", [64, 1, 10_000]),
    hello("64x16-idle", "64 × 16 deep, 10,000 idle", [64, 16, 10_000]),
    hello("1000x1-idle", "1,000 × 1, 10,000 idle", [1_000, 1, 10_000]),
    Cell { path: "/small.bin", ..hello("small", "64 × 1, 10 KiB file", [64, 1, 0]) },
    Cell { path: "/large.bin", ..hello("large", "64 × 1, 1 MiB file", [64, 1, 0]) },
];
/// The cell that is no load: the memory of idle connections, and how many of them.
const MEMORY: &str = "memory";
const HELD: usize = 10_000;

/// The servers that are compared, in which cells, and how long.
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
    #[arg(long, value_name = "NAME=PROGRAM …", value_parser = Entrant::named)]
    beside: Vec<Entrant>,

    /// More and longer turns: twenty minutes instead of six
    #[arg(long)]
    full: bool,
}

impl Options {
    /// Lists the cells, if that is what was asked for.
    pub fn lists_cells(&self) -> bool {
        let lists = self.cells.iter().any(|cell| cell == "list");
        let memory = (MEMORY, "memory of an idle connection");
        let loads = CELLS.iter().map(|cell| (cell.name, cell.title));
        for (name, title) in loads.chain([memory]).filter(|_| lists) {
            println!("{name:<12} {title}");
        }
        lists
    }

    fn names(&self, cell: &str) -> bool {
        self.cells.is_empty() || self.cells.iter().any(|name| name == cell)
    }

    /// Returns the command that repeats it.
    fn command(&self) -> String {
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
        command + if self.full { " --full" } else { "" }
    }
}

/// How often and how long every server has a turn.
struct Workload {
    rounds: usize,
    /// Seconds of each turn that are measured, and before.
    measured: f64,
    warm_up: f64,
}

// A neighbor on the machine makes a turn dearer, never cheaper, and stays for a second or
// so. So many short turns show more than a few long ones: most of them are undisturbed.
const QUICK: Workload = Workload { rounds: 5, measured: 0.3, warm_up: 0.1 };
const FULL: Workload = Workload { rounds: 11, measured: 0.5, warm_up: 0.2 };

pub(crate) static EXPERIMENT: Experiment = Experiment {
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
                let cpu = |server| {
                    record.figure(&[("cell", "64x1"), ("server", server)], "cpu")
                };
                let times = cpu("epoll")? / cpu("floor")?;
                let option = range(times, &[1.25, 2.0]);
                Some((option, format!("{times:.2} times as much, one request at a time")))
            },
        },
    },
    parameters: &[],
    parts: &[tabled("compare"), tabled("compare-order"), tabled("compare-cells")],
    from_page: false, // the others must be built first
    run,
    sample: None,
};

/// All turns of one server in one cell. Times in microseconds.
#[derive(Serialize)]
struct Row {
    cell: &'static str,
    #[serde(skip)]
    title: &'static str,
    server: String,
    /// Processor time for each request.
    cpu: Summary,
    /// The parts of its median outside and inside the kernel: as among all turns' ticks, since
    /// one turn has too few of them.
    user: f64,
    system: f64,
    requests_per_second: Summary,
    p50: Summary,
    p99: Summary,
    p999: Summary,
    /// The fraction of the time in which the client's thread was running.
    client_busy: Summary,
    #[serde(flatten)]
    failures: Failures,
}

/// The memory of one server.
#[derive(Serialize)]
struct Memory {
    cell: &'static str,
    server: String,
    clients: usize,
    bytes_each: f64,
}

/// As `lab compare`: all of it in full, else a look that takes seconds.
fn run(run: &Run<'_>) -> Result<Results> {
    let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect();
    let look = Options {
        stages: words(&["epoll", "coroutine", "thread"]),
        peers: words(&["floor"]),
        cells: words(&["64x1", "64x16"]),
        ..Options::default()
    };
    measure(run, &if run.full { Options::default() } else { look })
}

/// Compares the servers that were named.
pub(crate) fn measure(run: &Run<'_>, options: &Options) -> Result<Results> {
    for name in &options.cells {
        let known = name == MEMORY || CELLS.iter().any(|cell| cell.name == name);
        ensure!(
            known,
            "nothing is called {name}; `compare --cells list` lists what there is"
        );
    }
    let whole = options.cells.is_empty() && options.peers.is_empty();
    ensure!(
        whole || !run.record || !options.beside.is_empty(),
        "the book shows the whole comparison: with --record, leave --cells and --peers away"
    );
    // A comparison with the reader's own programs does not replace what the book shows.
    let name = if options.beside.is_empty() { "compare" } else { "beside" };
    // Read now: if it cannot be read after the measurement, the result would be lost.
    let earlier = Record::read(&run.paths.recorded(), name)?;
    raise_descriptor_limit();
    let workload = if options.full { FULL } else { QUICK };
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
                Err(error) => note(&mut failed, entrant, "being weighed", &error),
            }
        }
    }
    drop(cores); // the machine's facts are those of all cores
    let Workload { rounds, measured, warm_up } = workload;
    let turns = format!("{rounds} rounds of {measured} s each, after {warm_up} s");
    let tables = Tables { versions, remarks, failed, rows, memory };
    let mut results = Results::new(&tables.rows, tables.parts(name, earlier.as_ref()))?;
    results.rows.extend(Results::new(&tables.memory, Vec::new())?.rows);
    let Tables { versions, remarks, failed, .. } = tables;
    results.notes = [vec![turns], versions, remarks, failed].concat();
    Ok(Results { stored_as: Some((options.command(), name)), ..results })
}

/// Makes the directory with the files that are asked for, anew.
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

/// Every server's turns in one cell, one after the other, and again.
fn rounds(
    run: &Run<'_>,
    cell: &'static Cell,
    all: &[Entrant],
    site: &Path,
    cores: &Cores,
    workload: &Workload,
    failed: &mut Vec<String>,
) -> Vec<Row> {
    let able = all.iter().filter(|one| one.serves_files || cell.path == HELLO);
    let mut turns: Vec<(&Entrant, Vec<Turn>)> =
        able.map(|one| (one, Vec::new())).collect();
    for round in 1..=workload.rounds {
        run.step(&format!("{}, round {round} of {}", cell.title, workload.rounds));
        for (entrant, turns) in &mut turns {
            match Turn::take(entrant, cell, site, cores, workload) {
                Ok(turn) => {
                    eprintln!("    {:<13} {turn}", entrant.name);
                    turns.push(turn);
                }
                Err(error) => note(failed, entrant, cell.title, &error),
            }
        }
    }
    turns.retain(|(_, turns)| !turns.is_empty());
    turns.iter().map(|(entrant, turns)| Row::of(cell, entrant, turns)).collect()
}

/// A server that fails does not end the comparison; the failure is noted below the table.
fn note(failed: &mut Vec<String>, who: &Entrant, at: &str, error: &Error) {
    let failure = format!("`{}` in {at}: {error:#}", who.name);
    eprintln!("compare: {failure}");
    failed.push(failure);
}

/// What was measured in one turn. Times in microseconds.
#[derive(Debug)]
struct Turn {
    cpu: f64,
    /// Of its processor time, outside and inside the kernel.
    ticks: [u64; 2],
    requests_per_second: f64,
    /// The median, and what 1 in 100 and 1 in 1,000 exceed.
    latency: [f64; 3],
    client_busy: f64,
    failures: Failures,
}

impl Turn {
    /// Starts the server, and measures it once.
    fn take(
        entrant: &Entrant,
        cell: &Cell,
        site: &Path,
        cores: &Cores,
        workload: &Workload,
    ) -> Result<Turn> {
        let running = entrant.start(site, cores)?;
        let plan = Plan {
            connections: cell.connections,
            depth: cell.depth,
            idle: cell.idle,
            warm_up: Duration::from_secs_f64(workload.warm_up),
            time: Duration::from_secs_f64(workload.measured),
            ..Plan::new(running.address, cell.path)
        };
        // Processor time, and the ticks outside and inside the kernel.
        let account = || -> Result<(Duration, [u64; 2])> {
            let [user, system, ..] = ticks(running.id())?;
            Ok((family_cpu(running.id())?, [user, system]))
        };
        let (mut before, mut after) = (None, None);
        let outcome = load::run(&plan, &mut |phase| match phase {
            Phase::Measuring { .. } if before.is_none() => before = Some(account()),
            Phase::Finished => after = Some(account()),
            _ => {}
        })?;
        let before = before.context("nothing was measured")??;
        let after = after.context("measuring had no end")??;
        let Outcome { requests, errors, ref latency, elapsed, client_busy, .. } = outcome;
        let idle_lost = cell.idle.saturating_sub(outcome.idle) as u64;
        let failures = Failures { errors, idle_lost };
        ensure!(requests > 0, "no request was answered well, and {failures}");
        let used = after.0.saturating_sub(before.0);
        let quantile = |q| latency.value_at_quantile(q) as f64 / 1000.0;
        Ok(Turn {
            cpu: used.as_secs_f64() * 1e6 / requests as f64,
            ticks: [0, 1].map(|at| after.1[at] - before.1[at]),
            requests_per_second: requests as f64 / elapsed.as_secs_f64(),
            latency: [0.5, 0.99, 0.999].map(quantile),
            client_busy,
            failures,
        })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.2} µs of processor a request, {:>7.0} requests/s, errors: {}",
            self.cpu, self.requests_per_second, self.failures
        )
    }
}

impl Row {
    fn of(cell: &Cell, entrant: &Entrant, turns: &[Turn]) -> Row {
        let summary = |of: fn(&Turn) -> f64| Summary::over(turns, of);
        let cpu = summary(|turn| turn.cpu);
        let ticks =
            |at: usize| turns.iter().map(|turn| turn.ticks[at]).sum::<u64>() as f64;
        let user = cpu.median * ticks(0) / (ticks(0) + ticks(1)).max(1.0);
        let mut failures = Failures::default();
        for turn in turns {
            failures.errors += turn.failures.errors;
            failures.idle_lost += turn.failures.idle_lost;
        }
        Row {
            cell: cell.name,
            title: cell.title,
            server: entrant.name.clone(),
            cpu,
            user,
            system: cpu.median - user,
            requests_per_second: summary(|turn| turn.requests_per_second),
            p50: summary(|turn| turn.latency[0]),
            p99: summary(|turn| turn.latency[1]),
            p999: summary(|turn| turn.latency[2]),
            client_busy: summary(|turn| turn.client_busy),
            failures,
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Failures {
    #[serde(flatten)]
    errors: Errors,
    /// Idle connections that the server has ended.
    idle_lost: u64,
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Errors { connect, reset, cut_short, timed_out, status, malformed } =
            self.errors;
        let kinds = [
            (connect, "not connected"),
            (reset, "reset"),
            (cut_short, "cut short"),
            (timed_out, "timed out"),
            (status, "refused"),
            (malformed, "malformed"),
            (self.idle_lost, "idle ones lost"),
        ];
        let some = kinds.iter().filter(|(count, _)| *count > 0);
        let some: Vec<_> = some.map(|(count, what)| format!("{count} {what}")).collect();
        f.write_str(if some.is_empty() { "none" } else { "" })?;
        f.write_str(&some.join(", "))
    }
}

/// Everything that was measured, for the tables.
struct Tables {
    /// Of the servers that are not ours.
    versions: Vec<String>,
    /// On how they were measured.
    remarks: Vec<String>,
    /// The turns that failed, and why.
    failed: Vec<String>,
    rows: Vec<Row>,
    memory: Vec<Memory>,
}

impl Tables {
    /// What the pages show of it; its order beside that of an earlier record.
    fn parts(&self, name: &'static str, earlier: Option<&Record>) -> Vec<Part> {
        let mut parts = vec![Part::new(name, self.overview() + &self.foot(), None)];
        if name == "compare" {
            let cost = |row| {
                let Row { cell, server, cpu, .. }: &Row = row;
                Cost { cell, server, least: cpu.min }
            };
            let costs: Vec<_> = self.rows.iter().map(cost).collect();
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

    /// A row for each server, a column for each cell, and as many columns as a page is wide.
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
                    let cpu = row.map_or("–".into(), |row| measured(row.cpu.median));
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

    /// What is to be said below the overview.
    fn foot(&self) -> String {
        let mut foot = String::new();
        if !self.versions.is_empty() {
            foot += &format!("The others: {}.", self.versions.join(", "));
        }
        for remark in &self.remarks {
            foot += &format!(" *{remark}.*");
        }
        let some = self.rows.iter().filter(|row| {
            let Failures { errors, idle_lost } = row.failures;
            errors.total() + idle_lost > 0
        });
        let failed: Vec<String> = some
            .map(|row| format!("`{}` in {}: {}", row.server, row.title, row.failures))
            .chain(self.failed.iter().cloned())
            .collect();
        foot + &match failed.len() {
            0 => " No request failed.\n".to_owned(),
            _ => format!(" What failed: {}.\n", failed.join("; ")),
        }
    }

    /// A table for each cell.
    fn cells(&self) -> String {
        let head = "server | >processor, µs a request | >user | >system | >requests/s | >p50, µs | >p99 | >p99.9 | >client busy | >errors";
        let median = |summary: Summary| measured(summary.median);
        let line = |row: &Row| {
            format!(
                "`{}` | {} ({} to {}) | {} | {} | {} | {} | {} | {} | {:.0} % | {}",
                row.server,
                median(row.cpu),
                measured(row.cpu.min),
                measured(row.cpu.max),
                measured(row.user),
                measured(row.system),
                thousands(row.requests_per_second.median as usize),
                median(row.p50),
                median(row.p99),
                median(row.p999),
                row.client_busy.median * 100.0,
                row.failures,
            )
        };
        let cells = self.rows.chunk_by(|a, b| a.cell == b.cell).map(|cell| {
            let title = cell.first().map_or("", |row| row.title);
            format!("**{title}**\n\n{}\n", table(head, cell.iter().map(line)))
        });
        cells.collect()
    }
}
