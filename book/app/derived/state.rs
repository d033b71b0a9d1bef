//! The table of where each server keeps the state of a client, and how much memory the state takes.

use figures::text::{bytes, table as markdown};

use super::results::{Results, cell};
use crate::lab::FUTURE;

/// A server's chapter; the server's name; the place where the state of a request lives; and
/// `process` or `thread`, if the server uses one for each client.
type Place = (&'static str, &'static str, &'static str, Option<&'static str>);

const PLACES: [Place; 10] = [
    ("1", "fork", "on the stack of a process of its own", Some("process")),
    ("1", "thread", "on the stack of a thread of its own", Some("thread")),
    ("2", "pool", "on a worker's stack, while it has a worker", None),
    ("3", "spin", "in a value: `State`, `Then`, `Work`", None),
    ("3", "sigio", "the same", None),
    ("4", "select", "the same; a bit in a set", None),
    ("4", "poll", "the same; a place in a list", None),
    ("5", "epoll", "the same; a token in a list of the kernel's", None),
    ("6", "coroutine", "on the stack of a coroutine of its own", None),
    ("6", "async", "in a future, laid out by the compiler", None),
];

/// Servers that keep the same state for a request as `epoll`, in the same loop and the same type
/// `Work`.
const LIKE_EPOLL: [&str; 4] = ["spin", "sigio", "select", "poll"];

pub(super) fn table(results: &Results) -> String {
    let row = |(chapter, server, lives, kernel): Place| {
        let fields = [("server", server)];
        let like = LIKE_EPOLL.contains(&server).then(|| "as `epoll`".to_owned());
        let waiting = |what| {
            cell(results.figure("waiting", &fields, what).map(bytes).or(like.clone()))
        };
        // A server that `lab memory` has not measured shows the figure of `lab spawn` instead: the
        // memory of a sleeping process or thread, without a client.
        let spawned = |name| {
            let fields = [("what", kernel?), ("count", "10000")];
            results.figure("spawn", &fields, name)
        };
        let own =
            results.figure("memory", &fields, "each").or_else(|| spawned("user_bytes"));
        let mut idle = cell(own.map(bytes));
        if let Some(kernel) = spawned("kernel_bytes") {
            idle += &format!(", the kernel&nbsp;{}", bytes(kernel));
        }
        if server == "pool" {
            idle = "a worker".to_owned();
        }
        // The row of `async` also shows the size of its future, which is fixed at compile time.
        let size = (server == "async")
            .then(|| results.figure("sizes", &[("what", FUTURE)], "bytes"))
            .flatten()
            .map_or(String::new(), |size| format!(": {}", bytes(size)));
        let (half, asleep) = (waiting("half_a_head"), waiting("asleep"));
        format!("{chapter}&nbsp;`{server}` | {lives}{size} | {idle} | {half} | {asleep}")
    };
    let head = "server | where the state of a request lives | >idle | >half a head | >waits for its answer";
    markdown(head, PLACES.into_iter().map(row))
        + "\n*From what `lab memory`, `lab waiting`, `lab sizes` and `lab spawn` have recorded: memory that the server itself has \
              written, for each client; in chapter 1 also what the kernel needs for a process or a thread. The kernel's socket is \
              the same for all, and not counted. The number before a server is its chapter's. A dash: not weighed.*\n"
}
