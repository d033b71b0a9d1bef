//! --linger-timeout: the last answer is sent, and the client keeps its side open.

use std::time::{Duration, Instant};

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get_and_close};
use crate::verdict::Step;

const THROWN_AWAY: &str =
    "Chapter 1, \"The answer that was thrown away\"; The contract, \"Limits\"";

/// Is refused, then sends a byte now and then until the server has let go. The
/// longest time between two bytes.
fn sends_on_while_it_lingers(ctx: &mut Ctx<'_>) -> Step<Duration> {
    let mut client = ctx.client()?;
    client.send("nonsense\r\n\r\n")?;
    client.response()?.is(400)?;
    client.ends()?;
    client.note("sends on, a byte at a time");
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    ctx.until("`open` is 1, the one that asks", |ctx| {
        client.send("x")?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        let open = ctx.stat("open")?;
        Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
    })?;
    Ok(longest.max(last.elapsed()))
}

pub(super) const CASES: &[Case] = &[
    case(
        "linger_ends",
        Contract,
        "RFC 9112 §9.6",
        "A client that keeps its side open after the last answer is let go at --linger-timeout",
        |ctx| {
            ctx.serve(&[("linger-timeout", "0.3")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()?;
            client.note("keeps its side open");
            ctx.until("`open` is 1, the one that asks", |ctx| {
                let open = ctx.stat("open")?;
                Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
            })
        },
    )
    .needs(&[Need::Stats, Need::Process])
    .book(THROWN_AWAY),
    case("linger_is_not_put_off", Security, "RFC 9112 §9.6", "… even if it goes on sending", |ctx| {
        ctx.serve(&[("linger-timeout", "0.5")])?;
        // A client that was itself kept waiting by the machine has put nothing off,
        // and proves nothing: then once more.
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
