//! `lab spawn`: the processor time to create and end a process or a thread, and its memory.
//!
//! Each sample is taken in a fresh process, which creates processes or threads that only sleep,
//! measures their memory, and ends them. Processor time is the operating system's figure, user and
//! system time together, from the creation of the first process or thread to the end of the last.

use anyhow::Result;
use samples::Spawn;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::sample::in_a_process;

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
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    what: &'static str,
    count: usize,
    cpu_microseconds: Summary,
    user_bytes: Summary,
    kernel_bytes: Summary,
}

impl Row {
    /// Returns the bytes of memory of all processes or threads together, their own and the
    /// kernel's.
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
    let samples: Vec<Spawn> = (0..run.one(&REPEATS))
        .map(|_| in_a_process(run, what, count))
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
