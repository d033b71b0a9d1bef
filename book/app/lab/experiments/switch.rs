//! `lab switch`: the time to switch from one stack to another and back.
//!
//! The experiment measures:
//!
//! - the three context switches that the book shows;
//! - a coroutine's `resume` and `suspend`;
//! - the creation, run and end of a coroutine;
//! - `yield_now` of many coroutines;
//! - two threads that wake each other in turn;
//! - two libraries in wide use, if tests/peers has been built;
//! - the memory of many suspended coroutines.
//!
//! This command builds the program of tests/peers that measures the two libraries:
//!
//! ```text
//! cargo build --release --manifest-path tests/peers/Cargo.toml --target-dir target/peers --bin switch
//! ```

use std::process::Command;

use anyhow::{Result, bail, ensure};
use samples::Switch;
use samples::proc::meminfo;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::sample::in_a_process;

/// The name of the table's row for coroutines, which the prediction compares with [`THREADS`].
const COROUTINES: &str = "a coroutine: `resume` and `suspend`";
/// The name of the table's row for threads, which the prediction compares with [`COROUTINES`].
const THREADS: &str = "two threads that hand each other the turn";
/// The kinds of samples of the book's own code: for each, the name by which the program `samples`
/// knows it, and its name in the experiment's table.
const OURS: [(&str, &str); 7] = [
    ("return", "a function that saves the registers and returns"),
    ("jump", "the same, but it jumps"),
    ("inlined", "inlined, and nothing saved that is not needed"),
    ("coroutine", COROUTINES),
    ("spawn", "a coroutine made, run to its end, its stack given back"),
    ("yield", "`yield_now` of many coroutines, through the scheduler's run queue"),
    ("threads", THREADS),
];
/// Two libraries in wide use: the name by which the program `switch` in tests/peers knows each
/// library, and its name in the experiment's table.
const PEERS: [(&str, &str); 2] = [
    ("corosensei", "corosensei 0.3: `resume` and `suspend`"),
    ("generator", "generator 0.8: `resume` and `yield`"),
];
/// The number of rounds. In each round, every kind of sample is taken once, so that a disturbance
/// affects all kinds.
static ROUNDS: Parameter = parameter("rounds", &[7], &[15]);
/// The numbers of suspended coroutines whose memory is measured.
static PARKED: Parameter =
    parameter("coroutines at once", &[1_000, 100_000], &[1_000, 100_000, 1_000_000]);
/// The memory, in KiB, that must be available for a million suspended coroutines.
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
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    what: &'static str,
    /// Processor time of a switch to another stack and back, in nanoseconds.
    nanoseconds: Summary,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let peers = run.paths.checkout().join("target/peers/release/switch");
    let mut kinds = OURS.to_vec();
    if peers.exists() {
        kinds.splice(4..4, PEERS);
    } else {
        eprintln!(
            "lab switch: corosensei and generator are left out, because tests/peers is not built"
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
                match in_a_process(run, kind, 0)? {
                    Switch::Took(nanoseconds) => nanoseconds,
                    Switch::Holds { .. } => bail!("the sample {kind} has no time"),
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
        // The median, the least and the greatest time are shown in the same form, with a decimal
        // if the median is small, so that they can be compared.
        let [median, min, max] = [median, min, max].map(|time| match median < 100.0 {
            true => format!("{time:.1}"),
            false => thousands(time.round() as usize),
        });
        format!("{what} | {median} ns ({min} to {max})")
    };
    table("there and back | >processor time", rows.iter().map(row))
}

/// Measures the memory of suspended coroutines, and returns the table.
fn parked(run: &Run<'_>) -> Result<String> {
    let head = ">coroutines | >memory of each | >page tables for it | >all together | >mappings of the process | >processor time to make one";
    let mut rows = Vec::new();
    for &count in run.list(&PARKED) {
        run.step(&format!("{} coroutines at once", thousands(count)));
        if count >= 1_000_000 && meminfo("MemAvailable") < ROOM {
            eprintln!("lab switch: not enough memory here for {}", thousands(count));
            continue;
        }
        let sample = in_a_process(run, "parked", count)?;
        let Switch::Holds { own, tables, nanoseconds, mappings } = sample else {
            bail!("the sample has no memory");
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
