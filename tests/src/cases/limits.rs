//! Limits of size and number: exactly at the limit all is well, one beyond is
//! refused, and nothing has to be complete to be too large.

use std::time::Duration;

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, chunked_echo, echo, get, request};
use crate::fixture::pattern;
use crate::patience::patience;
use crate::verdict::{Stop, Verdict, demand};

const PLAIN: &[Need] = &[Need::Plaintext];
const ECHO: &[Need] = &[Need::Echo];

/// A request for `/plaintext` whose request line has this length.
fn line_of(length: usize) -> Vec<u8> {
    let around = "GET /plaintext? HTTP/1.1".len();
    get(&format!("/plaintext?{}", "q".repeat(length - around)))
}

/// A request for `/plaintext` whose head has this length in all.
fn head_of(length: usize) -> Vec<u8> {
    let around = request("GET", "/plaintext", "X-Long: \r\n").len();
    request("GET", "/plaintext", &format!("X-Long: {}\r\n", "v".repeat(length - around)))
}

/// A request for `/plaintext` with so many fields, Host among them.
fn fields_of(count: usize) -> Vec<u8> {
    let fields: String = (1..count).map(|i| format!("X-{i}: {i}\r\n")).collect();
    request("GET", "/plaintext", &fields)
}

/// Something that never ends is refused: at the contract's limit; by the standards
/// alone, before a megabyte has come, and the refusal may be lost.
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
        return Ctx::is_refused(&mut client, statuses);
    }
    let more = vec![byte; 64 * 1024];
    for _ in 0..16 {
        match client.look(Duration::from_millis(200)) {
            Seen::Bytes => return Ctx::is_refused(&mut client, statuses),
            Seen::End(_) => return Ok(()),
            Seen::Nothing => client.send_some(&more),
        };
    }
    let seen = client.look(patience());
    demand(
        seen != Seen::Nothing,
        "a refusal or the end, before a megabyte has come",
        "neither: the server takes it all and waits for more",
    )
}

/// Holds connections, each with one answer, until `count` are held.
fn hold(ctx: &mut Ctx<'_>, count: usize) -> Result<Vec<Client>, Stop> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut client = ctx.client()?;
        client.send(get("/plaintext"))?;
        client.response()?.is(200)?;
        held.push(client);
    }
    Ok(held)
}

/// A 503 that says when to come back, and closes.
fn turned_away(client: &mut Client) -> Verdict {
    let answer = client.response()?;
    let retry = answer.is(503)?.field("Retry-After").unwrap_or_default().to_owned();
    demand(!retry.is_empty(), "a Retry-After field", "none")?;
    client.ends()
}

pub(super) const CASES: &[Case] = &[
    case("line_of_8000", Should, "RFC 9112 §3", "A request line of 8,000 bytes is taken", |ctx| {
        ctx.answers(line_of(8000), 200).map(drop)
    })
    .needs(PLAIN),
    case(
        "line_at_limit",
        Contract,
        "RFC 9112 §3",
        "A request line of exactly --max-line bytes is taken (8192 by default)",
        |ctx| ctx.answers(line_of(8192), 200).map(drop),
    )
    .needs(PLAIN),
    case("line_over_limit", Must, "RFC 9112 §3", "A request line of one byte more is 414", |ctx| {
        // The standards leave it to a server how much more than 8000 it takes, and
        // whether it bounds the line or the whole head (RFC 6585 section 5).
        let statuses = ctx.either(&[414], &[200, 414, 431]);
        ctx.refuses_with(line_of(8193), statuses)
    }),
    case("line_limit_is_an_option", Contract, "contract, Limits", "--max-line moves the limit", |ctx| {
        ctx.serve(&[("max-line", "100")])?;
        ctx.answers(line_of(100), 200)?;
        ctx.refuses(line_of(101), 414)
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
        "A head of exactly --max-head bytes is taken (16384 by default)",
        |ctx| ctx.answers(head_of(16_384), 200).map(drop),
    )
    .needs(PLAIN),
    case("head_over_limit", Contract, "RFC 6585 §5", "A head of one byte more is 431", |ctx| {
        ctx.refuses(head_of(16_385), 431)
    }),
    case("head_limit_is_an_option", Contract, "contract, Limits", "--max-head moves the limit", |ctx| {
        ctx.serve(&[("max-head", "300")])?;
        ctx.answers(head_of(300), 200)?;
        ctx.refuses(head_of(301), 431)
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
        "A field name that never ends is 431 (or malformed)",
        |ctx| {
            let head = "GET /plaintext HTTP/1.1\r\nHost: suite\r\n";
            without_end(ctx, head, b'n', 17_000, &[400, 431])
        },
    ),
    case(
        "fields_at_limit",
        Contract,
        "contract, Limits",
        "--max-fields fields are taken (64 by default)",
        |ctx| ctx.answers(fields_of(64), 200).map(drop),
    )
    .needs(PLAIN),
    case("fields_over_limit", Contract, "RFC 6585 §5", "One field more is 431", |ctx| {
        ctx.refuses(fields_of(65), 431)
    }),
    case("fields_limit_is_an_option", Contract, "contract, Limits", "--max-fields moves the limit", |ctx| {
        ctx.serve(&[("max-fields", "5")])?;
        ctx.answers(fields_of(5), 200)?;
        ctx.refuses(fields_of(6), 431)
    })
    .needs(PLAIN),
    case(
        "content_over_limit",
        Should,
        "RFC 9110 §15.5.14",
        "Content that is announced too large is 413 before any of it is sent",
        |ctx| ctx.refuses(request("POST", "/echo", "Content-Length: 1048577\r\n"), 413),
    )
    .needs(ECHO),
    case(
        "chunks_over_limit",
        Security,
        "RFC 9110 §15.5.14",
        "Chunks that become too large together are 413",
        |ctx| {
            ctx.serve(&[("max-body", "20")])?;
            ctx.answers(chunked_echo("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), 200)?;
            ctx.refuses(chunked_echo("a\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n"), 413)
        },
    )
    .needs(ECHO),
    case(
        "chunk_over_limit",
        Security,
        "RFC 9110 §15.5.14",
        "A chunk that is announced too large is 413 before it is sent",
        |ctx| ctx.refuses(chunked_echo("100001\r\n"), 413),
    )
    .needs(ECHO),
    case("content_limit_is_an_option", Contract, "contract, Limits", "--max-body moves the limit", |ctx| {
        ctx.serve(&[("max-body", "10")])?;
        ctx.answers(echo(b"0123456789"), 200)?;
        ctx.refuses(echo(b"01234567890"), 413)
    })
    .needs(ECHO),
    case(
        "refused_content_is_limited",
        Contract,
        "RFC 9110 §15.5.14",
        "The limit holds for content that nobody wants, too",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Content-Length: 1048577\r\n"))?;
            // An answer to what needs no content is as good, if it then closes.
            Ctx::is_refused(&mut client, &[413])
        },
    )
    .needs(PLAIN),
    case("trailers_over_limit", Security, "RFC 6585 §5", "Trailers larger than --max-head are 431", |ctx| {
        let trailer = format!("X-Long: {}\r\n", "v".repeat(17_000));
        ctx.refuses(chunked_echo(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n")), 431)
    })
    .needs(ECHO),
    case(
        "trailers_without_end",
        Security,
        "RFC 6585 §5",
        "A trailer that never ends is 431 before it is complete",
        |ctx| ctx.refuses(chunked_echo(&format!("0\r\nX-Long: {}", "v".repeat(17_000))), 431),
    )
    .needs(ECHO),
    case("too_many_trailers", Security, "RFC 6585 §5", "More than --max-fields trailers are 431", |ctx| {
        let trailers: String = (0..65).map(|i| format!("X-{i}: {i}\r\n")).collect();
        ctx.refuses(chunked_echo(&format!("0\r\n{trailers}\r\n")), 431)
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
            Ctx::is_refused(&mut client, &[400, 413, 431])
        },
    )
    .needs(ECHO),
    case("size_without_end", Security, "RFC 9112 §7.1", "A chunk size of endless zeros is refused", |ctx| {
        let mut client = ctx.client()?;
        client.send(chunked_echo(&"0".repeat(40_000)))?;
        Ctx::is_refused(&mut client, &[400, 413, 431])
    })
    .needs(ECHO),
    case(
        "empty_lines_without_end",
        Contract,
        "RFC 9112 §2.2",
        "One empty line before a request is ignored, not any number of them",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("\r\n".repeat(20_000))?;
            let (answer, _) = client.rest()?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            demand(text.is_empty() || text.starts_with("HTTP/1.1 4"), "a refusal, or an end", text)
        },
    ),
    case(
        "connections_over_limit",
        Contract,
        "RFC 9110 §15.6.4",
        "One client more than --max-connections is 503 with Retry-After, and the others are served on",
        |ctx| {
            ctx.serve(&[("max-connections", "3")])?;
            let mut held = hold(ctx, 3)?;
            let mut one_more = ctx.client()?;
            one_more.send(get("/plaintext"))?;
            turned_away(&mut one_more)?;
            for client in &mut held {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Plaintext])
    .book("Chapter 1, \"Nobody left to serve them\"; The contract, \"Limits\""),
    case(
        "connections_free_again",
        Contract,
        "RFC 9110 §15.6.4",
        "When a client goes, its place is free again",
        |ctx| {
            ctx.serve(&[("max-connections", "3")])?;
            for _ in 0..3 {
                let mut held = Vec::new();
                // Until the server has seen all clients of the round before go.
                ctx.until("three places that are free again", |ctx| {
                    held.clear();
                    for _ in 0..3 {
                        let mut client = ctx.client()?;
                        client.send(get("/plaintext"))?;
                        if client.response()?.status != 200 {
                            return Ok(Err(format!("only {}", held.len())));
                        }
                        held.push(client);
                    }
                    Ok(Ok(()))
                })?;
                let mut one_more = ctx.client()?;
                one_more.send(get("/plaintext"))?;
                turned_away(&mut one_more)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Plaintext]),
    case(
        "buffered_over_limit",
        Contract,
        "RFC 9110 §15.6.4",
        "When --max-buffered is used up, 503 with Retry-After, and the memory comes back",
        |ctx| {
            ctx.serve(&[("max-buffered", "100000")])?;
            for _ in 0..3 {
                let mut client = ctx.client()?;
                client.send(request("POST", "/echo", "Content-Length: 200000\r\n"))?;
                client.send(pattern(140_000))?;
                turned_away(&mut client)?;
                client.close();
                let content = pattern(80_000);
                // The refused client's memory is free when the server is done with it.
                ctx.until("room for 80,000 bytes again", |ctx| {
                    let answer = ctx.ask(echo(&content))?;
                    if answer.status == 503 {
                        return Ok(Err("503".to_owned()));
                    }
                    answer.is(200)?.holds(&content)?;
                    Ok(Ok(()))
                })?;
            }
            Ok(())
        },
    )
    .needs(ECHO),
];
