//! The tables and the chart of `lab concurrency`, and the published figures beside them.

use client_suite::load::Errors;

use super::super::chart::{Chart, Series};
use super::super::spread::thousands;
use super::{CLIENTS, Manner, Row, SERVERS};

/// S. Hussain, "Linux applications performance" (`ZeroHTTPd`), 2019: requests a second, read off the
/// author's charts. A connection for each request, which also asks a Redis; client and
/// server on two machines.
const PUBLISHED: [(usize, [Option<usize>; 7]); 8] = [
    (
        100,
        [
            Some(7),
            Some(245),
            Some(2_200),
            Some(1_700),
            Some(2_200),
            Some(2_150),
            Some(2_100),
        ],
    ),
    (
        500,
        [
            None,
            Some(440),
            Some(2_300),
            Some(1_850),
            Some(2_700),
            Some(1_900),
            Some(2_210),
        ],
    ),
    (
        1_000,
        [
            None,
            Some(475),
            Some(2_300),
            Some(1_700),
            Some(2_490),
            Some(1_150),
            Some(2_440),
        ],
    ),
    (
        2_500,
        [None, Some(280), Some(2_100), Some(1_300), Some(2_450), Some(490), Some(2_270)],
    ),
    (5_000, [None, None, Some(1_600), Some(1_100), Some(2_520), None, Some(2_235)]),
    (8_000, [None, None, Some(1_200), None, Some(2_450), None, Some(2_100)]),
    (11_000, [None, None, None, None, Some(2_200), None, Some(2_120)]),
    (15_000, [None, None, None, None, Some(530), None, Some(1_280)]),
];

/// A line for each server, a column for each number of clients.
fn table(
    rows: &[Row],
    manner: Manner,
    title: &str,
    cell: impl Fn(&Row) -> String,
) -> String {
    let mut table = format!("| {title} |");
    for clients in CLIENTS {
        table += &format!(" {} |", thousands(clients));
    }
    table += "\n|---|";
    table += &"--:|".repeat(CLIENTS.len());
    table += "\n";
    for server in SERVERS {
        table += &format!("| `{server}` |");
        let of = |row: &&Row| row.server == server && row.manner == manner;
        for row in rows.iter().filter(of) {
            table += &format!(" {} |", cell(row));
        }
        table += "\n";
    }
    table
}

/// Requests a second, and what went wrong.
pub(super) fn speed(rows: &[Row], manner: Manner) -> String {
    table(rows, manner, "requests a second", |row| {
        let speed = thousands(row.requests_per_second.median as usize);
        match trouble(&row.errors) {
            None => speed,
            Some(trouble) => format!("{speed}<br>{trouble}"),
        }
    })
}

/// What one in a hundred requests exceeds.
pub(super) fn latency(rows: &[Row], manner: Manner) -> String {
    table(rows, manner, "p99", |row| match row.p99_microseconds.median {
        0.0 => "–".to_owned(), // nobody was answered
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e4 => format!("{:.1} ms", us / 1e3),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    })
}

/// The server's processor time.
pub(super) fn cost(rows: &[Row], manner: Manner) -> String {
    let title = "processor time a request";
    table(rows, manner, title, |row| match row.cpu_microseconds_per_request {
        None => "–".to_owned(),
        Some(us) if us.median < 100.0 => format!("{:.1} µs", us.median),
        Some(us) => format!("{} µs", thousands(us.median as usize)),
    })
}

/// The kinds of failures, with the number of each in one round.
fn trouble(errors: &Errors) -> Option<String> {
    let kinds = [
        (errors.timed_out, "not answered"),
        (errors.status, "refused"),
        (errors.connect, "not connected"),
        (errors.reset, "reset"),
        (errors.cut_short, "cut short"),
        (errors.malformed, "malformed"),
    ];
    let some: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", thousands(*count as usize)))
        .collect();
    (!some.is_empty()).then(|| some.join(", "))
}

/// What others measured.
pub(super) fn published() -> String {
    let mut table = String::from(
        "| clients | iterative | fork | prefork | thread | prethread | poll | epoll |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for (clients, speeds) in PUBLISHED {
        table += &format!("| {} |", thousands(clients));
        for speed in speeds {
            table += &format!(" {} |", speed.map_or("–".to_owned(), thousands));
        }
        table += "\n";
    }
    table
}

/// Six of them, who keep their connections.
pub(super) fn chart(rows: &[Row]) -> String {
    let series =
        ["fork", "thread", "spin", "select", "poll", "epoll"].map(|server| Series {
            name: server,
            points: rows
                .iter()
                .filter(|row| row.server == server && row.manner == Manner::Kept)
                .filter(|row| row.requests_per_second.median > 0.0)
                .map(|row| (row.clients as f64, row.requests_per_second.median))
                .collect(),
        });
    Chart {
        name: "concurrency",
        title: "Requests a second, from one client to ten thousand",
        description: "Six lines over the number of clients, who all ask all the time.",
        x: "clients, each with one request under way",
        y: "requests a second",
        series: &series,
    }
    .svg()
}
