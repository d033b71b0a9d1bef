//! Where each server keeps what it knows of a client, and what that weighs.

use serde_json::json;

use super::results::{Results, cell};
use crate::lab::spread::bytes;

/// A place where the state can live.
struct Place {
    chapter: &'static str,
    server: &'static str,
    /// In the middle of a request.
    lives: &'static str,
    /// The experiment, the fields, the number that tell what the *kernel* keeps for its sake,
    /// beside the socket.
    kernel: Option<(&'static str, &'static str)>,
}

const PLACES: [Place; 10] = [
    place(
        "1",
        "fork",
        "on the stack of a process of its own",
        Some(("process", "kernel_bytes")),
    ),
    place(
        "1",
        "thread",
        "on the stack of a thread of its own",
        Some(("thread", "kernel_bytes")),
    ),
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
    kernel: Option<(&'static str, &'static str)>,
) -> Place {
    Place { chapter, server, lives, kernel }
}

pub(super) fn table(results: &Results) -> String {
    let mut table = String::from(
        "| chapter | server | where the state of a request lives | idle | in the middle of a head | waits for its answer | the kernel's for it |\n\
         |--:|---|---|--:|--:|--:|--:|\n",
    );
    for Place { chapter, server, lives, kernel } in PLACES {
        let fields = [("server", json!(server))];
        let idle = results.number("memory", &fields, "each");
        let like = LIKE_EPOLL.contains(&server).then(|| "as `epoll`".to_owned());
        let waiting = |what| {
            cell(results.number("waiting", &fields, what).map(bytes).or(like.clone()))
        };
        let kernel = kernel.and_then(|(what, name)| {
            let fields = [("what", json!(what)), ("count", json!(10_000))];
            results.number("spawn", &fields, name)
        });
        // A process that sleeps has been weighed as such, without a client.
        let asleep = (server == "fork").then(|| {
            let fields = [("what", json!("process")), ("count", json!(10_000))];
            results.number("spawn", &fields, "user_bytes")
        });
        let idle = idle.or(asleep.flatten()).map(bytes);
        table += &format!(
            "| {chapter} | `{server}` | {lives} | {} | {} | {} | {} |\n",
            if server == "pool" { "a worker".to_owned() } else { cell(idle) },
            waiting("half_a_head"),
            waiting("asleep"),
            cell(kernel.map(bytes)),
        );
    }
    table += "\n*From what `lab memory`, `lab waiting` and `lab spawn` have recorded: memory that the server itself has \
              written, for each client; on the right, the kernel's for the process or thread. The kernel's socket is the same \
              for all, and not counted. A dash: not weighed, or not there.*\n";
    table
}
