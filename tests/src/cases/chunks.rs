//! Chunked content: sizes, extensions, trailers, and malformed chunks.

use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, chunked_echo, get};
use crate::verdict::Verdict;

/// Asserts that the server decodes `chunks` to `content`, and answers the next request on the
/// connection.
fn reads(ctx: &mut Ctx<'_>, chunks: &str, content: &str) -> Verdict {
    let mut client = ctx.client()?;
    client.send([chunked_echo(chunks), get("/plaintext")].concat())?;
    client.response()?.is(200)?.has_content(content)?;
    client.response()?.is(200)?.has_content("Hello, World!").map(drop)
}

/// Asserts that `chunks` are refused with one of `statuses`, and that the bytes after the chunks
/// are not answered as a request.
fn refuses(ctx: &mut Ctx<'_>, chunks: &str, statuses: &[u16]) -> Verdict {
    ctx.assert_refused_without_smuggling(chunked_echo(chunks), statuses)
}

const ECHO: &[Need] = &[Need::Echo];

pub(super) const CASES: &[Case] = &[
    case("several", Must, "RFC 9112 §7.1", "Several chunks are joined", |ctx| {
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
    case(
        "extension_forms",
        Must,
        "RFC 9112 §7.1.1",
        "An extension may have a quoted value, escapes, and whitespace around ; and =",
        |ctx| {
            let chunks = "5 ;a\t=\t\"\\\"b\\\\ ;\" ; c = d;e\r\nhello\r\n0;f=\"\"\r\n\r\n";
            reads(ctx, chunks, "hello")
        },
    )
    .needs(ECHO),
    case(
        "extension_malformed",
        Security,
        "RFC 9112 §7.1.1",
        "A chunk extension without a name, or whose value is neither a token nor a quoted string, is refused",
        |ctx| {
            let bad = [
                ";", ";;a", ";a;", "; ", ";a=", ";=b", ";a=;b", ";a b", ";a=b c", ";a@b", ";a=\"", ";a=\"b",
                ";a=\"b\\\"", ";a=\"b\"c", ";a='b c'", ";a=b ", " ", "\t;", ";a=\"\x01\"", ";a=\"\\\x7f\"", ";\x0ca",
            ];
            bad.into_iter().try_for_each(|extension| {
                refuses(ctx, &format!("5{extension}\r\nhello\r\n0\r\n\r\n"), &[400])
            })
        },
    )
    .needs(ECHO),
    case("trailers", Must, "RFC 9112 §7.1.2", "Trailers are read, and are not part of the content", |ctx| {
        reads(ctx, "5\r\nhello\r\n0\r\nX-Checksum: 1\r\nX-Other: 2\r\n\r\n", "hello")
    })
    .needs(ECHO),
    case(
        "trailers_change_nothing",
        Security,
        "RFC 9110 §6.5.1",
        "Trailers are not merged into the head: Connection or Content-Length in a trailer has no effect",
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
    case("size_0x", Security, "RFC 9112 §7.1", "A chunk size of 0x5 is refused", |ctx| {
        refuses(ctx, "0x5\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_plus", Security, "RFC 9112 §7.1", "A chunk size of +5 is refused", |ctx| {
        refuses(ctx, "+5\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_minus", Security, "RFC 9112 §7.1", "A chunk size of -1 is refused", |ctx| {
        refuses(ctx, "-1\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_empty", Security, "RFC 9112 §7.1", "An empty chunk size is refused", |ctx| {
        refuses(ctx, "\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case("size_of_letters", Security, "RFC 9112 §7.1", "A chunk size with a letter other than a to f is refused", |ctx| {
        refuses(ctx, "5g\r\nhello\r\n0\r\n\r\n", &[400])
    })
    .needs(ECHO),
    case(
        "size_with_underscore",
        Security,
        "RFC 9112 §7.1",
        "A chunk size of 1_0 is refused, though some languages parse it as a number",
        |ctx| refuses(ctx, "1_0\r\n0123456789abcdef\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "size_overflow",
        Must,
        "RFC 9112 §7.1",
        "A chunk size of 2^64 + 5 is refused, not read as 5 after an overflow",
        |ctx| refuses(ctx, "10000000000000005\r\nhello\r\n0\r\n\r\n", &[400, 413]),
    )
    .needs(ECHO),
    case(
        "size_largest",
        Must,
        "RFC 9112 §7.1",
        "A chunk size of 2^64 - 1 is refused, and no memory is allocated for it",
        |ctx| refuses(ctx, "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", &[400, 413]),
    )
    .needs(ECHO),
    case(
        "data_too_long",
        Must,
        "RFC 9112 §7.1",
        "A chunk with more data than its size is refused",
        |ctx| refuses(ctx, "5\r\nhello!\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "data_without_crlf",
        Must,
        "RFC 9112 §7.1",
        "A chunk without CR LF after its data is refused",
        |ctx| refuses(ctx, "5\r\nhello0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "data_end_is_checked",
        Security,
        "RFC 9112 §7.1",
        "A chunk whose data is followed by two bytes other than CR LF is refused",
        |ctx| refuses(ctx, "5\r\nhelloXX0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "lf_alone_behind_size",
        Security,
        "RFC 9112 §7.1",
        "A chunk size line that ends with LF alone is refused",
        |ctx| refuses(ctx, "5\nhello\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "lf_alone_behind_data",
        Security,
        "RFC 9112 §7.1",
        "Chunk data followed by LF alone is refused",
        |ctx| refuses(ctx, "5\r\nhello\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "lf_in_extension",
        Security,
        "RFC 9112 §7.1.1",
        "An LF alone within a chunk extension does not end the line: refused",
        |ctx| refuses(ctx, "5;a\nb\r\nhello\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case(
        "cr_in_extension",
        Security,
        "RFC 9112 §7.1.1",
        "A CR alone within a chunk extension is refused",
        |ctx| refuses(ctx, "5;a\rb\r\nhello\r\n0\r\n\r\n", &[400]),
    )
    .needs(ECHO),
    case("bad_trailer", Contract, "RFC 9112 §7.1.2", "A trailer without a colon is refused", |ctx| {
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
