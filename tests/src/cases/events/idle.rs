//! Clients that must not keep the server busy: clients that wait for a slow response, that leave
//! before the response is due, or that do not read.

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::resources::idle::assert_idle;
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::profile::Capability::AtRest;
use crate::verdict::Verdict;

/// Requests a delayed response, calls `act` with the client before the response is due, and asserts
/// that the server stays idle and finally closes the connection. If `act` returns the client, the
/// client must get the response.
fn sleeps_at_rest(ctx: &mut Ctx<'_>, act: fn(Client) -> Option<Client>) -> Verdict {
    let mut client = ctx.client()?;
    client.send(get("/sleep/6000"))?;
    client.wait_until_read();
    let client = act(client);
    if ctx.profile.has(AtRest) {
        assert_idle(ctx)?;
    }
    if let Some(mut client) = client {
        client.response()?.is(200)?;
        client.assert_closed()?;
    }
    ctx.poll_until_counter("open", 1)
}

pub(super) const CASES: &[Case] = &[
    case(
        "half_close_while_it_sleeps_is_no_work",
        Security,
        "poll(2), POLLRDHUP",
        "A client that has shut down its sending side and waits for a slow response causes no work, and gets it",
        |ctx| {
            sleeps_at_rest(ctx, |mut client| {
                client.half_close();
                Some(client)
            })
        },
    )
    .lasts(6)
    .needs(&[Need::Plaintext, Need::Process, Need::Sleep, Need::Stats, Need::Many]),
    case(
        "reset_while_it_sleeps_is_no_work",
        Security,
        "poll(2), POLLERR and POLLHUP",
        "A client that resets while its response sleeps causes no work, and its connection is closed",
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
        "A client that keeps sending but does not read its response causes no work",
        |ctx| {
            let mut client = ctx.small_client()?;
            // 16 MB: a length that every server offers on `/bytes/N`, and far more than the kernel's
            // socket buffers hold.
            client.send(get("/bytes/16000000"))?;
            client.wait_until_read();
            client.send(get("/plaintext").repeat(10))?;
            ctx.assert_healthy()?;
            if ctx.profile.has(AtRest) { assert_idle(ctx) } else { Ok(()) }
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Many]),
];
