//! What a client can do without making work: sleep, leave while it sleeps, not read.

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::resources::rest::waits;
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::stage::Capability::AtRest;
use crate::verdict::Verdict;

/// A client that sleeps does something; that is no work, and when the sleep is over the
/// connection is given back.
fn sleeps_at_rest(ctx: &mut Ctx<'_>, act: fn(Client) -> Option<Client>) -> Verdict {
    let mut client = ctx.client()?;
    client.send(get("/sleep/6000"))?;
    client.drained();
    let client = act(client);
    if ctx.stage.has(AtRest) {
        waits(ctx)?;
    }
    if let Some(mut client) = client {
        client.response()?.is(200)?;
        client.ends()?;
    }
    ctx.until("`open` is 1, the one that asks", |ctx| {
        let open = ctx.stat("open")?;
        Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
    })
}

pub(super) const CASES: &[Case] = &[
    case(
        "half_close_while_it_sleeps_is_no_work",
        Security,
        "poll(2), POLLRDHUP",
        "A client that has closed its side and waits for a slow answer is no work, and gets its answer",
        |ctx| {
            sleeps_at_rest(ctx, |mut client| {
                client.half_close();
                Some(client)
            })
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Sleep, Need::Stats, Need::Many]),
    case(
        "reset_while_it_sleeps_is_no_work",
        Security,
        "poll(2), POLLERR and POLLHUP",
        "A client that resets while its answer sleeps is no work, and its connection is given back",
        |ctx| {
            sleeps_at_rest(ctx, |client| {
                client.reset();
                None
            })
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Sleep, Need::Stats, Need::Many]),
    case(
        "no_room_is_no_work",
        Security,
        "poll(2), POLLOUT",
        "A client that does not read its answer, and goes on speaking, is no work",
        |ctx| {
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/100000000"))?;
            client.drained();
            client.send(get("/plaintext").repeat(10))?;
            ctx.is_well()?;
            if ctx.stage.has(AtRest) { waits(ctx) } else { Ok(()) }
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Many]),
];
