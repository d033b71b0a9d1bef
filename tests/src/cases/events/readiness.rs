//! Readiness that the kernel reports once (edge-triggered): the server must read all input, and
//! notice the end of file.

use super::{NEVER_IDLE, PLAIN};
use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::cases::lifecycle::{freeze, thaw};
use crate::cases::many::round_trip;
use crate::ctx::{Ctx, echo, get, request};
use crate::fixture::pattern;
use crate::verdict::{Verdict, ensure};

/// Sends `bytes` and the end of file in one segment. Asserts that the server responds with
/// `status`, and then closes the connection. If `status` is `None`, asserts that the server closes
/// the connection without a response.
fn ends_with(ctx: &mut Ctx<'_>, bytes: &[u8], status: Option<u16>) -> Verdict {
    ctx.serve(&[NEVER_IDLE])?;
    for _ in 0..20 {
        let mut client = ctx.client()?;
        client.send_and_half_close(bytes)?;
        if let Some(status) = status {
            client.response()?.is(status)?;
        }
        client.assert_closed()?;
    }
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    case(
        "end_with_the_request",
        Contract,
        "epoll(7), EPOLLRDHUP",
        "A request in one segment with the end of file is answered, and the connection closed",
        |ctx| ends_with(ctx, &get("/plaintext"), Some(200)),
    )
    .needs(PLAIN),
    case(
        "end_with_half_a_request",
        Contract,
        "epoll(7), EPOLLRDHUP",
        "Half a request in one segment with the end of file is refused immediately",
        |ctx| ends_with(ctx, b"GET /plaintext HTTP/1.1\r\n", Some(400)),
    )
    .needs(PLAIN),
    case(
        "end_with_a_content",
        Contract,
        "epoll(7), EPOLLRDHUP",
        "The end of file behind a content is noticed, also where the request fills a buffer exactly",
        |ctx| {
            ctx.serve(&[NEVER_IDLE])?;
            let head = echo(&[0; 10_000]).len() - 10_000;
            for size in [1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16].map(|size| size - head) {
                for size in [size - 1, size, size + 1] {
                    let mut client = ctx.client()?;
                    let content = pattern(size);
                    client.send_and_half_close(&echo(&content))?;
                    client.response()?.is(200)?.has_content(&content)?;
                    client.assert_closed()?;
                }
            }
            Ok(())
        },
    )
    .needs(&[Need::Echo]),
    case(
        "all_of_what_came",
        Contract,
        "epoll(7), edge-triggered",
        "Input that arrived at once is read completely, in however many reads",
        |ctx| {
            ctx.serve(&[NEVER_IDLE])?;
            let mut client = ctx.client()?;
            round_trip(&mut client)?;
            for size in [5_000, 20_000, 60_000] {
                freeze(ctx)?;
                let content = pattern(size);
                client.send(echo(&content))?;
                thaw(ctx)?;
                client.response()?.is(200)?.has_content(&content)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Echo]),
    case(
        "urgent_data",
        Security,
        "send(2), MSG_OOB; RFC 6093",
        "A request with urgent data in its middle, at which a read stops, is answered without further input",
        |ctx| {
            // Deadlines of ten minutes, so that no deadline hides a missed event.
            ctx.serve(&[NEVER_IDLE, ("head-timeout", "600")])?;
            let mut client = ctx.client()?;
            for _ in 0..2 {
                round_trip(&mut client)?;
                freeze(ctx)?;
                client.send("GET /bytes/1")?;
                client.send_urgent(b'0')?;
                client.send("0 HTTP/1.1\r\nHost: suite\r\n\r\n")?;
                thaw(ctx)?;
                // With the socket option SO_OOBINLINE the urgent byte is part of the input, so the
                // target is `/bytes/100`; by default the kernel takes the urgent byte out, so the
                // target is `/bytes/10`.
                let length = client.response()?.is(200)?.content.len();
                ensure([100, 10].contains(&length), "100 bytes, or 10", length)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes])
    .book("Chapter 5, \"The second half of the rule\""),
    case(
        "speaks_while_it_sleeps",
        Contract,
        "epoll(7)",
        "A request that arrives while the response before sleeps is answered after it, without further input",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..5 {
                client.send(get("/sleep/100"))?;
                client.wait_until_read();
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?.has_content("slept 100 ms\n")?;
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Sleep]),
    case(
        "speaks_while_it_does_not_read",
        Contract,
        "epoll(7)",
        "A request that arrives while the response before is blocked is answered after it, without further input",
        |ctx| {
            let mut client = ctx.client_for_much()?;
            for _ in 0..3 {
                client.send(get("/bytes/10000000"))?;
                client.wait_until_read();
                // Serving other clients takes long enough for the first response to fill the socket
                // buffers.
                for _ in 0..3 {
                    if ctx.profile.has(crate::profile::Capability::ManyClients) {
                        ctx.assert_healthy()?;
                    }
                }
                client.send(get("/plaintext"))?;
                let answer = client.response()?;
                ensure(answer.is(200)?.content.len() == 10_000_000, "10000000 bytes", answer.content.len())?;
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .lasts(2)
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "end_while_it_lingers",
        Contract,
        "RFC 9112 §9.6; poll(2), POLLHUP",
        "A last response arrives whole, although the client has sent much more input and the end of file",
        |ctx| {
            ctx.assert_healthy()?;
            for bytes in [280_000, 300_000, 320_000, 340_000] {
                freeze(ctx)?;
                // The response fits into the send buffer of the server's socket, but not into the
                // receive buffer of the client's socket.
                let mut client = ctx.client_with(Some(64 * 1024))?;
                client.send(request("GET", "/bytes/400000", "Connection: close\r\n"))?;
                client.send_much_and_half_close(bytes)?;
                thaw(ctx)?;
                ctx.assert_healthy()?;
                let answer = client.response()?;
                ensure(answer.is(200)?.content.len() == 400_000, "400000 bytes", answer.content.len())?;
                client.assert_closed()?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Many]),
    case(
        "empty_lines_one_by_one",
        Contract,
        "RFC 9112 §2.2",
        "An empty line before a request is remembered until more input arrives: a second one is refused",
        |ctx| {
            ctx.serve(&[NEVER_IDLE, ("head-timeout", "600")])?;
            let mut client = ctx.client()?;
            round_trip(&mut client)?;
            client.send("\r\n")?;
            client.wait_until_read();
            client.send("\r\n")?;
            Ctx::assert_refusal(&mut client, &[400])
        },
    )
    .needs(PLAIN),
];
