//! --body-timeout and --body-rate: a content has begun and has not ended.

use std::time::Duration;

use super::{PACE, PLAIN, cut_while_dripping};
use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::Seen;
use crate::ctx::{Ctx, echo, request};
use crate::verdict::demand;

const ECHO: &[Need] = &[Need::Echo];

/// The head of a POST with content that takes very long.
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
            ctx.refuses([&long_content()[..], b"some"].concat(), 408)
        },
    )
    .needs(ECHO),
    case(
        "content_drips",
        Security,
        "RFC 9110 §15.5.9",
        "A byte now and then does not put --body-timeout off",
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
        "… nor a chunk now and then",
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
        "… nor a byte of a trailer now and then",
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
        "Content that nobody wants has its deadline too",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request("PUT", "/plaintext", "Content-Length: 100000\r\n"))?;
            let cut = client.drip([b'x'; 600], 1, PACE)?;
            demand(
                cut,
                "an answer before the last byte was sent",
                "the client could drip on",
            )?;
            // Refused at once, or when the time is up: both are answers.
            client.response()?.one_of(&[405, 408])?;
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "continue_then_stall",
        Contract,
        "RFC 9110 §15.5.9",
        "A client that got 100 Continue and then sends nothing is 408 at --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "0.4"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request(
                "POST",
                "/echo",
                "Expect: 100-continue\r\nContent-Length: 5\r\n",
            ))?;
            client.any_response("POST")?.is(100)?;
            Ctx::is_refused(&mut client, &[408])
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
            // At most 400 bytes a second, a tenth of what is asked.
            cut_while_dripping(&mut client, &[b'x'; 12_000], 20)
        },
    )
    .needs(ECHO),
    case(
        "content_stalls_by_rate",
        Security,
        "RFC 9110 §15.5.9",
        "Content that stops coming falls below --body-rate without another byte",
        |ctx| {
            ctx.serve(&[
                ("head-timeout", "0.4"),
                ("body-timeout", "3600"),
                ("body-rate", "1000"),
            ])?;
            ctx.refuses([&long_content()[..], b"some"].concat(), 408)
        },
    )
    .needs(ECHO),
    case(
        "content_fast_on_average",
        Contract,
        "contract, Limits",
        "The rate is an average: a pause behind a fast beginning is no offence",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.5"), ("body-rate", "100")])?;
            let content = [b'x'; 30_030];
            let bytes = echo(&content);
            let (most, rest) = bytes.split_at(bytes.len() - 30);
            let mut client = ctx.client()?;
            client.send(most)?;
            let cut = client.drip(rest, 1, PACE)?;
            demand(
                !cut || client.look(Duration::ZERO) == Seen::Bytes,
                "no end while the average holds",
                "an end",
            )?;
            client.response()?.is(200)?.holds(content).map(drop)
        },
    )
    .needs(ECHO),
];
