//! Where a message ends. Two readings of one message are an attacker's door:
//! whoever reads it otherwise takes the rest for a request of its own.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, echo, get, request};
use crate::verdict::{Stop, Verdict, demand};

/// A POST with these framing fields and a small body is refused with one of
/// the statuses, and what follows is never answered.
fn refused(ctx: &mut Ctx<'_>, fields: &str, statuses: &[u16]) -> Verdict {
    let mut bytes = request("POST", "/echo", fields);
    bytes.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n");
    if ctx.standards {
        // A server that takes no POST may say so before it looks at the framing.
        let faultless = ctx.ask(echo(b"hello"))?.status;
        if matches!(faultless, 405 | 501) && ctx.ask(&bytes)?.status == faultless {
            return Err(Stop::skip(format!(
                "the server refuses every POST ({faultless}), before it looks at the framing"
            )));
        }
    }
    ctx.refuses_without_smuggling(bytes, statuses)
}

/// The same for a coding that is not chunked: 400 since the content has no end,
/// or 501 since the coding is not known; RFC 9112 asks for either.
fn refused_coding(ctx: &mut Ctx<'_>, fields: &str) -> Verdict {
    let statuses = ctx.either(&[400], &[400, 501]);
    refused(ctx, fields, statuses)
}

/// What comes after the answer to a request with content: if anything, the answer
/// to the request behind that content.
fn next_is_behind_the_content(client: &mut Client) -> Verdict {
    const EXPECTED: &str =
        "the answer to the request behind the content (200, Hello, World!), or the end";
    let answer = client.response().map_err(|stop| stop.awaiting(EXPECTED))?;
    let text = answer.text();
    demand(
        answer.status == 200 && text == "Hello, World!",
        EXPECTED,
        format!(
            "status {}: bytes of the content were taken for a request",
            answer.status
        ),
    )
}

/// A request that has content, though its method or route does not want it:
/// the content is read (or the connection ends), but never taken for a request.
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
    // Whether the connection goes on is the server's choice. What comes next
    // on it, if anything, is the answer to the request behind the content.
    let wait = crate::patience::patience();
    if client.look(wait) == Seen::Bytes {
        next_is_behind_the_content(&mut client)
    } else {
        client.ends()
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
        "Transfer-Encoding and Content-Length together are refused, in this order too",
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
    case("length_plus", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "A Content-Length with a sign is malformed", |ctx| {
        refused(ctx, "Content-Length: +5\r\n", &[400])
    }),
    case("length_minus", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "A negative Content-Length is malformed", |ctx| {
        refused(ctx, "Content-Length: -5\r\n", &[400])
    }),
    case("length_hex", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "A hexadecimal Content-Length is malformed", |ctx| {
        refused(ctx, "Content-Length: 0x5\r\n", &[400])
    }),
    case(
        "length_with_space",
        Must,
        "RFC 9110 §8.6, RFC 9112 §6.3",
        "A Content-Length with a space within is malformed",
        |ctx| refused(ctx, "Content-Length: 1 5\r\n", &[400]),
    ),
    case("length_empty", Must, "RFC 9110 §8.6, RFC 9112 §6.3", "An empty Content-Length is malformed", |ctx| {
        refused(ctx, "Content-Length:\r\n", &[400])
    }),
    case(
        "length_with_letters",
        Must,
        "RFC 9110 §8.6, RFC 9112 §6.3",
        "A Content-Length with letters behind is malformed",
        |ctx| refused(ctx, "Content-Length: 5a\r\n", &[400]),
    ),
    case("length_overflow", Security, "RFC 9110 §8.6", "A Content-Length of 2^64 + 5 is not 5", |ctx| {
        refused(ctx, "Content-Length: 18446744073709551621\r\n", &[400, 413])
    }),
    case("length_huge", Security, "RFC 9110 §8.6", "A Content-Length of thirty digits is refused", |ctx| {
        refused(ctx, "Content-Length: 999999999999999999999999999999\r\n", &[400, 413])
    }),
    case(
        "chunked_is_not_last",
        Must,
        "RFC 9112 §6.3",
        "A request whose last coding is not chunked has no end: 400",
        |ctx| refused_coding(ctx, "Transfer-Encoding: chunked, gzip\r\n"),
    ),
    case("chunked_twice", Contract, "RFC 9112 §6.1", "chunked twice is refused", |ctx| {
        refused(ctx, "Transfer-Encoding: chunked, chunked\r\n", &[400])
    }),
    case("chunked_on_two_lines", Contract, "RFC 9112 §6.1", "chunked twice on two lines is refused", |ctx| {
        refused(ctx, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &[400])
    }),
    case("identity", Must, "RFC 9112 §6.1", "identity is no transfer coding any more: 400", |ctx| {
        refused_coding(ctx, "Transfer-Encoding: identity\r\n")
    }),
    case("nearly_chunked", Must, "RFC 9112 §6.3", "xchunked is not chunked", |ctx| {
        refused_coding(ctx, "Transfer-Encoding: xchunked\r\n")
    }),
    case(
        "chunked_behind_vertical_tab",
        Must,
        "RFC 9112 §11.2",
        "A vertical tab before chunked is no white space",
        |ctx| refused_coding(ctx, "Transfer-Encoding: \x0bchunked\r\n"),
    ),
    case("empty_coding", Contract, "RFC 9112 §6.1", "An empty Transfer-Encoding is refused", |ctx| {
        refused(ctx, "Transfer-Encoding:\r\n", &[400])
    }),
    case(
        "unknown_coding",
        Should,
        "RFC 9112 §6.1",
        "A coding that the server does not know, before chunked, is 501",
        |ctx| refused(ctx, "Transfer-Encoding: gzip, chunked\r\n", &[501]),
    ),
    case(
        "chunked_in_http_1_0",
        Security,
        "RFC 9112 §6.1",
        "Transfer-Encoding in HTTP/1.0 is faulty framing: refused",
        |ctx| {
            let head = "POST /echo HTTP/1.0\r\nHost: suite\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
            ctx.refuses_without_smuggling(format!("{head}0\r\n\r\n"), &[400])
        },
    ),
    case("chunked_ignores_case", Must, "RFC 9112 §7", "The names of codings are case-insensitive", |ctx| {
        let head = request("POST", "/echo", "Transfer-Encoding: Chunked\r\n");
        ctx.ask([&head[..], b"5\r\nhello\r\n0\r\n\r\n"].concat())?.is(200)?.holds("hello").map(drop)
    })
    .needs(&[Need::Echo]),
    case(
        "get_with_content",
        Security,
        "RFC 9110 §9.3.1",
        "The content of a GET is content, never the next request",
        |ctx| content_is_no_request(ctx, "GET", "/plaintext", 200),
    )
    .needs(&[Need::Plaintext]),
    case(
        "refused_method_with_content",
        Security,
        "RFC 9112 §11.2",
        "The content of a method that is refused (405) is never the next request",
        |ctx| content_is_no_request(ctx, "PUT", "/plaintext", 405),
    )
    .needs(&[Need::Plaintext]),
    case(
        "post_to_a_get_route",
        Security,
        "RFC 9112 §11.2",
        "The content of a POST to a route without POST is never the next request",
        |ctx| content_is_no_request(ctx, "POST", "/plaintext", 405),
    )
    .needs(&[Need::Plaintext]),
    case(
        "unknown_method_with_content",
        Security,
        "RFC 9112 §11.2",
        "The content of an unknown method (501) is never the next request",
        |ctx| content_is_no_request(ctx, "BREW", "/plaintext", 501),
    )
    .needs(&[Need::Plaintext]),
    case(
        "missing_file_with_content",
        Security,
        "RFC 9112 §11.2",
        "The content of a request that is answered 404 is never the next request",
        |ctx| content_is_no_request(ctx, "GET", "/there-is-no-such-thing", 404),
    )
    .needs(&[Need::Plaintext]),
    case(
        "options_with_content",
        Security,
        "RFC 9110 §9.3.7",
        "The content of OPTIONS is never the next request",
        |ctx| content_is_no_request(ctx, "OPTIONS", "*", 204),
    )
    .needs(&[Need::Plaintext]),
    case(
        "refused_method_with_chunks",
        Security,
        "RFC 9112 §11.2",
        "Chunked content of a refused method is never the next request",
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
            if client.look(crate::patience::patience()) == Seen::Bytes {
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
        "A request without Content-Length and Transfer-Encoding has no content",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([request("POST", "/echo", ""), get("/plaintext")].concat())?;
            client.response()?.is(200)?.holds("")?;
            client.response()?.is(200)?.holds("Hello, World!").map(drop)
        },
    )
    .needs(&[Need::Echo]),
    case(
        "nothing_after_a_refusal",
        Security,
        "RFC 9112 §9.6, §11.2",
        "Behind a refusal that closes nothing is answered",
        |ctx| {
            let mut client = ctx.client()?;
            let good = get("/plaintext");
            client.send([&good[..], b"bad request line\r\n\r\n", &good, &good].concat())?;
            client.response()?.is(200)?;
            if client.is_cut_off() {
                return Ok(());
            }
            let answer = client.response()?;
            if !(ctx.lenient && answer.status >= 400) {
                answer.is(400)?.names("Connection", "close")?;
            }
            client.ends()
        },
    ),
    case("end_in_head", Contract, "RFC 9112 §8", "The end of input within a head is 400", |ctx| {
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\nHost: su")?;
        client.half_close();
        Ctx::is_refused(&mut client, &[400])
    }),
    case(
        "end_in_content",
        Must,
        "RFC 9112 §8",
        "The end of input within the content is an incomplete request: 400, and nothing is echoed",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([&request("POST", "/echo", "Content-Length: 10\r\n")[..], b"12345"].concat())?;
            client.half_close();
            Ctx::is_refused(&mut client, &[400])
        },
    )
    .needs(&[Need::Echo]),
    case(
        "end_in_chunks",
        Must,
        "RFC 9112 §8",
        "The end of input before the last chunk is an incomplete request: 400",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(
                [&request("POST", "/echo", "Transfer-Encoding: chunked\r\n")[..], b"5\r\nhello\r\n"].concat(),
            )?;
            client.half_close();
            Ctx::is_refused(&mut client, &[400])
        },
    )
    .needs(&[Need::Echo]),
    case(
        "end_before_anything",
        Contract,
        "RFC 9112 §9.5",
        "A client that sends nothing and closes gets nothing, and no complaint",
        |ctx| {
            let mut client = ctx.client()?;
            client.half_close();
            client.ends()
        },
    ),
    case(
        "upgrade_is_ignored",
        Must,
        "RFC 9110 §7.8",
        "An Upgrade to what the server does not speak is ignored",
        |ctx| {
            let fields = "Connection: Upgrade\r\nUpgrade: morse/1\r\n";
            let answer = ctx.answers(request("GET", "/plaintext", fields), 200)?;
            demand(answer.status != 101, "no switch of protocols", "101")
        },
    )
    .needs(&[Need::Plaintext]),
];
