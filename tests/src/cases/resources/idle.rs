//! Processor time: an idle server uses none.

use std::time::Duration;

use super::known;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::ctx::Ctx;
use crate::proc;
use crate::profile::Capability::AtRest;
use crate::verdict::{CaseResult, Verdict, ensure};

const SAMPLES: usize = 60;

/// Samples the server's threads [`SAMPLES`] times. Returns the number of samples in which a thread
/// was running.
fn busy_samples(ctx: &mut Ctx<'_>) -> CaseResult<usize> {
    let pid = ctx.pid()?;
    let mut busy = 0;
    for _ in 0..SAMPLES {
        std::thread::sleep(Duration::from_millis(20));
        busy += usize::from(known(proc::running(pid))?);
    }
    Ok(busy)
}

/// Asserts that the server's threads are blocked, not running all the time.
pub(in crate::cases) fn assert_idle(ctx: &mut Ctx<'_>) -> Verdict {
    let busy = busy_samples(ctx)?;
    ensure(
        busy < SAMPLES / 2,
        "a server that blocks while it has nothing to do",
        format!("it was busy at {busy} of {SAMPLES} samples"),
    )
}

/// Asserts the limitation of a spinning server: it is busy although no client sends anything.
pub(super) fn assert_busy(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.assert_healthy()?;
    let busy = busy_samples(ctx)?;
    ensure(
        busy > SAMPLES / 2,
        "a server that spins all the time, even without clients",
        format!("it was busy at {busy} of {SAMPLES} samples"),
    )
}

pub(super) const CASES: &[Case] = &[case(
    "at_rest_is_no_work",
    Security,
    "poll(2)",
    "With ten idle clients the server uses no processor time",
    |ctx| {
        let _held = hold(ctx, 10)?;
        assert_idle(ctx)
    },
)
.without(AtRest, assert_busy)
.needs(&[Need::Process, Need::Plaintext, Need::Many])];
