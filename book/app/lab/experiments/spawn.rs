//! `lab spawn`: what a process and a thread cost, to make and to keep.
//!
//! Each sample is taken in a fresh process, which makes processes or threads that do nothing
//! but sleep, measures their memory, and ends them. Processor time is the operating system's
//! account, user and system together, from the first one made to the last one gone.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use ch01_blocking::server::sys::{self, Pid, Signal};
use nix::sys::wait::waitpid;
use serde::{Deserialize, Serialize};

use crate::lab::prelude::*;
use crate::lab::tools::sample::in_a_process;
use crate::proc::{cpu, meminfo, of_process};

static COUNTS: Parameter =
    parameter("at once", &[10, 100, 1_000], &[10, 100, 1_000, 10_000]);
static REPEATS: Parameter = parameter("repeats", &[3], &[7]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "spawn",
    question: "What does it cost to make a process or a thread, and to keep it while it sleeps?",
    predict: choice(
        "A process for each client, or a thread for each: how many times the threads' memory do a thousand sleeping processes hold, their own and the kernel's together?",
        &["as much", "about twice as much", "three to ten times as much", "more"],
        |record| {
            let holds = |what| {
                let row = [("what", what), ("count", "1000")];
                let part = |of| record.figure(&row, of);
                Some(part("user_bytes")? + part("kernel_bytes")?)
            };
            let times = holds("process")? / holds("thread")?;
            let option = range(times, &[1.5, 3.0, 12.0]);
            Some((option, format!("{times:.1} times as much")))
        },
    ),
    parameters: &[&COUNTS, &REPEATS],
    parts: &[charted("spawn", Kind::Line)],
    sample: Some(|what, count| Ok(serde_json::to_value(sample(what, count)?)?)),
    ..measured_by(run)
};

/// As much as the `thread` server reserves.
const STACK: usize = 256 * 1024;

/// What one process measured, for each thread or process.
#[derive(Serialize, Deserialize)]
struct Sample {
    cpu_microseconds: f64,
    user_bytes: f64,
    kernel_bytes: f64,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    count: usize,
    cpu_microseconds: Summary,
    user_bytes: Summary,
    kernel_bytes: Summary,
}

impl Row {
    /// Its own memory and the kernel's, of all together.
    fn all_bytes(&self) -> f64 {
        (self.user_bytes.median + self.kernel_bytes.median) * self.count as f64
    }
}

fn run(run: &Run<'_>) -> Result<Results> {
    let of = |what| run.list(&COUNTS).iter().map(move |&count| (what, count));
    let cells = ["process", "thread"].into_iter().flat_map(of).collect();
    let name = |&(what, count): &_| format!("{what}, {} at once", thousands(count));
    run.rows(cells, name, |(what, count)| row(run, what, count), parts)
}

fn row(run: &Run<'_>, what: &'static str, count: usize) -> Result<Row> {
    let samples: Vec<Sample> = (0..run.one(&REPEATS))
        .map(|_| in_a_process("spawn", what, count))
        .collect::<Result<_>>()?;
    Ok(Row {
        what,
        count,
        cpu_microseconds: Summary::over(&samples, |sample| sample.cpu_microseconds),
        user_bytes: Summary::over(&samples, |sample| sample.user_bytes),
        kernel_bytes: Summary::over(&samples, |sample| sample.kernel_bytes),
    })
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let head = "what | >how many | >processor time to make and end one | >its own memory | >the kernel's memory for it | >all of them together";
    let row = |row: &Row| {
        format!(
            "{} | {} | {:.0} µs ({:.0} to {:.0}) | {} | {} | {}",
            row.what,
            thousands(row.count),
            row.cpu_microseconds.median,
            row.cpu_microseconds.min,
            row.cpu_microseconds.max,
            bytes(row.user_bytes.median),
            bytes(row.kernel_bytes.median),
            bytes(row.all_bytes()),
        )
    };
    vec![Part::new("spawn", table(head, rows.iter().map(row)), Some(chart(rows)))]
}

fn chart(rows: &[Row]) -> Chart {
    let labels = Labels {
        title: "Memory held by sleeping processes and threads",
        description: "A line for processes and a line for threads, both straight: memory grows in proportion to how many there are.",
        x: "how many, asleep",
        y: "MiB, theirs and the kernel's",
    };
    let series = ["process", "thread"].map(|what| {
        let rows = rows.iter().filter(|row| row.what == what);
        let point = |row: &Row| (row.count as f64, row.all_bytes() / 1024.0 / 1024.0);
        Series::plain(what, rows.map(point))
    });
    Chart::new(Kind::Line, &labels, series)
}

/// Takes one sample in this process, which should have done nothing else.
fn sample(what: &str, count: usize) -> Result<Sample> {
    let before = (cpu()?, kernel_kib());
    let (user_bytes, kernel_kib_held) = match what {
        "process" => processes(count)?,
        "thread" => threads(count)?,
        _ => bail!("neither a process nor a thread: {what}"),
    };
    let each = |total: f64| total.max(0.0) / count as f64;
    Ok(Sample {
        cpu_microseconds: each((cpu()? - before.0).as_secs_f64() * 1e6),
        user_bytes: each(user_bytes),
        kernel_bytes: each((kernel_kib_held - before.1) as f64 * 1024.0),
    })
}

/// Makes processes, measures what they and the kernel hold while they sleep, and ends them.
fn processes(count: usize) -> Result<(f64, i64)> {
    let mut children: Vec<Pid> = Vec::with_capacity(count);
    let mut failed = None;
    for _ in 0..count {
        match sys::fork() {
            Ok(Some(child)) => children.push(child),
            Ok(None) => loop {
                nix::unistd::pause(); // until SIGKILL
            },
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let held = kernel_kib();
    // All children are alike, and reading this costs time: a hundred are enough.
    let some: Vec<f64> =
        children.iter().take(100).filter_map(|child| private_bytes(child).ok()).collect();
    let user = some.iter().sum::<f64>() / some.len().max(1) as f64 * count as f64;
    for &child in &children {
        sys::kill(child, Signal::SIGKILL)?;
        waitpid(child, None)?;
    }
    match failed {
        None => Ok((user, held)),
        Some(error) => bail!(
            "the system has no more than {} processes for us: {error}",
            children.len()
        ),
    }
}

/// The same for threads.
fn threads(count: usize) -> Result<(f64, i64)> {
    let asleep = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let before = private_bytes("self")?;
    let mut sleepers = Vec::with_capacity(count);
    let mut failed = None;
    for _ in 0..count {
        let (asleep, gate) = (asleep.clone(), gate.clone());
        let sleep = move || {
            let closed = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
            asleep.fetch_add(1, SeqCst);
            drop(gate.1.wait_while(closed, |open| !*open));
        };
        match thread::Builder::new().stack_size(STACK).spawn(sleep) {
            Ok(sleeper) => sleepers.push(sleeper),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    while asleep.load(SeqCst) < sleepers.len() {
        thread::sleep(Duration::from_millis(1));
    }
    let (user, held) = (private_bytes("self").unwrap_or(before) - before, kernel_kib());
    *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    gate.1.notify_all();
    let made = sleepers.len();
    for sleeper in sleepers {
        let _ = sleeper.join(); // it cannot have panicked
    }
    match failed {
        None => Ok((user, held)),
        Some(error) => {
            bail!("the system has no more than {made} threads for us: {error}")
        }
    }
}

/// Memory that no other process shares, in bytes.
fn private_bytes(pid: impl std::fmt::Display + Copy) -> Result<f64> {
    let kib = |name| of_process(pid, "smaps_rollup", name);
    Ok((kib("Private_Clean")? + kib("Private_Dirty")?) as f64 * 1024.0)
}

/// The kernel's memory that grows with processes and threads: their kernel stacks,
/// page tables, and entries in its tables. For the whole machine, so it takes a quiet one.
fn kernel_kib() -> i64 {
    ["KernelStack", "PageTables", "SUnreclaim"]
        .iter()
        .map(|name| meminfo(name) as i64)
        .sum()
}
