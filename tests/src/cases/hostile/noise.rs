//! Bytes that are no request, or never end.

use super::PLAIN;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::ctx::request;
use crate::verdict::demand;

/// Bytes that look like chance and are the same each time.
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

/// Begins as a refusal does. The version is not this family's business.
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
        "Random bytes end in a refusal or a close, two hundred times",
        |ctx| {
            for seed in 1..=200 {
                let mut client = ctx.client()?;
                client.send(noise(seed, 700))?;
                client.half_close();
                let (answer, _) = client.rest()?;
                let fine = answer.is_empty() || is_refusal(&answer);
                demand(fine, "a refusal or nothing", crate::show::bytes(&answer, answer.len()))?;
            }
            ctx.is_well()
        },
    )
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "noise_as_content",
        Security,
        "RFC 9112 §7.1",
        "Random bytes as chunks end in a refusal, a hundred times",
        |ctx| {
            for seed in 1..=100 {
                let mut client = ctx.client()?;
                let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
                client.send([&head[..], b"zz", &noise(seed, 300), b"\r\n"].concat())?;
                client.response()?.is(400)?;
                client.close();
            }
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext, Need::Echo])
    .book("The contract, \"Refusals\""),
    case("zeros", Security, "RFC 9112 §2.2", "Sixteen kilobytes of NUL bytes are refused", |ctx| {
        let mut client = ctx.client()?;
        client.send(vec![0; 16 * 1024])?;
        if ctx.lenient {
            // How much of a line a server takes before it looks at it is its own choice.
            client.send("\r\n\r\n")?;
            if client.is_cut_off() {
                return ctx.is_well();
            }
        }
        let answer =
            client.response().map_err(|stop| stop.awaiting("a refusal, status 400 or 414"))?;
        if !(ctx.lenient && answer.status >= 400) {
            answer.one_of(&[400, 414])?;
        }
        client.close();
        ctx.is_well()
    })
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "endless_request_line",
        Security,
        "RFC 9112 §3",
        "A megabyte without a line's end is refused; the answer may be lost, the server not",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(vec![b'x'; 1 << 20])?;
            let (answer, _) = client
                .rest()
                .map_err(|stop| stop.awaiting("a refusal or the end of the connection"))?;
            let fine = answer.is_empty() || is_refusal(&answer);
            demand(fine, "a refusal", crate::show::bytes(&answer, answer.len()))?;
            client.close();
            ctx.is_well()
        },
    )
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
];
