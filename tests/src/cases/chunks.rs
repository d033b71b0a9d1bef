//! Chunked content: sizes, extensions, trailers, and what is not a chunk.

use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, chunked_echo, get};
use crate::verdict::Verdict;

/// The chunks are understood, and the next request on the connection too.
fn reads(ctx: &mut Ctx<'_>, chunks: &str, content: &str) -> Verdict {
    let mut client = ctx.client()?;
    client.send([chunked_echo(chunks), get("/plaintext")].concat())?;
    client.response()?.is(200)?.holds(content)?;
    client.response()?.is(200)?.holds("Hello, World!").map(drop)
}

/// The chunks are refused, and what follows is never answered.
fn refuses(ctx: &mut Ctx<'_>, chunks: &str, statuses: &[u16]) -> Verdict {
    ctx.refuses_without_smuggling(chunked_echo(chunks), statuses)
}

const ECHO: &[Need] = &[Need::Echo];

pub(super) const CASES: &[Case] = &[
    case("several", Must, "RFC 9112 §7.1", "Chunks are put together", |ctx| {
        reads(ctx, "5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\n\r\n", "hello, world")
    })
    .needs(ECHO),
    case("none", Must, "RFC 9112 §7.1", "Chunked content may be empty", |ctx| reads(ctx, "0\r\n\r\n", ""))
        .needs(ECHO),
    case("hex_of_either_case", Must, "RFC 9112 §7.1", "A size is hexadecimal, in either case", |ctx| {
        reads(ctx, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789")
    })
    .needs(ECHO),
    case("leading_zeros", Must, "RFC 9112 §7.1", "A size may have leading zeros", |ctx| {
        reads(ctx, "0005\r\nhello\r\n000\r\n\r\n", "hello")
    })
    .needs(ECHO),
    case("extension", Must, "RFC 9112 §7.1.1", "Unknown extensions are ignored", |ctx| {
        reads(ctx, "5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", "hello")
    })
    .needs(ECHO),
    case("trailers", Must, "RFC 9112 §7.1.2", "Trailers are read, and are no part of the content", |ctx| {
        reads(ctx, "5\r\nhello\r\n0\r\nX-Checksum: 1\r\nX-Other: 2\r\n\r\n", "hello")
    })
    .needs(ECHO),
    case(
        "trailers_change_nothing",
        Security,
        "RFC 9110 §6.5.1",
        "Trailers are not merged into the head: a late Connection or Content-Length means nothing",
        |ctx| {
            reads(
                ctx,
                "5\r\nhello\r\n0\r\nContent-Length: 9\r\nConnection: close\r\nHost: other\r\n\r\n",
                "hello",
            )
        },
    )
    .needs(ECHO),
    case("data_like_a_chunk", Must, "RFC 9112 §7.1", "Content that looks like chunks is content", |ctx| {
        reads(ctx, "e\r\n0\r\n\r\nGET / HTT\r\n0\r\n\r\n", "0\r\n\r\nGET / HTT")
    })
    .needs(ECHO),
    case("size_0x", Security, "RFC 9112 §7.1", "0x5 is no size", |ctx| {
        refuses(ctx, "0x5\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_plus", Security, "RFC 9112 §7.1", "+5 is no size", |ctx| {
        refuses(ctx, "+5\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_minus", Security, "RFC 9112 §7.1", "-1 is no size", |ctx| {
        refuses(ctx, "-1\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_empty", Security, "RFC 9112 §7.1", "A missing size is refused", |ctx| {
        refuses(ctx, "\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_of_letters", Security, "RFC 9112 §7.1", "A size with other letters is refused", |ctx| {
        refuses(ctx, "5g\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case(
        "size_with_underscore",
        Security,
        "RFC 9112 §7.1",
        "1_0 is no size, whatever the language says",
        |ctx| refuses(ctx, "1_0\r\n0123456789abcdef\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "size_overflow",
        Must,
        "RFC 9112 §7.1",
        "A size of 2^64 + 5 is not 5: overflow is anticipated",
        |ctx| refuses(ctx, "10000000000000005\r\nhello\r\n0\r\n\r\n", &[400, 413]),
    )
    .needs(ECHO),
    case(
        "size_largest",
        Must,
        "RFC 9112 §7.1",
        "A size of 2^64 - 1 is refused, and nothing is reserved for it",
        |ctx| refuses(ctx, "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", &[400, 413]),
    )
    .needs(ECHO),
    case(
        "data_too_long",
        Must,
        "RFC 9112 §7.1",
        "A chunk with more data than its size is malformed",
        |ctx| refuses(ctx, "5\r\nhello!\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "data_without_crlf",
        Must,
        "RFC 9112 §7.1",
        "A chunk without CR LF behind its data is malformed",
        |ctx| refuses(ctx, "5\r\nhello0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "data_end_is_checked",
        Security,
        "RFC 9112 §7.1",
        "What stands behind a chunk's data must be CR LF, not any two bytes",
        |ctx| refuses(ctx, "5\r\nhelloXX0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "lf_alone_behind_size",
        Security,
        "RFC 9112 §7.1",
        "A size that ends with LF alone is refused",
        |ctx| refuses(ctx, "5\nhello\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "lf_alone_behind_data",
        Security,
        "RFC 9112 §7.1",
        "Data that ends with LF alone is refused",
        |ctx| refuses(ctx, "5\r\nhello\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "lf_in_extension",
        Security,
        "RFC 9112 §7.1.1",
        "A LF alone within an extension does not end the line",
        |ctx| refuses(ctx, "5;a\nb\r\nhello\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "cr_in_extension",
        Security,
        "RFC 9112 §7.1.1",
        "A CR alone within an extension is refused",
        |ctx| refuses(ctx, "5;a\rb\r\nhello\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case("bad_trailer", Contract, "RFC 9112 §7.1.2", "A trailer that is no field is malformed", |ctx| {
        refuses(ctx, "5\r\nhello\r\n0\r\nnonsense\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case(
        "lf_alone_behind_trailer",
        Security,
        "RFC 9112 §7.1.2",
        "A trailer that ends with LF alone is refused",
        |ctx| refuses(ctx, "5\r\nhello\r\n0\r\nX-Thing: 1\n\r\n", &[400]),
    )
    .needs(ECHO),
];
