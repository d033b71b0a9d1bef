//! `lab readiness`: what it costs to find out who is ready.
//!
//! Measured on the trait `Poller` itself, in three ways: the wait alone, of so many with
//! one ready; the same with the write that makes it ready and the read; and all ready at
//! once, which is what a server without idle connections sees.

use anyhow::Result;
use serde::Serialize;

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::experiment::{Experiment, Kind, Parameter, charted, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::rounds::Sample;
use super::sample::in_a_process;
use super::spread::{Spread, thousands};

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
/// The same, for all runs: the published figures are for these.
static WATCHED: Parameter =
    Parameter { name: "descriptors watched", quick: &COUNTS, full: &COUNTS };
/// Of the waits alone, which the published figures are of.
static ALONE: Parameter =
    Parameter { name: "repeats of the wait alone", quick: &[3], full: &[5] };
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[1], full: &[5] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "readiness",
    question: "What does it cost to find out who is ready, of so many?",
    predict: Predict {
        ask: "One descriptor is ready, and ten, a hundred, a thousand, ten thousand are watched. What does one wait cost with poll?",
        form: Form::Curve { chart: "readiness", line: "poll" },
    },
    parameters: &[&WATCHED, &ALONE, &REPEATS],
    parts: &[
        charted("readiness", Kind::Line),
        tabled("readiness-one"),
        charted("readiness-all", Kind::Line),
    ],
    from_page: true,
    run,
};

/// Those that tell of what is, and so can be asked again and again. The others tell of
/// what happens: without a write there is nothing to wait for.
const LEVEL: [&str; 3] = ["select", "poll", "epoll"];
/// All of them, and none: write and read without asking anybody.
const ALL: [&str; 7] = ["none", "spin", "sigio", "select", "poll", "epoll", "epoll-et"];

/// Seconds for 100,000 waits with one descriptor ready, for `select`, `poll` and `epoll`, with
/// [`COUNTS`] watched; and where that was published.
const PUBLISHED: [(&str, [[f64; 3]; 4]); 2] = [
    (
        "TLPI, Table 63-9, on Linux 2.6.25.",
        [[0.73, 0.61, 0.41], [3.0, 2.9, 0.42], [35.0, 35.0, 0.53], [930.0, 990.0, 0.66]],
    ),
    (
        "an earlier slide by the same author, linux.conf.au 2006, on another machine.",
        [
            [1.28, 1.12, 0.65],
            [7.1, 6.8, 0.68],
            [151.0, 157.0, 0.89],
            [1087.0, 1750.0, 0.97],
        ],
    ),
];

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    mechanism: &'static str,
    count: usize,
    /// Microseconds of processor time: of one wait, one round, or one event.
    cpu: Option<Spread>,
    /// The same on the wall.
    wall: Option<Spread>,
    /// It took so many descriptors and no more.
    full_after: Option<usize>,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    lab.begin((LEVEL.len() + 2 * ALL.len()) * COUNTS.len());
    let mut rows = Vec::new();
    for (kind, mechanisms) in
        [("alone", &LEVEL[..]), ("one", &ALL[..]), ("all", &ALL[..])]
    {
        for &mechanism in mechanisms {
            for count in COUNTS {
                lab.step(&format!(
                    "{mechanism}, {} descriptors, {kind}",
                    thousands(count)
                ));
                let repeats = lab.one(if kind == "alone" { &ALONE } else { &REPEATS });
                rows.push(row(kind, mechanism, count, repeats)?);
                lab.partial(|| charts_of(&rows, kind));
            }
        }
    }
    keep(lab, &rows, parts(&rows))
}

fn parts(rows: &[Row]) -> Vec<Part> {
    vec![
        Part::new("readiness", alone(rows), Some(alone_chart(rows))),
        Part::new("readiness-one", both(rows, "one"), None),
        Part::new("readiness-all", both(rows, "all"), Some(all_chart(rows))),
    ]
}

/// The charts that show something of this kind.
fn charts_of(rows: &[Row], kind: &str) -> Vec<Part> {
    let name = if kind == "alone" { "readiness" } else { "readiness-all" };
    parts(rows).into_iter().filter(|part| part.name == name).collect()
}

fn row(
    kind: &'static str,
    mechanism: &'static str,
    count: usize,
    repeats: usize,
) -> Result<Row> {
    let mut row = Row { kind, mechanism, count, cpu: None, wall: None, full_after: None };
    let (mut cpus, mut walls) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        match in_a_process("readiness", &format!("{mechanism}/{kind}"), count)? {
            Sample::Took { cpu, wall } => {
                cpus.push(cpu);
                walls.push(wall);
            }
            Sample::Full { after } => {
                row.full_after = Some(after);
                return Ok(row);
            }
        }
    }
    (row.cpu, row.wall) = (Some(Spread::of(cpus)), Some(Spread::of(walls)));
    Ok(row)
}

fn find<'r>(
    rows: &'r [Row],
    kind: &str,
    mechanism: &str,
    count: usize,
) -> Option<&'r Row> {
    rows.iter()
        .find(|row| row.kind == kind && row.mechanism == mechanism && row.count == count)
}

/// Microseconds with as many digits as mean something.
fn us(microseconds: f64) -> String {
    match microseconds {
        us if us < 10.0 => format!("{us:.2}"),
        us if us < 100.0 => format!("{us:.1}"),
        us => thousands(us.round() as usize),
    }
}

/// What was measured, or why not.
fn cell(row: Option<&Row>, show: impl Fn(Spread, Spread) -> String) -> String {
    match row {
        Some(Row { cpu: Some(cpu), wall: Some(wall), .. }) => show(*cpu, *wall),
        Some(Row { full_after: Some(after), .. }) => {
            format!("no room after {}", thousands(*after))
        }
        _ => "–".to_owned(),
    }
}

/// How many times as much at the end as at the beginning.
fn growth(from: Option<f64>, to: Option<f64>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => match to / from {
            times if times < 10.0 => format!("× {times:.1}"),
            times => format!("× {}", thousands(times.round() as usize)),
        },
        _ => "–".to_owned(),
    }
}

/// A table of `select`, `poll` and `epoll`: a heading, and the cells of a row.
fn three(heading: &str, rows: &[(String, [String; 3])]) -> String {
    let mut table = format!("| {heading} |");
    for mechanism in LEVEL {
        table += &format!(" `{mechanism}` |");
    }
    table += "\n|--:|--:|--:|--:|\n";
    for (name, [select, poll, epoll]) in rows {
        table += &format!("| {name} | {select} | {poll} | {epoll} |\n");
    }
    table
}

const GROWTH: &str = "from 10 to 10,000";

fn alone(rows: &[Row]) -> String {
    let line = |count, show: &dyn Fn(Spread, Spread) -> String| {
        LEVEL.map(|mechanism| cell(find(rows, "alone", mechanism, count), show))
    };
    let processor = |cpu: Spread, _| {
        format!("{} µs ({} to {})", us(cpu.median), us(cpu.min), us(cpu.max))
    };
    let elapsed = |_, wall: Spread| format!("{} µs", us(wall.median));
    let median =
        |mechanism, count| Some(find(rows, "alone", mechanism, count)?.cpu?.median);
    let grown = LEVEL.map(|name| growth(median(name, 10), median(name, 10_000)));
    let mut lines: Vec<_> =
        COUNTS.map(|count| (thousands(count), line(count, &processor))).into();
    lines.push((GROWTH.to_owned(), grown));
    lines.extend(
        COUNTS.map(|count| {
            (format!("elapsed, {}", thousands(count)), line(count, &elapsed))
        }),
    );
    let mut table = three("watched, one ready", &lines);
    for (source, seconds) in PUBLISHED {
        let mut lines: Vec<_> = (0..COUNTS.len())
            .map(|at| {
                let cells =
                    seconds[at].map(|seconds| format!("{} µs", us(seconds * 10.0)));
                (thousands(COUNTS[at]), cells)
            })
            .collect();
        let grown =
            [0, 1, 2].map(|at| growth(Some(seconds[0][at]), Some(seconds[3][at])));
        lines.push((GROWTH.to_owned(), grown));
        table +=
            &format!("\nPublished: {source}\n\n{}", three("watched, one ready", &lines));
    }
    table
}

/// Processor time and elapsed time of one kind, for every mechanism.
fn both(rows: &[Row], kind: &str) -> String {
    let what = if kind == "one" { "watched, one ready" } else { "watched, all ready" };
    let mut table = format!("| {what} |");
    for count in COUNTS {
        table += &format!(" {} |", thousands(count));
    }
    table += "\n|---|--:|--:|--:|--:|\n";
    for mechanism in ALL {
        let name = match mechanism {
            "none" => "write and read, nobody asked".to_owned(),
            name => format!("`{name}`"),
        };
        table += &format!("| {name} |");
        for count in COUNTS {
            let row = find(rows, kind, mechanism, count);
            let show = |cpu: Spread, wall: Spread| {
                format!("{} µs ({})", us(cpu.median), us(wall.median))
            };
            table += &format!(" {} |", cell(row, show));
        }
        table += "\n";
    }
    table
}

fn line(rows: &[Row], kind: &str, name: &str) -> Series {
    let point = |row: &Row| Some((row.count as f64, row.cpu?));
    let rows = rows.iter().filter(|row| row.kind == kind && row.mechanism == name);
    Series::of(name, rows.filter_map(point))
}

fn alone_chart(rows: &[Row]) -> Chart {
    let mut series: Vec<Series> =
        LEVEL.into_iter().map(|name| line(rows, "alone", name)).collect();
    let published = |name, mechanism: usize| {
        let points = COUNTS
            .iter()
            .zip(PUBLISHED[0].1)
            .map(|(&count, seconds)| (count as f64, seconds[mechanism] * 10.0));
        Series { published: true, ..Series::plain(name, points) }
    };
    series.push(published("poll, TLPI", 1));
    series.push(published("epoll, TLPI", 2));
    let words = Words {
        title: "What one wait costs with one descriptor ready",
        description: "Five lines over the number of descriptors watched. Those of select and poll rise in proportion to it, that of epoll is flat. The two lines from the book of 2010 have the same shape and lie higher.",
        x: "descriptors watched",
        y: "µs of processor time a wait",
    };
    Chart::new(Kind::Line, &words, series)
}

fn all_chart(rows: &[Row]) -> Chart {
    let series = ALL.into_iter().skip(1).map(|name| line(rows, "all", name));
    let words = Words {
        title: "What each event costs when all descriptors are ready",
        description: "Six lines over the number of descriptors watched, all of them nearly flat and close together.",
        x: "descriptors watched, all of them ready",
        y: "µs of processor time an event, with its write and read",
    };
    Chart::new(Kind::Line, &words, series)
}
