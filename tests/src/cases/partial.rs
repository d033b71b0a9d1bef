//! Input in arbitrary pieces, and short writes: neither may change a response.

use crate::case::Kind::{Book, Must};
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, chunked_echo, echo, get, request};
use crate::fixture::{generated, large, pattern};
use crate::target::Target;
use crate::verdict::Verdict;

const ECHO: &[Need] = &[Need::Echo];

/// Sends `bytes` once for each position in them, cut in two at that position, and calls `check`
/// each time. The server reads the first part before the client sends the second part.
fn cut_everywhere(
    ctx: &mut Ctx<'_>,
    bytes: &[u8],
    check: fn(&mut Client) -> Verdict,
) -> Verdict {
    let mut client = ctx.client()?;
    for at in 1..bytes.len() {
        let (first, second) = bytes.split_at(at);
        client.send(first)?;
        client.wait_until_read();
        client.send(second)?;
        check(&mut client)?;
    }
    Ok(())
}

/// Sends `bytes` one at a time, each byte after the server has read the previous byte, and then
/// calls `check`.
fn byte_by_byte(
    ctx: &mut Ctx<'_>,
    bytes: &[u8],
    check: fn(&mut Client) -> Verdict,
) -> Verdict {
    // Sending the bytes one at a time takes long on a busy machine, so the server gets deadlines
    // that do not pass during the case.
    if matches!(ctx.target, Target::Binary(_)) {
        ctx.serve(&[("head-timeout", "120"), ("body-timeout", "120")])?;
    }
    let mut client = ctx.client()?;
    client.send_in_pieces(bytes.chunks(1))?;
    check(&mut client)
}

fn hello(client: &mut Client) -> Verdict {
    client.response()?.is(200)?.has_content("hello").map(drop)
}

fn hello_world(client: &mut Client) -> Verdict {
    client.response()?.is(200)?.has_content("Hello, World!").map(drop)
}

fn burst() -> Vec<u8> {
    [get("/plaintext"), echo(b"hello"), request("HEAD", "/plaintext", "")].concat()
}

fn burst_answers(client: &mut Client) -> Verdict {
    hello_world(client)?;
    hello(client)?;
    client.response_to("HEAD")?.is(200).map(drop)
}

const CHUNKS: &str = "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-Thing: 1\r\n\r\n";

pub(super) const CASES: &[Case] = &[
    case(
        "head_cut_everywhere",
        Must,
        "RFC 9112 §2.2",
        "A head cut at any byte is parsed the same",
        |ctx| {
            let bytes = request("GET", "/plaintext", "X-Thing: a value\r\n");
            cut_everywhere(ctx, &bytes, hello_world)
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "content_cut_everywhere",
        Must,
        "RFC 9112 §6.2",
        "Content cut at any byte is read the same",
        |ctx| cut_everywhere(ctx, &echo(b"hello"), hello),
    )
    .needs(ECHO),
    case(
        "chunks_cut_everywhere",
        Must,
        "RFC 9112 §7.1",
        "Chunks, extensions and trailers cut at any byte are parsed the same",
        |ctx| cut_everywhere(ctx, &chunked_echo(CHUNKS), hello),
    )
    .needs(ECHO),
    case(
        "burst_cut_everywhere",
        Must,
        "RFC 9112 §9.3.2",
        "A pipelined burst cut at any byte gets the same responses",
        |ctx| cut_everywhere(ctx, &burst(), burst_answers),
    )
    .needs(ECHO),
    case(
        "head_byte_by_byte",
        Must,
        "RFC 9112 §2.2",
        "A head that arrives a byte at a time is answered",
        |ctx| byte_by_byte(ctx, &get("/plaintext"), hello_world),
    ),
    case(
        "chunks_byte_by_byte",
        Must,
        "RFC 9112 §7.1",
        "Chunks that arrive a byte at a time are decoded",
        |ctx| byte_by_byte(ctx, &chunked_echo(CHUNKS), hello),
    )
    .needs(ECHO),
    case(
        "burst_byte_by_byte",
        Must,
        "RFC 9112 §9.3.2",
        "A burst that arrives a byte at a time is answered",
        |ctx| byte_by_byte(ctx, &burst(), burst_answers),
    )
    .needs(ECHO),
    case(
        "refusal_cut_everywhere",
        Must,
        "RFC 9112 §5.1",
        "A malformed head is refused wherever it is cut",
        |ctx| {
            let bytes = b"GET /plaintext HTTP/1.1\r\nHost : suite\r\n\r\n";
            for at in 1..bytes.len() {
                let mut client = ctx.client()?;
                client.send(&bytes[..at])?;
                client.wait_until_read();
                client.send(&bytes[at..])?;
                Ctx::assert_refusal(&mut client, &[400])?;
            }
            Ok(())
        },
    ),
    case(
        "short_writes_generated",
        Must,
        "write(2)",
        "A response larger than the socket buffer arrives whole",
        |ctx| {
            let mut client = ctx.client_for_much()?;
            client.send(get("/bytes/5000001"))?;
            client.response()?.is(200)?.has_content(generated(5_000_001)).map(drop)
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "short_writes_file",
        Must,
        "sendfile(2)",
        "A file larger than the socket buffer arrives whole",
        |ctx| {
            let mut client = ctx.small_client()?;
            client.send(get("/large.bin"))?;
            client.response()?.is(200)?.has_content(pattern(large())).map(drop)
        },
    )
    .needs(&[Need::Files]),
    case(
        "short_writes_echo",
        Must,
        "write(2)",
        "An echo of one mebibyte arrives whole",
        |ctx| {
            let content = pattern(1 << 20);
            let mut client = ctx.small_client()?;
            client.send(echo(&content))?;
            client.response()?.is(200)?.has_content(&content).map(drop)
        },
    )
    .needs(ECHO),
    case(
        "late_reader",
        Must,
        "write(2)",
        "A client that reads only after the server's buffers are full gets everything",
        |ctx| {
            let mut client = ctx.client_for_much()?;
            client.send(get("/bytes/5000000"))?;
            // Wait until the response has begun. The server then fills all socket buffers and
            // blocks, and must continue when the client reads.
            client.fill()?;
            std::thread::sleep(std::time::Duration::from_millis(300));
            client.response()?.is(200)?.has_content(generated(5_000_000)).map(drop)
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "five_large_at_once",
        Book,
        "select(2)",
        "Five clients with large responses at the same time each get their own, whole",
        |ctx| {
            let mut clients = Vec::new();
            for i in 0..5 {
                let mut client = ctx.small_client()?;
                client.send(get(&format!("/bytes/{}", 400_000 + i)))?;
                clients.push(client);
            }
            // The responses are read in reverse order, because no response may depend on
            // another client reading first.
            for (i, client) in clients.iter_mut().enumerate().rev() {
                client.response()?.is(200)?.has_content(generated(400_000 + i))?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Bytes, Need::Many]),
];
