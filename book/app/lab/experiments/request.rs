//! `lab request`: the processor time that one request takes outside the kernel, in total and in
//! each of three steps: parsing the request, deciding on the answer, writing the answer.
//!
//! A sample is taken in a fresh process, without sockets: bytes go into an `Inbox`, and the bytes
//! from an `Outbox` are discarded. Two pieces of code that were once too slow are measured as well,
//! each in its old form and its new one: the writing of a head's lines, and the moves of an answer
//! from function to function.

use anyhow::Result;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::sample::in_a_process;

/// The kinds of samples: the name of each in a record's rows, and its description in the
/// experiment's table.
const KINDS: [(&str, &str); 9] = [
    ("all", "a request: read, decided on, answered"),
    ("read", "what do the bytes mean? `Inbox::next`"),
    ("decide", "what is the answer? `Site::respond`"),
    ("write", "the same, and the answer as bytes: `Outbox::push`"),
    ("httparse", "of `Inbox::next`, the grammar: httparse by itself"),
    ("format", "the lines of a head by `write!`"),
    ("pieces", "the same lines, piece by piece"),
    ("move-240", "an answer of 240 bytes, made and handed on twice"),
    ("move-120", "an answer of 120 bytes, made and handed on twice"),
];
/// The number of requests in one burst, as a client that does not wait for answers (pipelining)
/// sends them.
const BURST: usize = 16;
static REPEATS: Parameter = parameter("repeats", &[5], &[9]);
pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "request",
    question: "What does a request cost outside of the kernel?",
    predict: number(
        "Reading a request, deciding on the answer, writing it: without sockets, how long do all three take?",
        "ns",
        |record| record.figure(&[("kind", "all")], "cpu"),
    ),
    parameters: &[&REPEATS],
    parts: &[tabled("request")],
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    /// Nanoseconds of processor time per request.
    cpu: Summary,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let repeats = run.one(&REPEATS);
    run.begin(repeats);
    let mut samples = KINDS.map(|_| Vec::new());
    for round in 1..=repeats {
        run.step(&format!("round {round} of {repeats}"));
        for ((kind, _), samples) in KINDS.iter().zip(&mut samples) {
            samples.push(in_a_process(run, kind, BURST)?);
        }
    }
    let rows = KINDS.iter().zip(samples);
    let rows: Vec<Row> =
        rows.map(|(&(kind, _), cpu)| Row { kind, cpu: Summary::of(cpu) }).collect();
    let line = |((_, what), Row { cpu, .. }): (&(_, &str), &Row)| {
        format!("{what} | {:.0} | {:.0} | {:.0}", cpu.median, cpu.min, cpu.max)
    };
    let table = table("what | >ns | >least | >most", KINDS.iter().zip(&rows).map(line));
    Results::new(&rows, vec![Part::once("request", table, None)])
}
