//! Processor time: an idle server uses none.

use std::time::Duration;

use super::known;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::ctx::Ctx;
use crate::proc::Family;
use crate::profile::Capability::AtRest;
use crate::verdict::{CaseResult, Verdict, ensure};

const SAMPLES: usize = 60;

/// Samples the server's threads up to [`SAMPLES`] times, until one answer has more than half of the
/// samples. Returns whether a thread was running in more than half of them, and both numbers.
fn samples(ctx: &mut Ctx<'_>) -> CaseResult<(bool, String)> {
    let server = known(Family::of(ctx.pid()?))?;
    let (mut busy, mut idle) = (0, 0);
    while busy.max(idle) <= SAMPLES / 2 {
        std::thread::sleep(Duration::from_millis(20));
        *(if server.is_running() { &mut busy } else { &mut idle }) += 1;
    }
    Ok((busy > idle, format!("it was busy at {busy} of {} samples", busy + idle)))
}

/// Asserts that the server's threads are blocked, not running all the time.
pub(in crate::cases) fn assert_idle(ctx: &mut Ctx<'_>) -> Verdict {
    let (is_busy, seen) = samples(ctx)?;
    ensure(!is_busy, "a server that blocks while it has nothing to do", seen)
}

/// Asserts the limitation of a spinning server: it is busy although no client sends anything.
pub(super) fn assert_busy(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.assert_healthy()?;
    let (is_busy, seen) = samples(ctx)?;
    ensure(is_busy, "a server that spins all the time, even without clients", seen)
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
