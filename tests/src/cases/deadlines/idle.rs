//! --idle-timeout: nothing is under way.

use std::time::{Duration, Instant};

use super::PLAIN;
use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::ctx::get;

pub(super) const CASES: &[Case] = &[
    case(
        "idle_from_the_start",
        Contract,
        "RFC 9112 §9.5",
        "A client that says nothing is closed at --idle-timeout, without a word",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.3")])?;
            ctx.client()?.ends()
        },
    ),
    case(
        "idle_between_requests",
        Contract,
        "RFC 9112 §9.5",
        "A client that is idle after an answer is closed at --idle-timeout, without a word",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.5")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()
        },
    )
    .needs(PLAIN),
    case(
        "idle_begins_again",
        Contract,
        "contract, Limits",
        "Idle time begins again with each request: a connection in use may grow old",
        |ctx| {
            ctx.serve(&[("idle-timeout", "3")])?;
            let mut client = ctx.client()?;
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(5) {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "idle_is_not_busy",
        Contract,
        "contract, Limits",
        "A client that waits for its answer is not idle",
        |ctx| {
            ctx.serve(&[("idle-timeout", "1")])?;
            ctx.ask(get("/sleep/2500"))?.is(200)?.holds("slept 2500 ms\n").map(drop)
        },
    )
    .needs(&[Need::Sleep]),
    case(
        "idle_is_counted",
        Contract,
        "contract, Routes",
        "A connection closed by a deadline is counted in `timeouts`",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.3")])?;
            ctx.client()?.ends()?;
            ctx.until("`timeouts` is 1", |ctx| {
                let count = ctx.stat("timeouts")?;
                Ok(if count == 1 { Ok(()) } else { Err(format!("timeouts: {count}")) })
            })
        },
    )
    .needs(&[Need::Stats, Need::Process]),
];
