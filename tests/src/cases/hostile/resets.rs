//! Clients that disconnect, at any moment.

use super::PLAIN;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, request};
use crate::verdict::Verdict;

/// Asserts that the server still works after twenty clients have sent `bytes` and reset.
fn resets_after(ctx: &mut Ctx<'_>, bytes: &[u8]) -> Verdict {
    for round in 0..20 {
        let mut client = ctx.client()?;
        client.send(bytes)?;
        if round % 2 == 0 {
            client.wait_until_read();
        }
        client.reset();
    }
    ctx.assert_healthy()
}

pub(super) const CASES: &[Case] = &[
    case(
        "reset_at_once",
        Security,
        "accept(2), ECONNABORTED",
        "Clients that reset before they send anything do no harm",
        |ctx| resets_after(ctx, b""),
    )
    .needs(PLAIN),
    case(
        "reset_in_head",
        Security,
        "read(2), ECONNRESET",
        "Clients that reset within a head do no harm",
        |ctx| resets_after(ctx, b"GET /plain"),
    )
    .needs(PLAIN),
    case(
        "reset_in_content",
        Security,
        "read(2), ECONNRESET",
        "Clients that reset within content do no harm",
        |ctx| {
            resets_after(
                ctx,
                &[&request("POST", "/echo", "Content-Length: 100\r\n")[..], b"some"]
                    .concat(),
            )
        },
    )
    .needs(PLAIN),
    case(
        "reset_before_the_answer",
        Security,
        "write(2), EPIPE",
        "Clients that reset before their response do no harm",
        |ctx| resets_after(ctx, &get("/plaintext")),
    )
    .needs(PLAIN),
    case(
        "reset_in_a_long_answer",
        Security,
        "write(2), EPIPE; signal(7), SIGPIPE",
        "Clients that reset within a long response do no harm",
        |ctx| resets_after(ctx, &get("/bytes/50000000")),
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "reset_in_a_file",
        Security,
        "sendfile(2), EPIPE; signal(7), SIGPIPE",
        "Clients that reset within a file do no harm",
        |ctx| resets_after(ctx, &get("/large.bin")),
    )
    .needs(&[Need::Plaintext, Need::Files]),
    case(
        "reset_while_it_sleeps",
        Security,
        "write(2), EPIPE",
        "A client that resets while its response sleeps does no harm",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/sleep/200"))?;
            client.wait_until_read();
            client.reset();
            ctx.assert_healthy()
        },
    )
    .needs(&[Need::Plaintext, Need::Sleep]),
    case(
        "reset_between_requests",
        Security,
        "read(2), ECONNRESET",
        "A client that resets an idle connection does no harm",
        |ctx| {
            for _ in 0..20 {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                client.reset();
            }
            ctx.assert_healthy()
        },
    )
    .needs(PLAIN),
    case(
        "reset_in_a_burst",
        Security,
        "write(2), EPIPE",
        "Clients that reset behind a hundred requests do no harm",
        |ctx| resets_after(ctx, &get("/bytes/10000").repeat(100)),
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "reset_after_a_refusal",
        Security,
        "RFC 9112 §9.6",
        "Clients that reset while the server lingers do no harm",
        |ctx| {
            for _ in 0..20 {
                let mut client = ctx.client()?;
                client.send("nonsense\r\n\r\n")?;
                if client.closed_without_response() {
                    continue;
                }
                let answer = client.response();
                let answer =
                    answer.map_err(|stop| stop.expecting("a refusal, status 400"))?;
                if !(ctx.lenient && answer.status >= 400) {
                    answer.is(400)?;
                }
                client.reset();
            }
            ctx.assert_healthy()
        },
    )
    .needs(PLAIN),
    case(
        "close_without_reading",
        Security,
        "write(2), EPIPE",
        "Clients that send a request and close without reading do no harm",
        |ctx| {
            for _ in 0..20 {
                let mut client = ctx.client()?;
                client.send(get("/bytes/5000000"))?;
                client.close();
            }
            ctx.assert_healthy()
        },
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "knocks_and_runs",
        Security,
        "accept(2)",
        "300 connections that are closed immediately do no harm",
        |ctx| {
            for _ in 0..300 {
                ctx.client()?.close();
            }
            ctx.assert_healthy()
        },
    )
    .needs(PLAIN),
];
