//! Where each server keeps what it knows of a client, and what that weighs.

use super::results::{Results, cell};
use crate::lab::sizes::FUTURE;
use crate::lab::spread::bytes;

/// A place where the state can live.
struct Place {
    chapter: &'static str,
    server: &'static str,
    /// In the middle of a request.
    lives: &'static str,
    /// What sleeps in the kernel for it, as `lab spawn` calls it.
    kernel: Option<&'static str>,
}

const PLACES: [Place; 10] = [
    place("1", "fork", "on the stack of a process of its own", Some("process")),
    place("1", "thread", "on the stack of a thread of its own", Some("thread")),
    place("2", "pool", "on a worker's stack, while it has a worker", None),
    place("3", "spin", "in a value: `State`, `Then`, `Work`", None),
    place("3", "sigio", "the same", None),
    place("4", "select", "the same; a bit in a set", None),
    place("4", "poll", "the same; a place in a list", None),
    place("5", "epoll", "the same; a token in a list of the kernel's", None),
    place("6", "coroutine", "on the stack of a coroutine of its own", None),
    place("6", "async", "in a future, laid out by the compiler", None),
];

/// These keep the same for a request: the same loop, the same `Work`.
const LIKE_EPOLL: [&str; 4] = ["spin", "sigio", "select", "poll"];

const fn place(
    chapter: &'static str,
    server: &'static str,
    lives: &'static str,
    kernel: Option<&'static str>,
) -> Place {
    Place { chapter, server, lives, kernel }
}

pub(super) fn table(results: &Results) -> String {
    let mut table = String::from(
        "| server | where the state of a request lives | idle | half a head | waits for its answer |\n\
         |---|---|--:|--:|--:|\n",
    );
    for Place { chapter, server, lives, kernel } in PLACES {
        let fields = [("server", server)];
        let like = LIKE_EPOLL.contains(&server).then(|| "as `epoll`".to_owned());
        let waiting = |what| {
            cell(results.number("waiting", &fields, what).map(bytes).or(like.clone()))
        };
        // What the kernel keeps for it; and a process that sleeps has been weighed as such,
        // without a client.
        let spawned = |name| {
            let fields = [("what", kernel?), ("count", "10000")];
            results.number("spawn", &fields, name)
        };
        let own =
            results.number("memory", &fields, "each").or_else(|| spawned("user_bytes"));
        let mut idle = cell(own.map(bytes));
        if let Some(kernel) = spawned("kernel_bytes") {
            idle += &format!(", the kernel&nbsp;{}", bytes(kernel));
        }
        if server == "pool" {
            idle = "a worker".to_owned();
        }
        // How large a future is, the compiler knows.
        let size = (server == "async")
            .then(|| results.number("sizes", &[("what", FUTURE)], "bytes"))
            .flatten()
            .map_or(String::new(), |size| format!(": {}", bytes(size)));
        table += &format!(
            "| {chapter}&nbsp;`{server}` | {lives}{size} | {idle} | {} | {} |\n",
            waiting("half_a_head"),
            waiting("asleep"),
        );
    }
    table += "\n*From what `lab memory`, `lab waiting`, `lab sizes` and `lab spawn` have recorded: memory that the server itself has \
              written, for each client; in chapter 1 also what the kernel needs for a process or a thread. The kernel's socket is \
              the same for all, and not counted. The number before a server is its chapter's. A dash: not weighed.*\n";
    table
}
