//! The tables and the chart of `lab concurrency`, and the published figures beside them.

use super::super::chart::{Chart, Series, Words};
use super::super::experiment::Kind;
use super::super::spread::thousands;
use super::{Manner, Row, SERVERS};

/// S. Hussain, "Linux applications performance" (`ZeroHTTPd`), 2019: requests a second, read off the
/// author's charts. A connection for each request, which also asks a Redis.
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

/// What was measured, and the numbers of clients with which it was.
pub(super) struct Tables<'a> {
    pub clients: &'a [usize],
    pub rows: &'a [Row],
}

impl Tables<'_> {
    /// A line for each server, a column for each number of clients.
    fn table(
        &self,
        manner: Manner,
        title: &str,
        cell: impl Fn(&Row) -> String,
    ) -> String {
        let mut table = format!("| {title} |");
        for clients in self.clients {
            table += &format!(" {} |", thousands(*clients));
        }
        table += "\n|---|";
        table += &"--:|".repeat(self.clients.len());
        table += "\n";
        for server in SERVERS {
            let of = |row: &&Row| row.server == server && row.manner == manner;
            if self.rows.iter().any(|row| of(&row)) {
                table += &format!("| `{server}` |");
            } else {
                continue; // a quick run has not measured all of them
            }
            for row in self.rows.iter().filter(of) {
                table += &format!(" {} |", cell(row));
            }
            table += "\n";
        }
        table
    }

    /// Requests a second, and what went wrong.
    pub(super) fn speed(&self, manner: Manner) -> String {
        self.table(manner, "requests a second", |row| {
            let speed = thousands(row.requests_per_second.median.round() as usize);
            format!("{speed}{}", trouble(row))
        })
    }

    /// What one in a hundred requests exceeds.
    pub(super) fn latency(&self, manner: Manner) -> String {
        self.table(manner, "p99", |row| match row.p99_microseconds.median {
            0.0 => "–".to_owned(), // nobody was answered
            us if us < 1e3 => format!("{us:.0} µs"),
            us if us < 1e4 => format!("{:.1} ms", us / 1e3),
            us if us < 1e6 => format!("{:.0} ms", us / 1e3),
            us => format!("{:.1} s", us / 1e6),
        })
    }

    /// The server's processor time.
    pub(super) fn cost(&self, manner: Manner) -> String {
        let title = "processor time a request";
        self.table(manner, title, |row| match row.cpu_microseconds_per_request {
            None => "–".to_owned(),
            Some(us) if us.median < 100.0 => {
                format!("{:.1} µs{}", us.median, trouble(row))
            }
            Some(us) => format!("{} µs{}", thousands(us.median as usize), trouble(row)),
        })
    }

    /// The cost, for those of the servers, as far as they serve everybody.
    pub(super) fn cost_chart(&self) -> Chart {
        let line = |server| {
            let points = self.well(Manner::Steady, server).filter_map(|row| {
                Some((row.clients as f64, row.cpu_microseconds_per_request?))
            });
            Series::of(server, points)
        };
        let words = Words {
            title: "Processor time a request, when most clients are silent",
            description: "Six lines over the number of clients. That of spin is high from the beginning. Those of select and poll rise with the clients; those of fork, thread and epoll stay low.",
            x: "clients, who ask 2,000 times a second in all",
            y: "µs of processor time a request",
        };
        let servers = ["fork", "thread", "spin", "select", "poll", "epoll"];
        Chart::new(Kind::Line, &words, servers.map(line))
    }

    /// Requests a second with a connection for each, beside the published shape: of those that
    /// serve everybody.
    pub(super) fn speed_chart(&self) -> Chart {
        let line = |server| {
            let rows = self.well(Manner::Each, server);
            Series::of(
                server,
                rows.map(|row| (row.clients as f64, row.requests_per_second)),
            )
        };
        let published = |(name, column): (&str, usize)| {
            let points = PUBLISHED.into_iter().filter_map(|(clients, speeds)| {
                Some((clients as f64, speeds[column]? as f64))
            });
            Series { published: true, ..Series::plain(name, points) }
        };
        let words = Words {
            title: "Requests a second, with a connection for each",
            description: "A line each for thread, poll and epoll, over the number of clients; and the three lines published for such servers in 2019, which lie lower, as each of those requests also asks a database. The published line of poll falls steeply from a thousand clients on, that of thread slowly, and that of epoll is nearly level.",
            x: "clients",
            y: "requests a second",
        };
        let own = ["thread", "poll", "epoll"].map(line).into_iter();
        let theirs = [("thread, 2019", 3), ("poll, 2019", 5), ("epoll, 2019", 6)];
        Chart::new(Kind::Line, &words, own.chain(theirs.map(published)))
    }

    /// The rows of a server in which everybody was served.
    fn well(&self, manner: Manner, server: &str) -> impl Iterator<Item = &Row> {
        let of = move |row: &&Row| row.server == server && row.manner == manner;
        self.rows.iter().filter(of).filter(|row| trouble(row).is_empty())
    }
}

/// The kinds of failures, with the number of each in one round, on a line of their own.
fn trouble(row: &Row) -> String {
    let errors = &row.errors;
    let kinds = [
        // In the backlog or outside it, a client that is not accepted sees little difference.
        (errors.timed_out + errors.connect, "not served"),
        (errors.status, "refused"),
        (errors.reset, "reset"),
        (errors.cut_short, "cut short"),
        (errors.malformed, "malformed"),
        (row.unsent, "not sent"),
    ];
    let some: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", thousands(*count as usize)))
        .collect();
    if some.is_empty() { String::new() } else { format!("<br>{}", some.join(", ")) }
}

/// What others measured.
pub(super) fn published() -> String {
    let mut table = String::from(
        "\nPublished: S. Hussain, 2019, requests a second\n\n\
         | clients | iterative | fork | prefork | thread | prethread | poll | epoll |\n\
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
