//! `--idle-timeout`: the time between requests.

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
        "A client that sends nothing is closed at --idle-timeout, without a response",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.3")])?;
            ctx.client()?.assert_closed()
        },
    ),
    case(
        "idle_between_requests",
        Contract,
        "RFC 9112 §9.5",
        "A client that is idle after a response is closed at --idle-timeout, without another response",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.5")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            client.assert_closed()
        },
    )
    .needs(PLAIN),
    case(
        "idle_begins_again",
        Contract,
        "contract, Limits",
        "Each request restarts --idle-timeout: a connection in use stays open",
        |ctx| {
            ctx.serve(&[("idle-timeout", "5")])?;
            let mut client = ctx.client()?;
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(7) {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        },
    )
    .lasts(7)
    .needs(PLAIN),
    case(
        "idle_is_not_busy",
        Contract,
        "contract, Limits",
        "--idle-timeout does not apply to a client that waits for its response",
        |ctx| {
            ctx.serve(&[("idle-timeout", "1")])?;
            ctx.ask(get("/sleep/2500"))?.is(200)?.has_content("slept 2500 ms\n").map(drop)
        },
    )
    .lasts(3)
    .needs(&[Need::Sleep]),
    case(
        "idle_is_counted",
        Contract,
        "contract, Routes",
        "A connection closed by a deadline is counted in `timeouts`",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.3")])?;
            ctx.client()?.assert_closed()?;
            ctx.poll_until_counter("timeouts", 1)
        },
    )
    .needs(&[Need::Stats, Need::Process]),
];
