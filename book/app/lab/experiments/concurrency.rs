//! `lab concurrency`: the speed and cost of every server, with one client to ten thousand.
//!
//! Each server is the book's own program, in a separate process, and its clients are the suite's
//! load generator. The clients send requests in three manners: every client keeps its connection
//! and always has a request in flight; clients keep their connections, and all clients together
//! send requests at a fixed rate, so that most are silent at any moment; every request has a new
//! connection. Clients and server share the machine's processors.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use load_generator::Plan;
use profiles::PROFILES;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::load::{Load, Round};
use crate::lab::tools::server::Server;

/// The time for which a client waits for an answer. It is longer than the time in which requests
/// are sent and counted, and a round ends only when no request is in flight. So a client that is
/// never answered sends exactly one request that is counted, which fails, and the number of
/// failures is a number of clients.
const TIMEOUT: Duration = Duration::from_millis(1_200);
const OPTIONS: &str = "--max-connections 20000 --idle-timeout 3600";

static CLIENTS: Parameter =
    parameter("clients", &[1, 100, 1_000], &[1, 10, 100, 1_000, 10_000]);
static MEASURED: Parameter = parameter("milliseconds measured", &[300], &[500]);
const WARM_UP: Duration = Duration::from_millis(100);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "concurrency",
    question: "All servers, from one client to ten thousand: which still answer, and at what cost?",
    predict: curve(
        "All clients together ask two thousand times a second, whether they are one or ten thousand. How much processor time does a request cost poll, with more and more of them?",
        "concurrency-steady",
        "poll",
    ),
    parameters: &[&CLIENTS, &MEASURED],
    parts: &[
        tabled("concurrency"),
        tabled("concurrency-cpu"),
        tabled("concurrency-p99"),
        charted("concurrency-steady", Kind::Line),
        tabled("concurrency-steady-p99"),
        charted("concurrency-each", Kind::Line),
    ],
    ..measured_by(run)
};

/// The manners in which clients send requests in a quick run, each with the servers that are
/// measured. For `Steady`, these are the servers whose cost a chart shows; for `Each`, the servers
/// for which there are published figures.
const QUICK: [(Manner, &[&str]); 2] = [
    (Manner::Steady, &["fork", "thread", "spin", "select", "poll", "epoll"]),
    (Manner::Each, &["thread", "poll", "epoll"]),
];

/// Returns the names of all servers of the book that run on Linux, in the order of the chapters.
fn servers() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name).filter(|name| *name != "kqueue")
}

/// The number of requests per second that all clients together send in the manner `Steady`.
const STEADY: f64 = 2_000.0;

/// The manner in which clients send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Manner {
    /// Each client keeps its connection, and always has a request in flight.
    Busy,
    /// Each client keeps its connection, and sends a request now and then, so that most clients are
    /// silent.
    Steady,
    /// Each client always has a request in flight, and opens a new connection for each request.
    Each,
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Manner::Busy => "that ask all the time",
            Manner::Steady => "mostly silent",
            Manner::Each => "a connection for each request",
        })
    }
}

#[derive(Serialize)]
struct Row {
    server: &'static str,
    manner: Manner,
    clients: usize,
    #[serde(flatten)]
    load: Load,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let all = [Manner::Busy, Manner::Steady, Manner::Each];
    let names: Vec<_> = servers().collect();
    let manners = match run.full {
        true => all.map(|manner| (manner, &names[..])).to_vec(),
        false => QUICK.to_vec(),
    };
    let servers = manners
        .into_iter()
        .flat_map(|(manner, servers)| servers.iter().map(move |&name| (manner, name)));
    let cells = servers.flat_map(|(manner, server)| {
        run.list(&CLIENTS).iter().map(move |&clients| (server, manner, clients))
    });
    let name = |&(server, manner, clients): &(&str, Manner, usize)| {
        format!("{server}, {}, {manner}", counted(clients, "client"))
    };
    let row = |(server, manner, clients)| row(run, server, manner, clients);
    run.rows(cells.collect(), name, row, |rows| parts(run, rows))
}

/// Measures one server with one number of clients, in a single round, because a round of all
/// servers takes ten minutes. The server is a fresh one, so that the state left by an earlier row
/// (connections in the backlog whose clients gave up, for instance) does not affect this one.
fn row(
    run: &Run<'_>,
    server: &'static str,
    manner: Manner,
    clients: usize,
) -> Result<Row> {
    let running = Server::start(run, server, OPTIONS)?;
    let plan = Plan {
        connections: clients,
        keep_alive: manner != Manner::Each,
        rate: (manner == Manner::Steady).then_some(STEADY),
        timeout: TIMEOUT,
        warm_up: WARM_UP,
        time: Duration::from_millis(run.one(&MEASURED) as u64),
        ..Plan::new(running.address, "/plaintext")
    };
    let round = Round::measure(&running, &plan)?;
    Ok(Row { server, manner, clients, load: Load::of(&[round]) })
}

/// Returns the parts of the result (tables and charts) for which there are rows: a quick run
/// measures only some parts.
fn parts(run: &Run<'_>, rows: &[Row]) -> Vec<Part> {
    let tables = Tables { clients: run.list(&CLIENTS), rows };
    let (busy, steady, each) = (Manner::Busy, Manner::Steady, Manner::Each);
    let there = |manner| rows.iter().any(|row| row.manner == manner);
    let mut parts = Vec::new();
    if there(busy) {
        parts.extend([
            Part::once("concurrency", tables.speed(busy), None),
            Part::once("concurrency-cpu", tables.cost(busy), None),
            Part::once("concurrency-p99", tables.latency(busy), None),
        ]);
    }
    if there(steady) {
        parts.extend([
            Part::once(
                "concurrency-steady",
                tables.cost(steady),
                Some(tables.cost_chart()),
            ),
            Part::once("concurrency-steady-p99", tables.latency(steady), None),
        ]);
    }
    if there(each) {
        let table = tables.speed(each) + &published();
        parts.push(Part::once("concurrency-each", table, Some(tables.speed_chart())));
    }
    parts
}

/// The measured rows and the numbers of clients, from which the tables are made.
struct Tables<'a> {
    clients: &'a [usize],
    rows: &'a [Row],
}

impl Tables<'_> {
    fn of(&self, manner: Manner, server: &str) -> impl Iterator<Item = &Row> {
        let of = move |row: &&Row| row.server == server && row.manner == manner;
        self.rows.iter().filter(of)
    }

    /// Returns a table with a row for each server that was measured and a column for each number
    /// of clients. `cell` formats the figures of a row.
    fn table(
        &self,
        manner: Manner,
        title: &str,
        cell: impl Fn(&Row) -> String,
    ) -> String {
        let clients: Vec<_> =
            self.clients.iter().map(|count| thousands(*count)).collect();
        let line = |server: &str| {
            let cells: Vec<String> = self.of(manner, server).map(&cell).collect();
            let line = format!("`{server}` | {}", cells.join(" | "));
            (!cells.is_empty()).then_some(line)
        };
        let head = format!("{title} | >{}", clients.join(" | >"));
        table(&head, servers().filter_map(line))
    }

    /// Returns a table of requests per second, with the numbers of failures.
    fn speed(&self, manner: Manner) -> String {
        self.table(manner, "requests a second", |row| {
            let speed = thousands(row.load.requests_per_second.median.round() as usize);
            format!("{speed}{}", failures(row))
        })
    }

    /// Returns a table of the latency that one in a hundred requests exceeds.
    fn latency(&self, manner: Manner) -> String {
        self.table(manner, "p99", |row| match row.load.p99.median {
            0.0 => "–".to_owned(), // no client was answered
            us if us < 1e3 => format!("{us:.0} µs"),
            us if us < 1e4 => format!("{:.1} ms", us / 1e3),
            us if us < 1e6 => format!("{:.0} ms", us / 1e3),
            us => format!("{:.1} s", us / 1e6),
        })
    }

    /// Returns a table of the server's processor time per request, with the numbers of failures.
    fn cost(&self, manner: Manner) -> String {
        let cell = |row: &Row| match row.load.cpu {
            None => "–".to_owned(),
            Some(us) if us.median < 100.0 => {
                format!("{:.1} µs{}", us.median, failures(row))
            }
            Some(us) => format!("{} µs{}", thousands(us.median as usize), failures(row)),
        };
        self.table(manner, "processor time a request", cell)
    }

    /// Returns a chart of the processor time per request while most clients are silent. A server's
    /// line has no point for a number of clients if the server failed to serve one of them.
    fn cost_chart(&self) -> Chart {
        let labels = Labels {
            title: "Processor time a request, when most clients are silent",
            description: "Six lines over the number of clients. That of spin is high from the beginning. Those of select and poll rise with the clients; those of fork, thread and epoll stay low.",
            x: "clients, which send 2,000 requests a second in all",
            y: "µs of processor time a request",
        };
        let line = |server: &&str| {
            let point = |row: &Row| Some((row.clients as f64, row.load.cpu?));
            Series::of(server, self.well(Manner::Steady, server).filter_map(point))
        };
        Chart::new(Kind::Line, &labels, QUICK[0].1.iter().map(line))
    }

    /// Returns a chart of requests per second with a connection for each request, beside the
    /// published figures. A server's line has no point for a number of clients if the server failed
    /// to serve one of them.
    fn speed_chart(&self) -> Chart {
        let labels = Labels {
            title: "Requests a second, with a connection for each",
            description: "A line each for thread, poll and epoll, over the number of clients; and the three lines published for such servers in 2019, which lie lower, as each of those requests also asks a database. The published line of poll falls steeply from a thousand clients on, that of thread slowly, and that of epoll is nearly level.",
            x: "clients",
            y: "requests a second",
        };
        let own = |server: &&str| {
            let rows = self.well(Manner::Each, server);
            Series::of(
                server,
                rows.map(|row| (row.clients as f64, row.load.requests_per_second)),
            )
        };
        let published = |(name, column): (&str, usize)| {
            let points = PUBLISHED.iter().filter(|row| row[column] > 0);
            let point = |row: &[usize; 8]| (row[0] as f64, row[column] as f64);
            Series::published(name, points.map(point))
        };
        let theirs = [("thread, 2019", 4), ("poll, 2019", 6), ("epoll, 2019", 7)];
        let series = QUICK[1].1.iter().map(own).chain(theirs.map(published));
        Chart::new(Kind::Line, &labels, series)
    }

    /// Returns the rows of `server`, with clients of the manner `manner`, in which every request
    /// succeeded.
    fn well(&self, manner: Manner, server: &str) -> impl Iterator<Item = &Row> {
        self.of(manner, server).filter(|row| row.load.failures.are_none())
    }
}

/// Formats the numbers of a row's failures as a second line in a table's cell. Empty if nothing
/// failed.
fn failures(row: &Row) -> String {
    let failures = row.load.failures;
    if failures.are_none() { String::new() } else { format!("<br>{failures}") }
}

/// Published figures: S. Hussain, "Linux applications performance" (`ZeroHTTPd`), 2019. Each row
/// has a number of clients and the requests per second of each server in [`published`], read off
/// the author's charts; 0 means that the chart has no such point. Each request had its own
/// connection, and made the server query Redis.
const PUBLISHED: [[usize; 8]; 8] = [
    [100, 7, 245, 2_200, 1_700, 2_200, 2_150, 2_100],
    [500, 0, 440, 2_300, 1_850, 2_700, 1_900, 2_210],
    [1_000, 0, 475, 2_300, 1_700, 2_490, 1_150, 2_440],
    [2_500, 0, 280, 2_100, 1_300, 2_450, 490, 2_270],
    [5_000, 0, 0, 1_600, 1_100, 2_520, 0, 2_235],
    [8_000, 0, 0, 1_200, 0, 2_450, 0, 2_100],
    [11_000, 0, 0, 0, 0, 2_200, 0, 2_120],
    [15_000, 0, 0, 0, 0, 530, 0, 1_280],
];

/// Returns the table of the [`PUBLISHED`] figures, to compare with the measured ones.
fn published() -> String {
    let head = ">clients | >iterative | >fork | >prefork | >thread | >prethread | >poll | >epoll";
    let cell = |speed| if speed == 0 { "–".to_owned() } else { thousands(speed) };
    let rows = PUBLISHED.iter().map(|row| row.map(cell).join(" | "));
    format!("\nPublished: S. Hussain, 2019, requests a second\n\n{}", table(head, rows))
}
