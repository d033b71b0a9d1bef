//! Request and response contents: every byte value, and every size around a boundary.

use crate::case::Kind::{Contract, Must};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, chunked_echo, echo, request};
use crate::fixture::{pattern, variant};
use crate::verdict::{Abort, Verdict, ensure};

/// Asserts that content of `length` bytes is echoed unchanged, twice on one connection.
fn echoes(ctx: &mut Ctx<'_>, length: usize) -> Verdict {
    let content = pattern(length);
    let mut client = ctx.client()?;
    for _ in 0..2 {
        client.send(echo(&content))?;
        client.response()?.is(200)?.has_content(&content)?;
    }
    Ok(())
}

/// Asserts that content of `length` bytes, sent in chunks of `chunk` bytes, is echoed unchanged.
fn echoes_chunks(ctx: &mut Ctx<'_>, length: usize, chunk: usize) -> Verdict {
    let content = pattern(length);
    let mut bytes = chunked_echo("");
    for piece in content.chunks(chunk) {
        bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let mut client = ctx.client()?;
    client.send(bytes)?;
    client.response()?.is(200)?.has_content(&content).map(drop)
}

const ECHO: &[Need] = &[Need::Echo];

pub(super) const CASES: &[Case] = &[
    case(
        "empty",
        Must,
        "RFC 9110 §8.6",
        "A request with Content-Length: 0 has empty content",
        |ctx| echoes(ctx, 0),
    )
    .needs(ECHO),
    case("one_byte", Must, "RFC 9110 §8.6", "Content of one byte is echoed", |ctx| {
        echoes(ctx, 1)
    })
    .needs(ECHO),
    case(
        "every_byte_value",
        Must,
        "RFC 9110 §6.4",
        "All 256 byte values are echoed",
        |ctx| {
            let content: Vec<u8> = (0..=255).collect();
            ctx.ask(echo(&content))?.is(200)?.has_content(&content).map(drop)
        },
    )
    .needs(ECHO),
    case(
        "characters_are_not_bytes",
        Must,
        "RFC 9110 §8.6",
        "Content-Length counts bytes, not characters: text outside ASCII is echoed whole",
        |ctx| {
            let content = "gr\u{fc}n, \u{20ac} and \u{1f980}\n";
            let mut client = ctx.client()?;
            for _ in 0..2 {
                client.send(echo(content.as_bytes()))?;
                client.response()?.is(200)?.has_content(content)?;
            }
            Ok(())
        },
    )
    .needs(ECHO),
    case(
        "more_bytes_than_characters",
        Must,
        "RFC 9110 §8.6",
        "Content-Length counts bytes, not characters: text outside ASCII is echoed whole",
        |ctx| {
            let content = "gr\u{fc}n \u{2014} \u{1f40c}".as_bytes();
            ctx.ask(echo(content))?.is(200)?.has_content(content).map(drop)
        },
    )
    .needs(ECHO),
    case(
        "around_16_kib",
        Must,
        "RFC 9110 §8.6",
        "Content whose size is close to that of a buffer is echoed whole",
        |ctx| {
            for length in [16_383, 16_384, 16_385] {
                echoes(ctx, length)?;
            }
            Ok(())
        },
    )
    .needs(ECHO),
    case(
        "around_64_kib",
        Must,
        "RFC 9110 §8.6",
        "Content whose size is close to that of a buffer is echoed whole",
        |ctx| {
            for length in [65_535, 65_536, 65_537] {
                echoes(ctx, length)?;
            }
            Ok(())
        },
    )
    .needs(ECHO),
    case(
        "one_mebibyte",
        Contract,
        "RFC 9110 §15.5.14",
        "Content of exactly --max-body bytes (1 MiB) is echoed",
        |ctx| echoes(ctx, 1 << 20),
    )
    .needs(ECHO),
    case(
        "chunks_of_one_byte",
        Must,
        "RFC 9112 §7.1",
        "2,000 chunks of one byte are joined",
        |ctx| echoes_chunks(ctx, 2000, 1),
    )
    .needs(ECHO),
    case(
        "chunks_of_odd_size",
        Must,
        "RFC 9112 §7.1",
        "100 KB in chunks of 777 bytes are joined",
        |ctx| echoes_chunks(ctx, 100_000, variant().cut(777, 5_000)),
    )
    .needs(ECHO),
    case(
        "one_large_chunk",
        Must,
        "RFC 9112 §7.1",
        "One chunk of --max-body bytes (1 MiB) is echoed",
        |ctx| echoes_chunks(ctx, 1 << 20, 1 << 20),
    )
    .needs(ECHO),
    case(
        "head_has_no_content",
        Must,
        "RFC 9110 §9.3.2",
        "The response to HEAD has the fields of GET and no content",
        |ctx| {
            let got = ctx.ask(request("GET", "/plaintext", ""))?;
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/plaintext", "Connection: close\r\n"))?;
            let answer = client.response_to("HEAD")?;
            answer.is(200)?.has("Content-Length", "13")?;
            answer.has("Content-Type", got.field("Content-Type").unwrap_or_default())?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "head_of_404",
        Must,
        "RFC 9110 §9.3.2",
        "HEAD of a missing file is 404 without content",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request(
                "HEAD",
                "/there-is-no-such-thing",
                "Connection: close\r\n",
            ))?;
            client.response_to("HEAD")?.is(404)?;
            client.assert_closed()
        },
    ),
    case(
        "refused_head_has_no_content",
        Must,
        "RFC 9110 §9.3.2",
        "The refusal of a HEAD request has no content, whatever the reason",
        |ctx| {
            let long = "x".repeat(9000);
            let fields: String = (0..65).map(|i| format!("X-{i}: {i}\r\n")).collect();
            let head = |fields: &str| request("HEAD", "/plaintext", fields);
            let refused = [
                (head("Host: other\r\n"), 400),
                (head("Content-Length: 1048577\r\n"), 413),
                (head("Expect: something\r\n"), 417),
                (head(&fields), 431),
                (head("Transfer-Encoding: gzip, chunked\r\n"), 501),
                (head("Transfer-Encoding: chunked\r\n\r\nnonsense"), 400),
                (request("HEAD", &format!("/{long}"), ""), 414),
                (format!("HEAD /{long}").into_bytes(), 414),
                (b"\r\nHEAD /plaintext HTTP/1.1\r\nHost : suite\r\n\r\n".to_vec(), 400),
                (b"HEAD /plaintext HTTP/2.0\r\n\r\n".to_vec(), 505),
            ];
            for (bytes, status) in refused {
                let mut client = ctx.client()?;
                client.send(bytes)?;
                Ctx::assert_head_refusal(&mut client, status)?;
            }
            Ok(())
        },
    ),
    case(
        "unfinished_head_has_no_content",
        Must,
        "RFC 9110 §9.3.2",
        "The refusal of a HEAD request that is cut short has no content",
        |ctx| {
            let content = request("HEAD", "/plaintext", "Content-Length: 9\r\n");
            for bytes in [b"HEAD /plain".to_vec(), content] {
                let mut client = ctx.client()?;
                client.send(bytes)?;
                client.half_close();
                Ctx::assert_head_refusal(&mut client, 400)?;
            }
            Ok(())
        },
    ),
    case(
        "head_of_generated",
        Must,
        "RFC 9110 §9.3.2",
        "HEAD of a gigabyte is answered with its length, without sending it",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/bytes/1073741824", "Connection: close\r\n"))?;
            client.response_to("HEAD")?.is(200)?.has("Content-Length", "1073741824")?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "get_on_echo",
        Contract,
        "RFC 9110 §15.5.6",
        "GET on a route for POST is 405 with Allow: POST",
        |ctx| {
            let answer = ctx.assert_answered(request("GET", "/echo", ""), 405)?;
            answer.list_has("Allow", "POST")?;
            ensure(
                !answer.list_contains("Allow", "GET"),
                "an Allow field without GET",
                answer.all("Allow").join(", "),
            )
        },
    )
    .needs(ECHO),
    case(
        "options_on_echo",
        Contract,
        "RFC 9110 §9.3.7",
        "OPTIONS on a route is 204 with its methods in Allow",
        |ctx| {
            let answer = ctx.assert_answered(request("OPTIONS", "/echo", ""), 204)?;
            answer.list_has("Allow", "POST")?.lacks("Content-Length")
        },
    )
    .needs(ECHO),
    case(
        "no_content_has_no_length",
        Must,
        "RFC 9110 §8.6",
        "204 has neither Content-Length nor Transfer-Encoding",
        |ctx| {
            let answer = ctx.ask(request("OPTIONS", "/plaintext", ""))?;
            if answer.status != 204 {
                return Err(Abort::skip(
                    "the server does not respond to OPTIONS with 204",
                ));
            }
            answer.lacks("Content-Length")?;
            answer.lacks("Transfer-Encoding")
        },
    )
    .needs(&[Need::Plaintext]),
];
