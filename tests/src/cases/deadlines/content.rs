//! `--body-timeout` and `--body-rate`: the time to receive a request's content.

use std::time::Duration;

use super::{PACE, PLAIN, cut_while_dripping};
use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::Peek;
use crate::ctx::{Ctx, echo, request};
use crate::verdict::ensure;

const ECHO: &[Need] = &[Need::Echo];

/// Returns the head of a POST whose content is long.
fn long_content() -> Vec<u8> {
    request("POST", "/echo", "Content-Length: 100000\r\n")
}

pub(super) const CASES: &[Case] = &[
    case(
        "content_stalls",
        Contract,
        "RFC 9110 §15.5.9",
        "Content that stalls is 408 at --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "0.4"), ("body-rate", "0")])?;
            ctx.assert_refused([&long_content()[..], b"some"].concat(), 408)
        },
    )
    .needs(ECHO),
    case(
        "content_drips",
        Security,
        "RFC 9110 §15.5.9",
        "A client that sends content a byte at a time does not extend --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(long_content())?;
            cut_while_dripping(&mut client, &[b'x'; 600], 1)
        },
    )
    .needs(ECHO),
    case(
        "chunks_drip",
        Security,
        "RFC 9110 §15.5.9",
        "A client that sends a chunk at a time does not extend --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request("POST", "/echo", "Transfer-Encoding: chunked\r\n"))?;
            cut_while_dripping(&mut client, "1\r\nx\r\n".repeat(500).as_bytes(), 6)
        },
    )
    .needs(ECHO),
    case(
        "trailers_drip",
        Security,
        "RFC 9110 §15.5.9",
        "A client that sends a trailer a byte at a time does not extend --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request("POST", "/echo", "Transfer-Encoding: chunked\r\n"))?;
            client.send("5\r\nhello\r\n0\r\n")?;
            cut_while_dripping(
                &mut client,
                format!("X-Long: {}", "v".repeat(500)).as_bytes(),
                1,
            )
        },
    )
    .needs(ECHO),
    case(
        "unwanted_content_drips",
        Security,
        "RFC 9110 §15.5.9",
        "Content of a refused request is subject to --body-timeout, too",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request("PUT", "/plaintext", "Content-Length: 100000\r\n"))?;
            let cut = client.drip_until_timeout([b'x'; 600], 1, PACE)?;
            ensure(
                cut,
                "a response before the client has sent its last byte",
                "no response until the client had sent its last byte",
            )?;
            // The server may respond immediately (405, because the route does not allow the
            // method), or at the deadline (408).
            client.response()?.one_of(&[405, 408])?;
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "continue_then_stall",
        Contract,
        "RFC 9110 §15.5.9",
        "A client that receives 100 Continue and then sends nothing gets 408 at --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "0.4"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request(
                "POST",
                "/echo",
                "Expect: 100-continue\r\nContent-Length: 5\r\n",
            ))?;
            client.any_response("POST")?.is(100)?;
            Ctx::assert_refusal(&mut client, &[408])
        },
    )
    .needs(ECHO),
    case(
        "content_too_slow",
        Security,
        "RFC 9110 §15.5.9",
        "Content slower than --body-rate is 408 long before --body-timeout",
        |ctx| {
            ctx.serve(&[
                ("head-timeout", "0.5"),
                ("body-timeout", "3600"),
                ("body-rate", "4096"),
            ])?;
            let mut client = ctx.client()?;
            client.send(long_content())?;
            // The client sends at most 400 bytes per second, a tenth of `--body-rate`.
            cut_while_dripping(&mut client, &[b'x'; 12_000], 20)
        },
    )
    .needs(ECHO),
    case(
        "content_stalls_by_rate",
        Security,
        "RFC 9110 §15.5.9",
        "Content that stalls falls below --body-rate and is 408, though no further byte arrives",
        |ctx| {
            ctx.serve(&[
                ("head-timeout", "0.4"),
                ("body-timeout", "3600"),
                ("body-rate", "1000"),
            ])?;
            ctx.assert_refused([&long_content()[..], b"some"].concat(), 408)
        },
    )
    .needs(ECHO),
    case(
        "content_fast_on_average",
        Contract,
        "contract, Limits",
        "--body-rate is an average: slow content after a fast beginning is accepted",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.5"), ("body-rate", "100")])?;
            let content = [b'x'; 30_030];
            let bytes = echo(&content);
            let (most, rest) = bytes.split_at(bytes.len() - 30);
            let mut client = ctx.client()?;
            client.send(most)?;
            let cut = client.drip(rest, 1, PACE)?;
            ensure(
                !cut || client.peek(Duration::ZERO) == Peek::Bytes,
                "an open connection while the average rate is high enough",
                                "the server closed the connection",
            )?;
            client.response()?.is(200)?.has_content(content).map(drop)
        },
    )
    .lasts(2)
    .needs(ECHO),
];
