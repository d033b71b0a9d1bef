//! Input that is not a request, or that does not end.

use super::PLAIN;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::ctx::request;
use crate::verdict::ensure;

/// Returns `length` pseudorandom bytes (xorshift). The same seed always gives the same bytes.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Returns whether the bytes begin with the status line of an error, in HTTP/1.1 or HTTP/1.0.
fn is_refusal(answer: &[u8]) -> bool {
    let Some(code) =
        answer.strip_prefix(b"HTTP/1.1 ").or(answer.strip_prefix(b"HTTP/1.0 "))
    else {
        return false;
    };
    code.starts_with(b"4") || code.starts_with(b"5")
}

pub(super) const CASES: &[Case] = &[
    case(
        "noise",
        Security,
        "RFC 9112 §2.2",
        "Random bytes are refused or the connection closed, 200 times",
        |ctx| {
            for seed in 1..=200 {
                let mut client = ctx.client()?;
                client.send(noise(seed, 700))?;
                client.half_close();
                let (answer, _) = client.read_to_end()?;
                let fine = answer.is_empty() || is_refusal(&answer);
                ensure(fine, "a refusal or nothing", crate::show::bytes(&answer, answer.len()))?;
            }
            ctx.assert_healthy()
        },
    )
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "noise_as_content",
        Security,
        "RFC 9112 §7.1",
        "Random bytes instead of chunks are refused, 100 times",
        |ctx| {
            for seed in 1..=100 {
                let mut client = ctx.client()?;
                let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
                client.send([&head[..], b"zz", &noise(seed, 300), b"\r\n"].concat())?;
                client.response()?.is(400)?;
                client.close();
            }
            ctx.assert_healthy()
        },
    )
    .needs(&[Need::Plaintext, Need::Echo])
    .book("The contract, \"Refusals\""),
    case("zeros", Security, "RFC 9112 §2.2", "16 KiB of NUL bytes are refused", |ctx| {
        let mut client = ctx.client()?;
        client.send(vec![0; 16 * 1024])?;
        if ctx.lenient {
            // A server may wait for the end of a line before it checks the line, so end the line.
            client.send("\r\n\r\n")?;
            if client.closed_without_response() {
                return ctx.assert_healthy();
            }
        }
        let answer =
            client.response().map_err(|stop| stop.expecting("a refusal, status 400 or 414"))?;
        if !(ctx.lenient && answer.status >= 400) {
            answer.one_of(&[400, 414])?;
        }
        client.close();
        ctx.assert_healthy()
    })
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "endless_request_line",
        Security,
        "RFC 9112 §3",
        "A megabyte without the end of a line is refused; the response may be lost, but the server keeps running",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(vec![b'x'; 1 << 20])?;
            let (answer, _) = client
                .read_to_end()
                .map_err(|stop| stop.expecting("a refusal or the end of the connection"))?;
            let fine = answer.is_empty() || is_refusal(&answer);
            ensure(fine, "a refusal", crate::show::bytes(&answer, answer.len()))?;
            client.close();
            ctx.assert_healthy()
        },
    )
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
];
