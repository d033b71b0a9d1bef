//! Message framing: the position at which a request ends.
//!
//! If two servers disagree about the end of a request, the server that sees the earlier end parses
//! the remaining bytes as another request (request smuggling). So an ambiguous message must be
//! refused.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::client::{Client, Peek};
use crate::ctx::{Ctx, echo, get, request};
use crate::verdict::{Abort, Verdict, ensure};

/// Asserts that a POST with the framing fields `fields` and a small body is refused with one of
/// `statuses`, and that the bytes after the POST are not answered as a request.
fn refused(ctx: &mut Ctx<'_>, fields: &str, statuses: &[u16]) -> Verdict {
    let mut bytes = request("POST", "/echo", fields);
    bytes.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n");
    if ctx.standards {
        // A server that does not implement POST may refuse every POST before it checks the framing.
        // The case is then skipped.
        let faultless = ctx.ask(echo(b"hello"))?.status;
        if matches!(faultless, 405 | 501) && ctx.ask(&bytes)?.status == faultless {
            return Err(Abort::skip(format!(
                "the server refuses every POST ({faultless}) before it checks the framing"
            )));
        }
    }
    ctx.assert_refused_without_smuggling(bytes, statuses)
}

/// Asserts that a POST whose last transfer coding is not chunked is refused with 400, because the
/// end of the content is unknown. If the server is judged by the standards alone, it may also send
/// 501, because the coding is unknown.
fn refused_coding(ctx: &mut Ctx<'_>, fields: &str) -> Verdict {
    let statuses = ctx.either(&[400], &[400, 501]);
    refused(ctx, fields, statuses)
}

/// Asserts that the next response belongs to the request after the content, not to bytes of the
/// content.
fn next_is_behind_the_content(client: &mut Client) -> Verdict {
    const EXPECTED: &str = "the response to the request behind the content (200, Hello, World!), or the end of the connection";
    let answer = client.response().map_err(|stop| stop.expecting(EXPECTED))?;
    let text = answer.text();
    ensure(
        answer.status == 200 && text == "Hello, World!",
        EXPECTED,
        format!(
            "status {}: bytes of the content were parsed as a request",
            answer.status
        ),
    )
}

/// Asserts that the content of a request whose method or route ignores it is read (or the
/// connection is closed), but never parsed as a request.
fn content_is_no_request(
    ctx: &mut Ctx<'_>,
    method: &str,
    target: &str,
    status: u16,
) -> Verdict {
    let hidden = get("/hidden-in-the-content");
    let fields = format!("Content-Length: {}\r\n", hidden.len());
    let mut client = ctx.client()?;
    client
        .send([request(method, target, &fields), hidden, get("/plaintext")].concat())?;
    let answer = client.response()?;
    if !ctx.lenient {
        answer.is(status)?;
    }
    // The server may close the connection. If the connection stays open, the next response must
    // belong to the request after the content.
    let wait = crate::timeout::timeout();
    if client.peek(wait) == Peek::Bytes {
        next_is_behind_the_content(&mut client)
    } else {
        client.assert_closed()
    }
}

pub(super) const CASES: &[Case] = &[
    case(
        "length_and_chunked",
        Security,
        "RFC 9112 §6.1, §11.2",
        "Content-Length and Transfer-Encoding together are refused",
        |ctx| refused(ctx, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &[400]),
    ),
    case(
        "chunked_and_length",
        Security,
        "RFC 9112 §6.1, §11.2",
        "Transfer-Encoding and Content-Length together are refused, in this order",
        |ctx| refused(ctx, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", &[400]),
    ),
    case("two_lengths", Must, "RFC 9112 §6.3", "Two different Content-Lengths are refused", |ctx| {
        refused(ctx, "Content-Length: 5\r\nContent-Length: 6\r\n", &[400])
    }),
    case(
        "two_equal_lengths",
        Contract,
        "RFC 9112 §6.3",
        "Two Content-Lengths are refused even when they agree",
        |ctx| refused(ctx, "Content-Length: 5\r\nContent-Length: 5\r\n", &[400]),
    ),
    case("list_of_lengths", Contract, "RFC 9112 §6.3", "A list of Content-Lengths is refused", |ctx| {
        refused(ctx, "Content-Length: 5, 5\r\n", &[400])
    }),
    case("length_plus", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "A Content-Length with a plus sign is refused", |ctx| {
        refused(ctx, "Content-Length: +5\r\n", &[400])
    }),
    case("length_minus", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "A negative Content-Length is refused", |ctx| {
        refused(ctx, "Content-Length: -5\r\n", &[400])
    }),
    case("length_hex", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "A hexadecimal Content-Length is refused", |ctx| {
        refused(ctx, "Content-Length: 0x5\r\n", &[400])
    }),
    case(
        "length_with_space",
        Must,
        "RFC 9110 §8.6, RFC 9112 §6.3",
        "A Content-Length with a space between digits is refused",
        |ctx| refused(ctx, "Content-Length: 1 5\r\n", &[400]),
    ),
    case("length_empty", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "An empty Content-Length is refused", |ctx| {
        refused(ctx, "Content-Length:\r\n", &[400])
    }),
    case(
        "length_with_letters",
        Must,
        "RFC 9110 §8.6, RFC 9112 §6.3",
        "A Content-Length with trailing letters is refused",
        |ctx| refused(ctx, "Content-Length: 5a\r\n", &[400]),
    ),
    case("length_overflow", Security, "RFC 9110 §8.6", "A Content-Length of 2^64 + 5 is refused, not read as 5 after an overflow", |ctx| {
        refused(ctx, "Content-Length: 18446744073709551621\r\n", &[400, 413])
    }),
    case("length_huge", Security, "RFC 9110 §8.6", "A Content-Length of thirty digits is refused", |ctx| {
        refused(ctx, "Content-Length: 999999999999999999999999999999\r\n", &[400, 413])
    }),
    case(
        "chunked_is_not_last",
        Must,
        "RFC 9112 §6.3",
        "A request whose last transfer coding is not chunked has no end, and is refused",
        |ctx| refused_coding(ctx, "Transfer-Encoding: chunked, gzip\r\n"),
    ),
    case("chunked_twice", Contract, "RFC 9112 §6.1", "A Transfer-Encoding with chunked twice is refused", |ctx| {
        refused(ctx, "Transfer-Encoding: chunked, chunked\r\n", &[400])
    }),
    case("chunked_on_two_lines", Contract, "RFC 9112 §6.1", "Two Transfer-Encoding fields with chunked are refused", |ctx| {
        refused(ctx, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &[400])
    }),
    case("identity", Must, "RFC 9112 §6.1", "The obsolete transfer coding identity is refused", |ctx| {
        refused_coding(ctx, "Transfer-Encoding: identity\r\n")
    }),
    case("nearly_chunked", Must, "RFC 9112 §6.3", "The transfer coding xchunked is not chunked, and is refused", |ctx| {
        refused_coding(ctx, "Transfer-Encoding: xchunked\r\n")
    }),
    case(
        "chunked_behind_vertical_tab",
        Must,
        "RFC 9112 §11.2",
        "A vertical tab before chunked is not white space, and is refused",
        |ctx| refused_coding(ctx, "Transfer-Encoding: \x0bchunked\r\n"),
    ),
    case("empty_coding", Contract, "RFC 9112 §6.1", "An empty Transfer-Encoding is refused", |ctx| {
        refused(ctx, "Transfer-Encoding:\r\n", &[400])
    }),
    case(
        "unknown_coding",
        Should,
        "RFC 9112 §6.1",
        "An unknown transfer coding before chunked is 501",
        |ctx| refused(ctx, "Transfer-Encoding: gzip, chunked\r\n", &[501]),
    ),
    case(
        "chunked_in_http_1_0",
        Security,
        "RFC 9112 §6.1",
        "Transfer-Encoding in an HTTP/1.0 request is refused",
        |ctx| {
            let head = "POST /echo HTTP/1.0\r\nHost: suite\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
            ctx.assert_refused_without_smuggling(format!("{head}0\r\n\r\n"), &[400])
        },
    ),
    case("chunked_ignores_case", Must, "RFC 9112 §7", "The names of transfer codings are case-insensitive", |ctx| {
        let head = request("POST", "/echo", "Transfer-Encoding: Chunked\r\n");
        ctx.ask([&head[..], b"5\r\nhello\r\n0\r\n\r\n"].concat())?.is(200)?.has_content("hello").map(drop)
    })
    .needs(&[Need::Echo]),
    case(
        "get_with_content",
        Security,
        "RFC 9110 §9.3.1",
        "The content of a GET is never parsed as the next request",
        |ctx| content_is_no_request(ctx, "GET", "/plaintext", 200),
    )
    .needs(&[Need::Plaintext]),
    case(
        "refused_method_with_content",
        Security,
        "RFC 9112 §11.2",
        "The content of a request refused with 405 is never parsed as the next request",
        |ctx| content_is_no_request(ctx, "PUT", "/plaintext", 405),
    )
    .needs(&[Need::Plaintext]),
    case(
        "post_to_a_get_route",
        Security,
        "RFC 9112 §11.2",
        "The content of a POST to a route without POST is never parsed as the next request",
        |ctx| content_is_no_request(ctx, "POST", "/plaintext", 405),
    )
    .needs(&[Need::Plaintext]),
    case(
        "unknown_method_with_content",
        Security,
        "RFC 9112 §11.2",
        "The content of a request refused with 501 is never parsed as the next request",
        |ctx| content_is_no_request(ctx, "BREW", "/plaintext", 501),
    )
    .needs(&[Need::Plaintext]),
    case(
        "missing_file_with_content",
        Security,
        "RFC 9112 §11.2",
        "The content of a request for a missing file (404) is never parsed as the next request",
        |ctx| content_is_no_request(ctx, "GET", "/there-is-no-such-thing", 404),
    )
    .needs(&[Need::Plaintext]),
    case(
        "options_with_content",
        Security,
        "RFC 9110 §9.3.7",
        "The content of OPTIONS is never parsed as the next request",
        |ctx| content_is_no_request(ctx, "OPTIONS", "*", 204),
    )
    .needs(&[Need::Plaintext]),
    case(
        "refused_method_with_chunks",
        Security,
        "RFC 9112 §11.2",
        "Chunked content of a refused method is never parsed as the next request",
        |ctx| {
            let hidden = String::from_utf8_lossy(&get("/hidden")).into_owned();
            let head = request("PUT", "/plaintext", "Transfer-Encoding: chunked\r\n");
            let body = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
            let mut client = ctx.client()?;
            client.send([head, body.into_bytes(), get("/plaintext")].concat())?;
            let answer = client.response()?;
            if !ctx.lenient {
                answer.is(405)?;
            }
            if client.peek(crate::timeout::timeout()) == Peek::Bytes {
                next_is_behind_the_content(&mut client)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "no_framing_is_no_content",
        Must,
        "RFC 9112 §6.3",
        "A request without Content-Length and without Transfer-Encoding has no content",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([request("POST", "/echo", ""), get("/plaintext")].concat())?;
            client.response()?.is(200)?.has_content("")?;
            client.response()?.is(200)?.has_content("Hello, World!").map(drop)
        },
    )
    .needs(&[Need::Echo]),
    case(
        "nothing_after_a_refusal",
        Security,
        "RFC 9112 §9.6, §11.2",
        "After a refusal that closes the connection, no further request is answered",
        |ctx| {
            let mut client = ctx.client()?;
            let good = get("/plaintext");
            client.send([&good[..], b"bad request line\r\n\r\n", &good, &good].concat())?;
            client.response()?.is(200)?;
            if client.closed_without_response() {
                return Ok(());
            }
            let answer = client.response()?;
            if !(ctx.lenient && answer.status >= 400) {
                answer.is(400)?.list_has("Connection", "close")?;
            }
            client.assert_closed()
        },
    ),
    case("end_in_head", Contract, "RFC 9112 §8", "An end of file within a head is 400", |ctx| {
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\nHost: su")?;
        client.half_close();
        Ctx::assert_refusal(&mut client, &[400])
    }),
    case(
        "end_in_content",
        Must,
        "RFC 9112 §8",
        "An end of file within the content is 400, and nothing is echoed",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([&request("POST", "/echo", "Content-Length: 10\r\n")[..], b"12345"].concat())?;
            client.half_close();
            Ctx::assert_refusal(&mut client, &[400])
        },
    )
    .needs(&[Need::Echo]),
    case(
        "end_in_chunks",
        Must,
        "RFC 9112 §8",
        "An end of file before the last chunk is 400",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(
                [&request("POST", "/echo", "Transfer-Encoding: chunked\r\n")[..], b"5\r\nhello\r\n"].concat(),
            )?;
            client.half_close();
            Ctx::assert_refusal(&mut client, &[400])
        },
    )
    .needs(&[Need::Echo]),
    case(
        "end_before_anything",
        Contract,
        "RFC 9112 §9.5",
        "A client that sends nothing and shuts down its sending side is closed without a response",
        |ctx| {
            let mut client = ctx.client()?;
            client.half_close();
            client.assert_closed()
        },
    ),
    case(
        "upgrade_is_ignored",
        Must,
        "RFC 9110 §7.8",
        "An Upgrade to an unknown protocol is ignored",
        |ctx| {
            let fields = "Connection: Upgrade\r\nUpgrade: morse/1\r\n";
            let answer = ctx.assert_answered(request("GET", "/plaintext", fields), 200)?;
            ensure(answer.status != 101, "no switch of protocols", "101 Switching Protocols")
        },
    )
    .needs(&[Need::Plaintext]),
];
