//! `lab readiness`: the cost of finding out which descriptors are ready.
//!
//! Calls to methods of the trait `Poller` are measured without a server, in three ways: the wait
//! alone, with one of many descriptors ready; the write that makes one descriptor ready, the wait,
//! and the read; and the same three steps with all descriptors ready at once, as in a server
//! without idle connections.
//!
//! The descriptors are UDP sockets on loopback. They are network sockets, like those of a server,
//! and a datagram of one byte makes a socket ready. The pollers are those of the servers, called
//! through the same trait.

use anyhow::Result;
use samples::Readiness;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::sample::in_a_process;

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
/// The numbers of descriptors that a poller watches. Quick and full runs both use the numbers for
/// which there are [`PUBLISHED`] figures.
static WATCHED: Parameter = parameter("descriptors watched", &COUNTS, &COUNTS);
/// The number of measurements of the waiting call alone (`poll`, `epoll_wait`), without reads and
/// writes. The durations are compared with published figures.
static ALONE: Parameter = parameter("repeats of the wait alone", &[3], &[5]);
static REPEATS: Parameter = parameter("repeats", &[1], &[5]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "readiness",
    question: "What does it cost to find out which of many descriptors are ready?",
    predict: curve(
        "One descriptor is ready, and ten, a hundred, a thousand, ten thousand are watched. What does one wait cost with poll?",
        "readiness",
        "poll",
    ),
    parameters: &[&WATCHED, &ALONE, &REPEATS],
    parts: &[
        charted("readiness", Kind::Line),
        tabled("readiness-event"),
        charted("readiness-epoll", Kind::Line),
        tabled("readiness-one"),
        charted("readiness-all", Kind::Line),
    ],
    ..measured_by(run)
};

/// The level-triggered pollers, which report a ready descriptor in every wait. `sigio` and
/// `epoll-et` report only changes, so a second wait without a write would block.
const LEVEL: [&str; 3] = ["select", "poll", "epoll"];
/// The mechanisms of chapter 4, whose page shows no figure of a later chapter.
const ASKING: [&str; 2] = ["select", "poll"];
/// The mechanisms of chapters 3 and 4, and `none`: the write and the read without a wait.
const BEFORE: [&str; 5] = ["none", "spin", "sigio", "select", "poll"];
/// All pollers, and `none`: the write and the read without a wait.
const ALL: [&str; 7] = ["none", "spin", "sigio", "select", "poll", "epoll", "epoll-et"];

/// Published figures, each group with its source: seconds for 100,000 waits with one descriptor
/// ready. Each row is for one of the [`COUNTS`], and its columns are for `select`, `poll` and
/// `epoll`.
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
    /// Microseconds of processor time: per wait if `kind` is `alone`; per write, wait and read if
    /// it is `one`; per event if it is `all`. `None` if the poller refused a descriptor.
    cpu: Option<Summary>,
    /// Microseconds of elapsed time: per wait if `kind` is `alone`; per write, wait and read if
    /// it is `one`; per event if it is `all`. `None` if the poller refused a descriptor.
    wall: Option<Summary>,
    /// The number of descriptors that the poller accepted before it refused one; `None` if it
    /// accepted all.
    full_after: Option<usize>,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let kinds = [("alone", &LEVEL[..]), ("one", &ALL[..]), ("all", &ALL[..])];
    let mechanisms = kinds
        .into_iter()
        .flat_map(|(kind, all)| all.iter().map(move |&mechanism| (kind, mechanism)));
    let cells = mechanisms
        .flat_map(|(kind, mechanism)| COUNTS.map(|count| (kind, mechanism, count)))
        .collect();
    let name = |&(kind, mechanism, count): &_| {
        format!("{mechanism}, {} descriptors, {kind}", thousands(count))
    };
    run.rows(
        cells,
        name,
        |(kind, mechanism, count)| row(run, kind, mechanism, count),
        parts,
    )
}

fn row(
    run: &Run<'_>,
    kind: &'static str,
    mechanism: &'static str,
    count: usize,
) -> Result<Row> {
    let mut row = Row { kind, mechanism, count, cpu: None, wall: None, full_after: None };
    let (mut cpus, mut walls) = (Vec::new(), Vec::new());
    for _ in 0..run.one(if kind == "alone" { &ALONE } else { &REPEATS }) {
        match in_a_process(run, &format!("{mechanism}/{kind}"), count)? {
            Readiness::Took { cpu, wall } => {
                cpus.push(cpu);
                walls.push(wall);
            }
            Readiness::Full { after } => {
                row.full_after = Some(after);
                return Ok(row);
            }
        }
    }
    (row.cpu, row.wall) = (Some(Summary::of(cpus)), Some(Summary::of(walls)));
    Ok(row)
}

fn parts(rows: &[Row]) -> Vec<Part> {
    vec![
        Part::new("readiness", alone(rows, &ASKING), Some(asking_chart(rows))),
        Part::new("readiness-event", each_event(rows), None),
        Part::new(
            "readiness-epoll",
            alone(rows, &LEVEL) + &published(),
            Some(alone_chart(rows)),
        ),
        Part::new("readiness-one", both(rows, "one", "watched, one ready"), None),
        Part::new(
            "readiness-all",
            both(rows, "all", "watched, all ready"),
            Some(all_chart(rows)),
        ),
    ]
}

fn find<'r>(
    rows: &'r [Row],
    kind: &str,
    mechanism: &str,
    count: usize,
) -> Option<&'r Row> {
    let mut rows = rows.iter().filter(|row| row.kind == kind && row.count == count);
    rows.find(|row| row.mechanism == mechanism)
}

/// Returns a table's cell: the row's figures as `show` formats them, or, if the poller refused a
/// descriptor, the number that it had accepted before. Without a row, the cell is a dash.
fn cell(row: Option<&Row>, show: &dyn Fn(Summary, Summary) -> String) -> String {
    match row {
        Some(Row { cpu: Some(cpu), wall: Some(wall), .. }) => show(*cpu, *wall),
        Some(Row { full_after: Some(after), .. }) => {
            format!("no room after {}", thousands(*after))
        }
        _ => "–".to_owned(),
    }
}

/// Returns a table's row with the growth of each poller's figure: the second figure of the poller's
/// pair in `ends`, divided by the first.
fn growth(ends: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let times = |ends: Option<(f64, f64)>| match ends.map(|(first, last)| last / first) {
        None => "–".to_owned(),
        Some(times) if times < 10.0 => format!("× {times:.1}"),
        Some(times) => format!("× {}", thousands(times.round() as usize)),
    };
    let times: Vec<_> = ends.into_iter().map(times).collect();
    format!("from 10 to 10,000 | {}", times.join(" | "))
}

/// Returns the head of a table with a column for each poller.
fn head(pollers: &[&str]) -> String {
    let columns: String = pollers.iter().map(|name| format!(" | >`{name}`")).collect();
    format!(">watched, one ready{columns}")
}

/// Returns a table of the time of the wait alone, for each poller and number of descriptors.
fn alone(rows: &[Row], pollers: &[&'static str]) -> String {
    let line = |name: String, count, show: &dyn Fn(Summary, Summary) -> String| {
        let of = |poller: &&str| cell(find(rows, "alone", poller, count), show);
        let cells: Vec<_> = pollers.iter().map(of).collect();
        format!("{name} | {}", cells.join(" | "))
    };
    let processor = |cpu: Summary, _: Summary| {
        let [median, min, max] = [cpu.median, cpu.min, cpu.max].map(measured);
        format!("{median} µs ({min} to {max})")
    };
    let elapsed = |_: Summary, wall: Summary| format!("{} µs", measured(wall.median));
    let median = |name, count| Some(find(rows, "alone", name, count)?.cpu?.median);
    let ends = |&name: &&'static str| Some((median(name, 10)?, median(name, 10_000)?));
    let lines = COUNTS
        .map(|count| line(thousands(count), count, &processor))
        .into_iter()
        .chain([growth(pollers.iter().map(ends))])
        .chain(COUNTS.map(|count| {
            line(format!("elapsed, {}", thousands(count)), count, &elapsed)
        }));
    table(&head(pollers), lines)
}

/// Returns the tables of the [`PUBLISHED`] figures.
fn published() -> String {
    let mut text = String::new();
    for (source, seconds) in PUBLISHED {
        let lines = COUNTS.iter().zip(seconds).map(|(&count, seconds)| {
            let cells = seconds.map(|seconds| format!("{} µs", measured(seconds * 10.0)));
            format!("{} | {}", thousands(count), cells.join(" | "))
        });
        let ends = [0, 1, 2].map(|at| Some((seconds[0][at], seconds[3][at])));
        let lines = lines.chain([growth(ends)]);
        text += &format!("\nPublished: {source}\n\n{}", table(&head(&LEVEL), lines));
    }
    text
}

/// Returns the name of a mechanism for a table's first column.
fn title(mechanism: &str) -> String {
    match mechanism {
        "none" => "write and read, without a wait".to_owned(),
        name => format!("`{name}`"),
    }
}

/// Returns a table of the processor time of one event, for the mechanisms of chapters 3 and 4: with
/// one descriptor ready, and with all descriptors ready.
fn each_event(rows: &[Row]) -> String {
    let columns = [("one", 1_000), ("all", 1_000), ("one", 10_000), ("all", 10_000)];
    let heads = columns
        .map(|(kind, count)| format!(">{} watched, {kind} ready", thousands(count)));
    let show = |cpu: Summary, _: Summary| format!("{} µs", measured(cpu.median));
    let line = |mechanism: &str| {
        let cells =
            columns.map(|(kind, count)| cell(find(rows, kind, mechanism, count), &show));
        format!("{} | {}", title(mechanism), cells.join(" | "))
    };
    table(&format!("one event | {}", heads.join(" | ")), BEFORE.map(line))
}

/// Returns a table of the processor time and elapsed time of the measurements of one `kind`, for
/// every poller.
fn both(rows: &[Row], kind: &str, what: &str) -> String {
    let heads = format!("{what} | >{}", COUNTS.map(thousands).join(" | >"));
    let show = |cpu: Summary, wall: Summary| {
        format!("{} µs ({})", measured(cpu.median), measured(wall.median))
    };
    let line = |mechanism: &str| {
        let cells = COUNTS.map(|count| cell(find(rows, kind, mechanism, count), &show));
        format!("{} | {}", title(mechanism), cells.join(" | "))
    };
    table(&heads, ALL.map(line))
}

fn line(rows: &[Row], kind: &str, name: &str) -> Series {
    let point = |row: &Row| Some((row.count as f64, row.cpu?));
    let rows = rows.iter().filter(|row| row.kind == kind && row.mechanism == name);
    Series::of(name, rows.filter_map(point))
}

const ALONE_LABELS: Labels<'_> = Labels {
    title: "What one wait costs with one descriptor ready",
    description: "Five lines over the number of descriptors watched. Those of select and poll rise in proportion to it, that of epoll is flat. The two lines from the book of 2010 have the same shape and lie higher.",
    x: "descriptors watched",
    y: "µs of processor time a wait",
};

fn asking_chart(rows: &[Row]) -> Chart {
    let labels = Labels {
        description: "Two lines over the number of descriptors watched, which lie together and rise in proportion to it. That of select ends at its limit.",
        ..ALONE_LABELS
    };
    Chart::new(Kind::Line, &labels, ASKING.map(|name| line(rows, "alone", name)))
}

fn alone_chart(rows: &[Row]) -> Chart {
    let published = |(name, mechanism): (&str, usize)| {
        let counts = COUNTS.iter().zip(PUBLISHED[0].1);
        let point = |(&count, seconds): (&usize, [f64; 3])| {
            (count as f64, seconds[mechanism] * 10.0)
        };
        Series::published(name, counts.map(point))
    };
    let own = LEVEL.into_iter().map(|name| line(rows, "alone", name));
    let theirs = [("poll, TLPI", 1), ("epoll, TLPI", 2)].map(published);
    Chart::new(Kind::Line, &ALONE_LABELS, own.chain(theirs))
}

fn all_chart(rows: &[Row]) -> Chart {
    let labels = Labels {
        title: "What each event costs when all descriptors are ready",
        description: "Six lines over the number of descriptors watched, all of them nearly flat and close together.",
        x: "descriptors watched, all of them ready",
        y: "µs of processor time an event, with its write and read",
    };
    let series = ALL.into_iter().skip(1).map(|name| line(rows, "all", name));
    Chart::new(Kind::Line, &labels, series)
}
