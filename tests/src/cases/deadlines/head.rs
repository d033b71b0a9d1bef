//! `--head-timeout`: the time to receive a head.

use std::thread;
use std::time::Duration;

use super::{PACE, PLAIN, cut_while_dripping};
use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, Need, case};
use crate::client::Peek;
use crate::ctx::{Ctx, get, request};
use crate::verdict::ensure;

/// Returns a head that takes more than twenty seconds when a byte is sent every [`PACE`].
fn long_head() -> Vec<u8> {
    request("GET", "/plaintext", &format!("X-Long: {}\r\n", "v".repeat(400)))
}

pub(super) const CASES: &[Case] = &[
    case("head_stalls", Contract, "RFC 9110 §15.5.9", "A head that stalls is 408 at --head-timeout", |ctx| {
        ctx.serve(&[("head-timeout", "0.3")])?;
        ctx.assert_refused("GET /plaintext HTTP/1.1\r\nHost: su", 408)
    }),
    case(
        "head_first_byte_only",
        Contract,
        "RFC 9110 §15.5.9",
        "--head-timeout begins with the first byte of a head",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3")])?;
            ctx.assert_refused("G", 408)
        },
    ),
    case(
        "head_method_stalls",
        Must,
        "RFC 9110 §9.3.2",
        "A HEAD request that is not complete in time is 408 without content",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3"), ("body-timeout", "0.3")])?;
            // Both clients connect before either is answered, so that both deadlines run at the
            // same time in a server that serves clients concurrently.
            let mut content = ctx.client()?;
            content.send(request("HEAD", "/plaintext", "Content-Length: 9\r\n"))?;
            let mut head = ctx.client()?;
            head.send("HEAD /plain")?;
            Ctx::assert_head_refusal(&mut head, 408)?;
            Ctx::assert_head_refusal(&mut content, 408)
        },
    ),
    case(
        "head_drips",
        Security,
        "RFC 9110 §15.5.9",
        "A client that sends a head a byte at a time does not extend --head-timeout",
        |ctx| {
            ctx.serve(&[("head-timeout", "1")])?;
            let mut client = ctx.client()?;
            cut_while_dripping(&mut client, &long_head(), 1)
        },
    ),
    case("head_drips_lines", Security, "CWE-400", "A client that sends a field at a time does not extend --head-timeout (slowloris)", |ctx| {
        ctx.serve(&[("head-timeout", "1"), ("max-fields", "128")])?;
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\nHost: suite\r\n")?;
        // The 100 fields, sent one by one every 0.2 s, would take twenty seconds.
        let cut = client.drip_until_timeout("X-A: b\r\n".repeat(100), 8, PACE * 4)?;
        ensure(cut, "a response before the client has sent its last field", "no response until the client had sent its last field")?;
        Ctx::assert_refusal(&mut client, &[408])
    }),
    case(
        "second_head_drips",
        Security,
        "RFC 9110 §15.5.9",
        "On the second request of a connection, a byte at a time does not extend --head-timeout either",
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
        "Half a head behind a complete request is subject to --head-timeout",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.4")])?;
            let mut client = ctx.client()?;
            client.send([&get("/plaintext")[..], b"GET /pl"].concat())?;
            client.response()?.is(200)?;
            Ctx::assert_refusal(&mut client, &[408])
        },
    )
    .needs(PLAIN),
    case(
        "empty_line_then_stall",
        Security,
        "RFC 9110 §15.5.9",
        "A client that sends an empty line and then nothing is closed",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3"), ("idle-timeout", "0.6")])?;
            let mut client = ctx.client()?;
            client.send("\r\n")?;
            let (bytes, _) = client.read_to_end()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            ensure(text.is_empty() || text.starts_with("HTTP/1.1 408"), "408, or a close without a response", text)
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
            ensure(
                !cut || client.peek(Duration::ZERO) == Peek::Bytes,
                "an open connection until the deadline",
                                "the server closed the connection",
            )?;
            client.response()?.is(200)?.has_content("Hello, World!").map(drop)
        },
    ),
    case(
        "head_deadline_is_over_with_the_head",
        Contract,
        "contract, Limits",
        "--head-timeout ends with the head: it does not affect a response that takes longer",
        |ctx| {
            ctx.serve(&[("head-timeout", "2"), ("idle-timeout", "600")])?;
            let mut long = ctx.client()?;
            long.send("GET /sleep/20000 HTTP/1.1\r\nHo")?;
            thread::sleep(Duration::from_millis(300));
            long.send("st: suite\r\n\r\n")?;
            // The response to the client `short` is due after 2.5 s, when the head deadline of the
            // client `long` (2 s) has passed.
            let mut short = ctx.client()?;
            short.send(get("/sleep/2500"))?;
            short.response()?.is(200)?.has_content("slept 2500 ms\n")?;
            ensure(
                long.peek(Duration::ZERO) == Peek::Nothing,
                format!("nothing yet for {}, whose request sleeps for 20 s", long.name()),
                "a response, or the end of the connection",
            )
        },
    )
    .lasts(3)
    .needs(&[Need::Sleep, Need::Many]),
];
