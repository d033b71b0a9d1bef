//! `lab spawn`: what a process and a thread cost, to make and to keep.
//!
//! Each sample is taken in a fresh process, which makes so many that do nothing
//! but sleep, weighs them, and ends them. Processor time is the operating
//! system's account, user and system together, from the first one made to the last one gone.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ch01_blocking::server::sys::{self, Pid, Signal};
use nix::sys::wait::waitpid;
use serde::{Deserialize, Serialize};

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::experiment::{Experiment, Kind, Parameter, charted};
use super::machine::{after, meminfo};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::sample::{cpu, in_a_process};
use super::spread::{Spread, bytes, thousands};

/// How many at once.
static COUNTS: Parameter = Parameter {
    name: "at once",
    quick: &[10, 100, 1_000],
    full: &[10, 100, 1_000, 10_000],
};
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[3], full: &[7] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "spawn",
    question: "What does it cost to make a process or a thread, and to keep it while it sleeps?",
    predict: Predict {
        ask: "A process for each client, or a thread for each: how many times the threads' memory do a thousand sleeping processes hold, their own and the kernel's together?",
        form: Form::Choice {
            options: &[
                "as much",
                "about twice as much",
                "three to ten times as much",
                "more",
            ],
            answer: |record| {
                let holds = |what| {
                    let row = [("what", what), ("count", "1000")];
                    let part = |of| record.figure(&row, of);
                    Some(part("/user_bytes")? + part("/kernel_bytes")?)
                };
                let times = holds("process")? / holds("thread")?;
                let ends = [1.5, 3.0, 12.0];
                let option = ends.iter().filter(|end| times >= **end).count();
                Some((option, format!("{times:.1} times as much")))
            },
        },
    },
    parameters: &[&COUNTS, &REPEATS],
    parts: &[charted("spawn", Kind::Line)],
    from_page: true,
    run,
};

/// As much as the `thread` server reserves.
const STACK: usize = 256 * 1024;

/// What one process measured. All of it for one thread or process.
#[derive(Serialize, Deserialize)]
pub(super) struct Sample {
    cpu_microseconds: f64,
    user_bytes: f64,
    kernel_bytes: f64,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    count: usize,
    cpu_microseconds: Spread,
    user_bytes: Spread,
    kernel_bytes: Spread,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    let counts = lab.list(&COUNTS);
    lab.begin(2 * counts.len());
    let mut rows = Vec::new();
    for what in ["process", "thread"] {
        for &count in counts {
            lab.step(&format!("{what}, {} at once", thousands(count)));
            let samples: Vec<Sample> = (0..lab.one(&REPEATS))
                .map(|_| in_a_process("spawn", what, count))
                .collect::<Result<_>>()?;
            let spread =
                |of: fn(&Sample) -> f64| Spread::of(samples.iter().map(of).collect());
            rows.push(Row {
                what,
                count,
                cpu_microseconds: spread(|sample| sample.cpu_microseconds),
                user_bytes: spread(|sample| sample.user_bytes),
                kernel_bytes: spread(|sample| sample.kernel_bytes),
            });
            lab.partial(|| parts(&rows));
        }
    }
    keep(lab, &rows, parts(&rows))
}

fn parts(rows: &[Row]) -> Vec<Part> {
    vec![Part::new("spawn", table(rows), Some(chart(rows)))]
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| what | how many | processor time to make and end one | its own memory | the kernel's memory for it | all of them together |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let each = row.user_bytes.median + row.kernel_bytes.median;
        table += &format!(
            "| {} | {} | {:.0} µs ({:.0} to {:.0}) | {} | {} | {} |\n",
            row.what,
            thousands(row.count),
            row.cpu_microseconds.median,
            row.cpu_microseconds.min,
            row.cpu_microseconds.max,
            bytes(row.user_bytes.median),
            bytes(row.kernel_bytes.median),
            bytes(each * row.count as f64),
        );
    }
    table
}

fn chart(rows: &[Row]) -> Chart {
    let series = ["process", "thread"].map(|what| {
        let rows = rows.iter().filter(|row| row.what == what);
        let held = rows.map(|row| {
            let each = row.user_bytes.median + row.kernel_bytes.median;
            (row.count as f64, each * row.count as f64 / 1024.0 / 1024.0)
        });
        Series::plain(what, held)
    });
    let words = Words {
        title: "Memory held by sleeping processes and threads",
        description: "A line for processes and a line for threads, both straight: memory grows in proportion to how many there are.",
        x: "how many, asleep",
        y: "MiB, theirs and the kernel's",
    };
    Chart::new(Kind::Line, &words, series)
}

/// Takes one sample in this process, which should have done nothing else.
pub(super) fn measure(what: &str, count: usize) -> Result<Sample> {
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

/// Makes so many processes; says what they and the kernel hold while they sleep; ends them.
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
    // Every child is like the other, and reading this costs time: some will do.
    let some: Vec<f64> = children
        .iter()
        .take(100)
        .filter_map(|child| private_bytes(&child.to_string()))
        .collect();
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
    let before = private_bytes("self").context("no /proc/self/smaps_rollup here")?;
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

/// What only this process has, in bytes.
fn private_bytes(pid: &str) -> Option<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let kib = |name: &str| -> Option<f64> {
        after(&path, name)?.split(' ').next()?.parse().ok()
    };
    Some((kib("Private_Clean")? + kib("Private_Dirty")?) * 1024.0)
}

/// The kernel's memory that grows with processes and threads: their kernel stacks,
/// page tables, and entries in its tables. For the whole machine, so it takes a quiet one.
fn kernel_kib() -> i64 {
    ["KernelStack", "PageTables", "SUnreclaim"]
        .iter()
        .map(|name| meminfo(name) as i64)
        .sum()
}
