//! --head-timeout: a head has begun and has not ended.

use std::thread;
use std::time::Duration;

use super::{PACE, PLAIN, cut_while_dripping};
use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::Seen;
use crate::ctx::{Ctx, get, request};
use crate::verdict::demand;

/// A head that takes more than twenty seconds, a byte each `PACE`.
fn long_head() -> Vec<u8> {
    request("GET", "/plaintext", &format!("X-Long: {}\r\n", "v".repeat(400)))
}

pub(super) const CASES: &[Case] = &[
    case("head_stalls", Contract, "RFC 9110 §15.5.9", "A head that stalls is 408 at --head-timeout", |ctx| {
        ctx.serve(&[("head-timeout", "0.3")])?;
        ctx.refuses("GET /plaintext HTTP/1.1\r\nHost: su", 408)
    }),
    case(
        "head_first_byte_only",
        Contract,
        "RFC 9110 §15.5.9",
        "One byte of a head is enough for the deadline to run",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3")])?;
            ctx.refuses("G", 408)
        },
    ),
    case(
        "head_drips",
        Security,
        "RFC 9110 §15.5.9",
        "A byte now and then does not put --head-timeout off",
        |ctx| {
            ctx.serve(&[("head-timeout", "1")])?;
            let mut client = ctx.client()?;
            cut_while_dripping(&mut client, &long_head(), 1)
        },
    ),
    case("head_drips_lines", Security, "CWE-400", "… nor a whole field now and then (slowloris)", |ctx| {
        ctx.serve(&[("head-timeout", "1"), ("max-fields", "128")])?;
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\nHost: suite\r\n")?;
        // Twenty seconds' worth of fields.
        let cut = client.drip("X-A: b\r\n".repeat(100), 8, PACE * 4)?;
        demand(cut, "an answer before the last field was sent", "the client could drip on")?;
        Ctx::is_refused(&mut client, &[408])
    }),
    case(
        "second_head_drips",
        Security,
        "RFC 9110 §15.5.9",
        "… nor on the second request of a connection",
        |ctx| {
            ctx.serve(&[("head-timeout", "1")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            cut_while_dripping(&mut client, &long_head(), 1)
        },
    )
    .needs(PLAIN),
    case(
        "pipelined_head_stalls",
        Security,
        "RFC 9110 §15.5.9",
        "Half a head behind a whole request has its deadline too",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.4")])?;
            let mut client = ctx.client()?;
            client.send([&get("/plaintext")[..], b"GET /pl"].concat())?;
            client.response()?.is(200)?;
            Ctx::is_refused(&mut client, &[408])
        },
    )
    .needs(PLAIN),
    case(
        "empty_line_then_stall",
        Security,
        "RFC 9110 §15.5.9",
        "An empty line and then silence is not held for ever",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3"), ("idle-timeout", "0.6")])?;
            let mut client = ctx.client()?;
            client.send("\r\n")?;
            let (bytes, _) = client.rest()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            demand(text.is_empty() || text.starts_with("HTTP/1.1 408"), "408, or an end without a word", text)
        },
    ),
    case(
        "slow_head_within_its_time",
        Contract,
        "contract, Limits",
        "A slow head that is complete in time is answered",
        |ctx| {
            ctx.serve(&[("head-timeout", "20"), ("idle-timeout", "5")])?;
            let mut client = ctx.client()?;
            let cut = client.drip(get("/plaintext"), 2, PACE)?;
            demand(
                !cut || client.look(Duration::ZERO) == Seen::Bytes,
                "no end while there is time",
                "an end",
            )?;
            client.response()?.is(200)?.holds("Hello, World!").map(drop)
        },
    ),
    case(
        "head_deadline_is_over_with_the_head",
        Contract,
        "contract, Limits",
        "A deadline that was met is forgotten: what comes after it is neither cut short nor refused by it",
        |ctx| {
            ctx.serve(&[("head-timeout", "2"), ("idle-timeout", "600")])?;
            let mut long = ctx.client()?;
            long.send("GET /sleep/20000 HTTP/1.1\r\nHo")?;
            thread::sleep(Duration::from_millis(300));
            long.send("st: suite\r\n\r\n")?;
            // When this one wakes, the other's head would have been too late.
            let mut short = ctx.client()?;
            short.send(get("/sleep/2500"))?;
            short.response()?.is(200)?.holds("slept 2500 ms\n")?;
            demand(
                long.look(Duration::ZERO) == Seen::Nothing,
                format!("nothing yet for {}, who asked for a longer sleep before", long.name()),
                "an answer, or an end",
            )
        },
    )
    .needs(&[Need::Sleep, Need::Many]),
];
