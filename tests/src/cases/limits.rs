//! Limits on sizes and counts: a value exactly at the limit is accepted, a value one larger is
//! refused, and a message need not be complete to be refused.

use std::time::Duration;

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::client::{Client, Peek};
use crate::ctx::{Ctx, chunked_echo, echo, get, request};
use crate::fixture::pattern;
use crate::timeout::timeout;
use crate::verdict::{Verdict, ensure};

const PLAIN: &[Need] = &[Need::Plaintext];
const ECHO: &[Need] = &[Need::Echo];

/// Returns a request whose request line is `length` bytes long.
fn line_of(length: usize) -> Vec<u8> {
    let around = "GET /plaintext? HTTP/1.1".len();
    get(&format!("/plaintext?{}", "q".repeat(length - around)))
}

/// Returns a request whose head is `length` bytes long.
fn head_of(length: usize) -> Vec<u8> {
    let around = request("GET", "/plaintext", "X-Long: \r\n").len();
    request("GET", "/plaintext", &format!("X-Long: {}\r\n", "v".repeat(length - around)))
}

/// Returns a request with `count` header fields, including Host.
fn fields_of(count: usize) -> Vec<u8> {
    let fields: String = (1..count).map(|i| format!("X-{i}: {i}\r\n")).collect();
    request("GET", "/plaintext", &fields)
}

/// Asserts that a head with an endless element (`head`, and then `byte` again and again) is refused
/// with one of `statuses` after `count` bytes. In a lenient case ([`Ctx::lenient`]) a refusal or a
/// close before a megabyte has been sent is enough.
fn without_end(
    ctx: &mut Ctx<'_>,
    head: &str,
    byte: u8,
    count: usize,
    statuses: &[u16],
) -> Verdict {
    let mut client = ctx.client()?;
    client.send([head.as_bytes(), &vec![byte; count]].concat())?;
    if !ctx.lenient {
        return Ctx::assert_refusal(&mut client, statuses);
    }
    let more = vec![byte; 64 * 1024];
    for _ in 0..16 {
        match client.peek(Duration::from_millis(200)) {
            Peek::Bytes => return Ctx::assert_refusal(&mut client, statuses),
            Peek::End(_) => return Ok(()),
            Peek::Nothing => client.send_some(&more),
        };
    }
    let seen = client.peek(timeout());
    ensure(
        seen != Peek::Nothing,
        "a refusal or a close before a megabyte has been sent",
        "neither: the server has read it all and waits for more",
    )
}

/// Asserts that the response is a 503 with Retry-After, and that the server then closes the
/// connection.
fn assert_rejected(client: &mut Client) -> Verdict {
    let answer = client.response()?;
    let retry = answer.is(503)?.field("Retry-After").unwrap_or_default().to_owned();
    ensure(!retry.is_empty(), "a Retry-After field", "no Retry-After field")?;
    client.assert_closed()
}

pub(super) const CASES: &[Case] = &[
    case("line_of_8000", Should, "RFC 9112 §3", "A request line of 8,000 bytes is accepted", |ctx| {
        ctx.assert_answered(line_of(8000), 200).map(drop)
    })
    .needs(PLAIN),
    case(
        "line_at_limit",
        Contract,
        "RFC 9112 §3",
        "A request line of exactly --max-line bytes is accepted (8192 by default)",
        |ctx| ctx.assert_answered(line_of(8192), 200).map(drop),
    )
    .needs(PLAIN),
    case("line_over_limit", Must, "RFC 9112 §3", "A request line of one byte more than --max-line is 414", |ctx| {
        // The standards let a server accept a request line of more than 8,000 bytes, and let it
        // limit the whole head in place of the request line (RFC 6585 section 5).
        let statuses = ctx.either(&[414], &[200, 414, 431]);
        ctx.assert_refused_with(line_of(8193), statuses)
    }),
    case("line_limit_is_an_option", Contract, "contract, Limits", "--max-line moves the limit", |ctx| {
        ctx.serve(&[("max-line", "100")])?;
        ctx.assert_answered(line_of(100), 200)?;
        ctx.assert_refused(line_of(101), 414)
    })
    .needs(PLAIN),
    case(
        "line_without_end",
        Security,
        "RFC 9110 §15.5.15",
        "A request line that never ends is 414 before it is complete",
        |ctx| without_end(ctx, "GET /", b'x', 9000, &[414]),
    ),
    case("method_without_end", Security, "RFC 9112 §3", "A method that never ends is refused", |ctx| {
        without_end(ctx, "X", b'X', 9000, &[400, 414, 501])
    }),
    case(
        "head_at_limit",
        Contract,
        "contract, Limits",
        "A head of exactly --max-head bytes is accepted (16384 by default)",
        |ctx| ctx.assert_answered(head_of(16_384), 200).map(drop),
    )
    .needs(PLAIN),
    case("head_over_limit", Contract, "RFC 6585 §5", "A head of one byte more than --max-head is 431", |ctx| {
        ctx.assert_refused(head_of(16_385), 431)
    }),
    case("head_limit_is_an_option", Contract, "contract, Limits", "--max-head moves the limit", |ctx| {
        ctx.serve(&[("max-head", "300")])?;
        ctx.assert_answered(head_of(300), 200)?;
        ctx.assert_refused(head_of(301), 431)
    })
    .needs(PLAIN),
    case(
        "head_without_end",
        Security,
        "RFC 6585 §5",
        "A field that never ends is 431 before it is complete",
        |ctx| {
            let head = "GET /plaintext HTTP/1.1\r\nHost: suite\r\nX-Long: ";
            without_end(ctx, head, b'v', 17_000, &[431])
        },
    ),
    case(
        "name_without_end",
        Security,
        "RFC 6585 §5",
        "A field name that never ends is 431 or 400",
        |ctx| {
            let head = "GET /plaintext HTTP/1.1\r\nHost: suite\r\n";
            without_end(ctx, head, b'n', 17_000, &[400, 431])
        },
    ),
    case(
        "fields_at_limit",
        Contract,
        "contract, Limits",
        "--max-fields fields are accepted (64 by default)",
        |ctx| ctx.assert_answered(fields_of(64), 200).map(drop),
    )
    .needs(PLAIN),
    case("fields_over_limit", Contract, "RFC 6585 §5", "One field more than --max-fields is 431", |ctx| {
        ctx.assert_refused(fields_of(65), 431)
    }),
    case("fields_limit_is_an_option", Contract, "contract, Limits", "--max-fields moves the limit", |ctx| {
        ctx.serve(&[("max-fields", "5")])?;
        ctx.assert_answered(fields_of(5), 200)?;
        ctx.assert_refused(fields_of(6), 431)
    })
    .needs(PLAIN),
    case(
        "content_over_limit",
        Should,
        "RFC 9110 §15.5.14",
        "Content whose Content-Length is more than --max-body is 413 before any of it is sent",
        |ctx| ctx.assert_refused(request("POST", "/echo", "Content-Length: 1048577\r\n"), 413),
    )
    .needs(ECHO),
    case(
        "chunks_over_limit",
        Security,
        "RFC 9110 §15.5.14",
        "Chunks that exceed --max-body together are 413",
        |ctx| {
            ctx.serve(&[("max-body", "20")])?;
            ctx.assert_answered(chunked_echo("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), 200)?;
            ctx.assert_refused(chunked_echo("a\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n"), 413)
        },
    )
    .needs(ECHO),
    case(
        "chunk_over_limit",
        Security,
        "RFC 9110 §15.5.14",
        "A chunk whose size is more than --max-body is 413 before any of it is sent",
        |ctx| ctx.assert_refused(chunked_echo("100001\r\n"), 413),
    )
    .needs(ECHO),
    case("content_limit_is_an_option", Contract, "contract, Limits", "--max-body moves the limit", |ctx| {
        ctx.serve(&[("max-body", "10")])?;
        ctx.assert_answered(echo(b"0123456789"), 200)?;
        ctx.assert_refused(echo(b"01234567890"), 413)
    })
    .needs(ECHO),
    case(
        "refused_content_is_limited",
        Contract,
        "RFC 9110 §15.5.14",
        "--max-body applies to content that the route does not use, too",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Content-Length: 1048577\r\n"))?;
            // `assert_refusal` also asserts that the server closes the connection.
            Ctx::assert_refusal(&mut client, &[413])
        },
    )
    .needs(PLAIN),
    case("trailers_over_limit", Security, "RFC 6585 §5", "Trailers larger than --max-head are 431", |ctx| {
        let trailer = format!("X-Long: {}\r\n", "v".repeat(17_000));
        ctx.assert_refused(chunked_echo(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n")), 431)
    })
    .needs(ECHO),
    case(
        "trailers_without_end",
        Security,
        "RFC 6585 §5",
        "A trailer that never ends is 431 before it is complete",
        |ctx| ctx.assert_refused(chunked_echo(&format!("0\r\nX-Long: {}", "v".repeat(17_000))), 431),
    )
    .needs(ECHO),
    case("too_many_trailers", Security, "RFC 6585 §5", "More than --max-fields trailers are 431", |ctx| {
        let trailers: String = (0..65).map(|i| format!("X-{i}: {i}\r\n")).collect();
        ctx.assert_refused(chunked_echo(&format!("0\r\n{trailers}\r\n")), 431)
    })
    .needs(ECHO),
    case(
        "extension_without_end",
        Security,
        "RFC 9112 §7.1.1",
        "A chunk extension that never ends is refused",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(chunked_echo(&format!("5;{}", "x".repeat(40_000))))?;
            Ctx::assert_refusal(&mut client, &[400, 413, 431])
        },
    )
    .needs(ECHO),
    case("size_without_end", Security, "RFC 9112 §7.1", "A chunk size of endless zeros is refused", |ctx| {
        let mut client = ctx.client()?;
        client.send(chunked_echo(&"0".repeat(40_000)))?;
        Ctx::assert_refusal(&mut client, &[400, 413, 431])
    })
    .needs(ECHO),
    case(
        "empty_lines_without_end",
        Contract,
        "RFC 9112 §2.2",
        "Only one empty line before a request is ignored: more are refused",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("\r\n".repeat(20_000))?;
            let (answer, _) = client.read_to_end()?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            ensure(text.is_empty() || text.starts_with("HTTP/1.1 4"), "a refusal, or a close", text)
        },
    ),
    case(
        "connections_over_limit",
        Contract,
        "RFC 9110 §15.6.4",
        "One client more than --max-connections gets 503 with Retry-After, and the others are still served",
        |ctx| {
            ctx.serve(&[("max-connections", "3")])?;
            let mut held = hold(ctx, 3)?;
            let mut one_more = ctx.client()?;
            one_more.send(get("/plaintext"))?;
            assert_rejected(&mut one_more)?;
            for client in &mut held {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Plaintext])
    .book("Chapter 1, \"No descriptor left\"; The contract, \"Limits\""),
    case(
        "connections_free_again",
        Contract,
        "RFC 9110 §15.6.4",
        "When a client disconnects, another one can be served within --max-connections",
        |ctx| {
            ctx.serve(&[("max-connections", "3")])?;
            for _ in 0..3 {
                let mut held = Vec::new();
                // Wait until the server has closed all connections of the previous round.
                ctx.poll_until("three clients can be served again", |ctx| {
                    held.clear();
                    for _ in 0..3 {
                        let mut client = ctx.client()?;
                        client.send(get("/plaintext"))?;
                        if client.response()?.status != 200 {
                            return Ok(Err(format!("only {} are served", held.len())));
                        }
                        held.push(client);
                    }
                    Ok(Ok(()))
                })?;
                let mut one_more = ctx.client()?;
                one_more.send(get("/plaintext"))?;
                assert_rejected(&mut one_more)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Plaintext]),
    case(
        "buffered_over_limit",
        Contract,
        "RFC 9110 §15.6.4",
        "Content beyond --max-buffered is 503 with Retry-After, and its memory is released",
        |ctx| {
            ctx.serve(&[("max-buffered", "100000")])?;
            for _ in 0..3 {
                let mut client = ctx.client()?;
                client.send(request("POST", "/echo", "Content-Length: 200000\r\n"))?;
                client.send(pattern(140_000))?;
                assert_rejected(&mut client)?;
                client.close();
                let content = pattern(80_000);
                // The server releases the memory of a refused request only when it has closed the
                // connection.
                ctx.poll_until("80,000 bytes can be buffered again", |ctx| {
                    let answer = ctx.ask(echo(&content))?;
                    if answer.status == 503 {
                        return Ok(Err("503".to_owned()));
                    }
                    answer.is(200)?.has_content(&content)?;
                    Ok(Ok(()))
                })?;
            }
            Ok(())
        },
    )
    .needs(ECHO),
];
