//! Processor time: a server with nothing to do uses none.

use std::time::Duration;

use super::known;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get};
use crate::proc;
use crate::stage::Capability::AtRest;
use crate::verdict::{Step, Verdict, demand};

const LOOKS: usize = 60;

/// At so many of sixty looks a thread of the server was running.
fn busy_looks(ctx: &mut Ctx<'_>) -> Step<usize> {
    let pid = ctx.pid()?;
    let mut busy = 0;
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_millis(20));
        busy += usize::from(known(proc::running(pid))?);
    }
    Ok(busy)
}

/// The server's threads wait; they do not run all the time.
pub(in crate::cases) fn waits(ctx: &mut Ctx<'_>) -> Verdict {
    let busy = busy_looks(ctx)?;
    demand(
        busy < LOOKS / 2,
        "a server that waits",
        format!("it was busy at {busy} of {LOOKS} looks"),
    )
}

/// The server asks everybody all the time, and so it never rests.
pub(super) fn never_rests(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.is_well()?;
    let busy = busy_looks(ctx)?;
    demand(
        busy > LOOKS / 2,
        "a server that asks all the time, with nobody there",
        format!("it was busy at {busy} of {LOOKS} looks"),
    )
}

pub(super) const CASES: &[Case] = &[case(
    "at_rest_is_no_work",
    Security,
    "poll(2)",
    "With ten idle clients the server uses no processor time",
    |ctx| {
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            held.push(client);
        }
        waits(ctx)
    },
)
.about(AtRest, never_rests)
.needs(&[Need::Process, Need::Plaintext, Need::Many])];
