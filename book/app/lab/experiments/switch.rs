//! `lab switch`: what it costs to go from one stack to another and back.
//!
//! The three forms of the switch that the book shows, a coroutine's `resume` and `suspend`, the
//! making of one, and two threads that hand each other the turn. Beside them, if
//! tests/peers has been built, two libraries in wide use:
//!
//! ```text
//! cargo build --release --manifest-path tests/peers/Cargo.toml --target-dir target/peers --bin switch
//! ```
//!
//! And what many coroutines hold that do nothing.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::hint::black_box;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use ch05_epoll::epoll::{Epoll, Trigger};
use ch06_coroutines::context::variants::{self, ByJump, ByReturn, Inlined, Pair};
use ch06_coroutines::{Coroutine, Handle, Resumed, Runtime, Stack, StackPool, suspend};
use serde::{Deserialize, Serialize};

use crate::lab::prelude::*;
use crate::lab::tools::sample::{self, in_a_process};
use crate::proc::{cpu, meminfo, of_process};

/// What the prediction is about.
const COROUTINES: &str = "a coroutine: `resume` and `suspend`";
const THREADS: &str = "two threads that hand each other the turn";
/// What is measured here, and what it is called in the table.
const OURS: [(&str, &str); 7] = [
    ("return", "a function that saves the registers and returns"),
    ("jump", "the same, but it jumps"),
    ("inlined", "inlined, and nothing saved that nobody needs"),
    ("coroutine", COROUTINES),
    ("spawn", "a coroutine made, run to its end, its stack given back"),
    ("yield", "`yield_now` of many coroutines, through the scheduler's run queue"),
    ("threads", THREADS),
];
const PEERS: [(&str, &str); 2] = [
    ("corosensei", "corosensei 0.3: `resume` and `suspend`"),
    ("generator", "generator 0.8: `resume` and `yield`"),
];
/// Every kind is measured once a round, so that a noisy moment affects all of them.
static ROUNDS: Parameter = parameter("rounds", &[7], &[15]);
/// A sample repeats for this much processor time.
const ENOUGH: Duration = Duration::from_millis(20);
/// Coroutines at once.
static PARKED: Parameter =
    parameter("coroutines at once", &[1_000, 100_000], &[1_000, 100_000, 1_000_000]);
/// A million of them need at least this much memory, in KiB.
const ROOM: u64 = 8 * 1024 * 1024;

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "switch",
    question: "What does it cost to go to another stack and back, and to have so many?",
    predict: choice(
        "Two threads hand each other the turn, and two coroutines do. How many times as long does it take the threads, there and back?",
        &[
            "about as long",
            "ten times as long",
            "a hundred times as long",
            "a thousand times as long, or more",
        ],
        |record| {
            let there_and_back = |what| record.figure(&[("what", what)], "nanoseconds");
            let times = there_and_back(THREADS)? / there_and_back(COROUTINES)?;
            let option = range(times, &[3.0, 30.0, 300.0]);
            Some((option, format!("{} times as long", in_words(times))))
        },
    ),
    parameters: &[&ROUNDS, &PARKED],
    parts: &[tabled("switch"), tabled("parked")],
    sample: Some(|what, count| Ok(serde_json::to_value(sample(what, count)?)?)),
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    what: &'static str,
    /// Processor time there and back.
    nanoseconds: Summary,
}

/// What one process measured.
#[derive(Serialize, Deserialize)]
enum Sample {
    /// Processor time for one repeat, in nanoseconds.
    Took(f64),
    /// For each coroutine: bytes of its own, bytes of page tables, nanoseconds to make it.
    Holds { own: f64, tables: f64, nanoseconds: f64, mappings: usize },
}

fn run(run: &Run<'_>) -> Result<Results> {
    let peers = run.paths.checkout().join("target/peers/release/switch");
    let mut kinds = OURS.to_vec();
    if peers.exists() {
        kinds.splice(4..4, PEERS);
    } else {
        eprintln!(
            "lab switch: without corosensei and generator, as tests/peers is not built"
        );
    }
    let rounds = run.one(&ROUNDS);
    run.begin(rounds + run.list(&PARKED).len());
    let mut samples = vec![Vec::with_capacity(rounds); kinds.len()];
    for round in 1..=rounds {
        run.step(&format!("round {round} of {rounds}"));
        for (&(kind, _), samples) in kinds.iter().zip(&mut samples) {
            samples.push(if PEERS.iter().any(|(peer, _)| *peer == kind) {
                let output = Command::new(&peers).arg(kind).output()?;
                ensure!(output.status.success(), "the peer {kind} has failed");
                String::from_utf8(output.stdout)?.trim().parse()?
            } else {
                match in_a_process("switch", kind, 0)? {
                    Sample::Took(nanoseconds) => nanoseconds,
                    Sample::Holds { .. } => bail!("{kind} was to be timed"),
                }
            });
        }
    }
    let rows: Vec<Row> = kinds
        .iter()
        .zip(samples)
        .map(|(&(_, what), samples)| Row { what, nanoseconds: Summary::of(samples) })
        .collect();
    let parts = vec![
        Part::new("switch", times(&rows), None),
        Part::once("parked", parked(run)?, None),
    ];
    Results::new(&rows, parts)
}

fn times(rows: &[Row]) -> String {
    let row = |Row { what, nanoseconds }: &Row| {
        let Summary { median, min, max, .. } = *nanoseconds;
        // One digit behind the point in all figures of a row, or in none.
        let [median, min, max] = [median, min, max].map(|time| match median < 100.0 {
            true => format!("{time:.1}"),
            false => thousands(time.round() as usize),
        });
        format!("{what} | {median} ns ({min} to {max})")
    };
    table("there and back | >processor time", rows.iter().map(row))
}

/// Measures coroutines that are suspended: what they hold.
fn parked(run: &Run<'_>) -> Result<String> {
    let head = ">coroutines | >memory of each | >page tables for it | >all together | >mappings of the process | >processor time to make one";
    let mut rows = Vec::new();
    for &count in run.list(&PARKED) {
        run.step(&format!("{} coroutines at once", thousands(count)));
        if count >= 1_000_000 && meminfo("MemAvailable") < ROOM {
            eprintln!("lab switch: not enough memory here for {}", thousands(count));
            continue;
        }
        let sample = in_a_process("switch", "parked", count)?;
        let Sample::Holds { own, tables, nanoseconds, mappings } = sample else {
            bail!("they were to be weighed");
        };
        rows.push(format!(
            "{} | {} | {} | {} | {mappings} | {:.1} µs",
            thousands(count),
            bytes(own),
            bytes(tables),
            bytes((own + tables) * count as f64),
            nanoseconds / 1000.0
        ));
    }
    Ok(table(head, rows))
}

/// Takes one sample in this process.
fn sample(what: &str, count: usize) -> Result<Sample> {
    match what {
        "return" => pair::<ByReturn>(),
        "jump" => pair::<ByJump>(),
        "inlined" => pair::<Inlined>(),
        "coroutine" => coroutine(),
        "spawn" => spawn(),
        "yield" => yields(),
        "threads" => threads(),
        "parked" => park(count),
        _ => bail!("nothing of `lab switch` is called {what}"),
    }
}

/// Repeats something for [`ENOUGH`] processor time; returns what one repeat took.
fn repeat(mut batch: impl FnMut(u32)) -> Result<Sample> {
    let taken = sample::repeat(1_024, ENOUGH, |times| {
        batch(times);
        Ok(())
    })?;
    Ok(Sample::Took(taken.cpu * 1e9))
}

// ANCHOR: pair
fn pair<F: variants::Form>() -> Result<Sample> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut pair = Pair::<F>::new(stacks.take()?);
    repeat(|times| {
        for _ in 0..times {
            pair.round_trip();
        }
    })
}
// ANCHOR_END: pair

/// Creates a coroutine.
fn new_coroutine(stack: Stack, id: u64, body: impl FnOnce() + 'static) -> Coroutine {
    // SAFETY: no body in this file uses a thread-local.
    unsafe { Coroutine::new(stack, id, body) }
}

fn coroutine() -> Result<Sample> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut coroutine = new_coroutine(stacks.take()?, 1, || {
        loop {
            suspend();
        }
    });
    repeat(|times| {
        for _ in 0..times {
            assert!(matches!(coroutine.resume(), Resumed::Suspended));
        }
    })
}

fn spawn() -> Result<Sample> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let stack = stacks.take()?;
    stacks.give_back(stack);
    repeat(|times| {
        for id in 0..times {
            let Ok(stack) = stacks.take() else { unreachable!("one was given back") };
            // As much as the scheduler gives one along.
            let luggage = black_box([u64::from(id); 6]);
            let mut coroutine = new_coroutine(stack, id.into(), move || {
                black_box(&luggage);
            });
            assert!(matches!(coroutine.resume(), Resumed::Finished));
            stacks.give_back(coroutine.into_stack());
        }
    })
}

/// The scheduler runs each of these in turn, and polls the kernel once a round.
fn yields() -> Result<Sample> {
    const TOGETHER: u32 = 64;
    let stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let poller = Box::new(Epoll::new(Trigger::Level)?);
    let runtime = Runtime::with_stacks(poller, stacks)?;
    let first = |handle: &Handle| -> Result<Sample> {
        let over = Rc::new(Cell::new(false));
        for _ in 1..TOGETHER {
            let over = Rc::clone(&over);
            let yields = move |handle: &Handle| {
                while !over.get() {
                    handle.yield_now();
                }
            };
            // SAFETY: it uses no thread-local.
            drop(unsafe { handle.spawn_coroutine(yields) }?);
        }
        let sample = repeat(|times| {
            for _ in 0..times / TOGETHER {
                handle.yield_now(); // and all the others do
            }
        });
        over.set(true);
        sample
    };
    // SAFETY: nor does this.
    let sample = unsafe { runtime.run_coroutine(first) }?;
    sample.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Even: this thread's turn; odd: the other's.
fn threads() -> Result<Sample> {
    const OVER: u32 = u32::MAX;
    let turn = Arc::new(AtomicU32::new(0));
    let (here, turns) = (thread::current(), Arc::clone(&turn));
    let other = thread::spawn(move || {
        loop {
            match turns.load(SeqCst) {
                OVER => return,
                now if now % 2 == 1 => {
                    turns.store(now.wrapping_add(1) % (OVER - 1), SeqCst);
                    here.unpark();
                }
                _ => thread::park(),
            }
        }
    });
    let sample = repeat(|times| {
        for _ in 0..times {
            let mine = turn.load(SeqCst);
            turn.store(mine + 1, SeqCst);
            other.thread().unpark();
            while turn.load(SeqCst) == mine + 1 {
                thread::park();
            }
        }
    });
    turn.store(OVER, SeqCst);
    other.thread().unpark();
    let _ = other.join(); // it cannot have panicked
    sample
}

/// Makes coroutines that begin and suspend, and measures what they hold.
fn park(count: usize) -> Result<Sample> {
    let kib = |name| of_process("self", "status", name);
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut parked = Vec::with_capacity(count);
    let before = (kib("RssAnon")?, kib("VmPTE")?, cpu()?);
    for id in 0..count {
        let mut coroutine = new_coroutine(stacks.take()?, id as u64, suspend);
        coroutine.resume();
        parked.push(coroutine);
    }
    let nanoseconds = (cpu()? - before.2).as_nanos() as f64;
    let each =
        |kib: u64, before: u64| (kib as f64 - before as f64) * 1024.0 / count as f64;
    let mappings = std::fs::read_to_string("/proc/self/maps")?.lines().count();
    Ok(Sample::Holds {
        own: each(kib("RssAnon")?, before.0),
        tables: each(kib("VmPTE")?, before.1),
        nanoseconds: nanoseconds / count as f64,
        mappings,
    })
}
