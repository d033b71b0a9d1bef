//! `--linger-timeout`: the time between the last response and the end of the client's input.

use std::time::{Duration, Instant};

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get_and_close};
use crate::verdict::CaseResult;

const THROWN_AWAY: &str =
    "Chapter 1, \"The answer that was thrown away\"; The contract, \"Limits\"";

/// Sends a malformed request, and then one byte after another until the server has closed the
/// connection. Returns the client's longest pause in sending.
fn sends_on_while_it_lingers(ctx: &mut Ctx<'_>) -> CaseResult<Duration> {
    let mut client = ctx.client()?;
    client.send("nonsense\r\n\r\n")?;
    client.response()?.is(400)?;
    client.assert_closed()?;
    client.note("keeps sending, a byte at a time");
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    ctx.poll_until("`open` in /stats is 1 (only the client that asks)", |ctx| {
        client.send("x")?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        let open = ctx.counter("open")?;
        Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
    })?;
    Ok(longest.max(last.elapsed()))
}

pub(super) const CASES: &[Case] = &[
    case(
        "linger_ends",
        Contract,
        "RFC 9112 §9.6",
        "After the last response a client that keeps its side open is disconnected at --linger-timeout",
        |ctx| {
            ctx.serve(&[("linger-timeout", "0.3")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.assert_closed()?;
            client.note("keeps its side open");
            ctx.poll_until_counter("open", 1)
        },
    )
    .needs(&[Need::Stats, Need::Process])
    .book(THROWN_AWAY),
    case("linger_is_not_put_off", Security, "RFC 9112 §9.6", "After the last response a client is disconnected at --linger-timeout, even if it keeps sending", |ctx| {
        ctx.serve(&[("linger-timeout", "0.5")])?;
        // If a busy machine delays the client for too long between two bytes, even a server that
        // restarts its deadline at each byte closes the connection, and the attempt proves nothing.
        // So up to five attempts are made.
        for _ in 0..5 {
            if sends_on_while_it_lingers(ctx)? < Duration::from_millis(400) {
                break;
            }
        }
        Ok(())
    })
    .needs(&[Need::Stats, Need::Process, Need::Many])
    .book(THROWN_AWAY),
];
