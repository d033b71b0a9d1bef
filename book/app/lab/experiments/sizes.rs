//! `lab sizes`: the sizes of the types that make up a connection's state.
//!
//! The experiment runs no server: the compiler has fixed the size of every type. Memory that a type
//! points to (buffers, a stack) is not included; `lab waiting` measures that memory.

use anyhow::Result;
use ch01_blocking::http::{Inbox, Outbox};
use ch03_nonblocking::connection::Connection;
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::Token;
use ch03_nonblocking::socket::Socket;
use ch03_nonblocking::timers::Timers;
use ch03_nonblocking::work::Work;
use ch06_coroutines::{Coroutine, async_server, runtime, server};
use serde::Serialize;

use crate::lab::prelude::*;

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "sizes",
    question: "How large is a connection's state, piece by piece?",
    predict: number(
        "An idle connection in the event loop's table, with its socket, its state and what the loop knows of it: how many bytes is its place?",
        "B",
        |record| record.figure(&[("what", "its place in the loop's table")], "bytes"),
    ),
    parameters: &[],
    parts: &[tabled("sizes")],
    ..measured_by(run)
};

/// The name of the row for the future that serves a connection in `async`. The book's table of
/// where each server keeps its clients' state also shows the size from this row.
pub(crate) const FUTURE: &str = "its future in `async`";

#[derive(Serialize)]
struct Row {
    what: &'static str,
    is: &'static str,
    bytes: usize,
}

fn run(_: &Run<'_>) -> Result<Results> {
    let rows = [
        (
            "`Connection`",
            "the socket, where it stands, and where its `Work` is, if it has one",
            size_of::<Connection<Socket>>(),
        ),
        (
            "its place in the loop's table",
            "the same, and what the loop knows of it",
            event_loop::PLACE,
        ),
        (
            "its entry on the timing wheel",
            "when it is due, and its neighbors",
            Timers::ENTRY,
        ),
        (
            "`Token`",
            "what the mechanism gives back: a place, and a generation",
            size_of::<Token>(),
        ),
        (
            "`Work`",
            "only in the middle of something; without the bytes in its buffers",
            size_of::<Work>(),
        ),
        ("… of which its `Inbox`", "what came", size_of::<Inbox>()),
        ("… of which its `Outbox`", "what is to be sent", size_of::<Outbox>()),
        (
            "`Coroutine`",
            "two addresses: where its stack was left, and what lies at the top of that",
            size_of::<Coroutine>(),
        ),
        (
            "an idle connection of `coroutine` or `async`",
            "its places in the slab and at the reactor, and its timer: it has no task",
            server::IDLE_CONNECTION,
        ),
        (
            FUTURE,
            "only in the middle of something: `serve`, and all that it waits for",
            async_server::future_size(),
        ),
        (
            "… and the task around it",
            "where the future is, and what wakes it",
            runtime::TASK,
        ),
    ]
    .map(|(what, is, bytes)| Row { what, is, bytes });
    let row = |Row { what, is, bytes: size }: &Row| {
        format!("{what} | {is} | {}", bytes(*size as f64))
    };
    let table = table("what | what it holds | >size", rows.iter().map(row));
    Results::new(&rows, vec![Part::once("sizes", table, None)])
}
