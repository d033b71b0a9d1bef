//! Processor time: an idle server uses none.

use std::time::{Duration, Instant};

use super::known;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::ctx::Ctx;
use crate::proc::Family;
use crate::profile::Capability::AtRest;
use crate::timeout::timeout;
use crate::verdict::{Abort, Verdict, ensure};

const SAMPLES: usize = 60;

/// The processor time after which a server that still has not blocked counts as busy. On a machine
/// with few free processors, a server may need long to finish with its earlier clients, but it uses
/// less processor time than this.
const WORK: Duration = Duration::from_millis(500);

/// Takes up to [`SAMPLES`] samples of the server's threads, and stops early if `decided` returns
/// true. Returns the number of samples in which a thread was running, and the number of all others,
/// which are also the arguments of `decided`.
fn samples(server: &Family, decided: impl Fn(usize, usize) -> bool) -> (usize, usize) {
    let (mut busy, mut idle) = (0, 0);
    while busy + idle < SAMPLES && !decided(busy, idle) {
        std::thread::sleep(Duration::from_millis(20));
        *(if server.is_running() { &mut busy } else { &mut idle }) += 1;
    }
    (busy, idle)
}

/// Asserts that the server's threads are blocked most of the time, and that the server uses little
/// processor time. The latter also detects children so short-lived that no sample finds them.
pub(in crate::cases) fn assert_idle(ctx: &mut Ctx<'_>) -> Verdict {
    let pid = ctx.pid()?;
    let began = Instant::now();
    let mut worked = Duration::ZERO;
    loop {
        let server = known(Family::of(pid))?;
        let (before, round_began) = (server.processor_time(), Instant::now());
        let (busy, idle) = samples(&server, |_, idle| idle > SAMPLES / 2);
        let used = server.processor_time().saturating_sub(before);
        if idle > SAMPLES / 2 && used < round_began.elapsed() / 2 {
            return Ok(());
        }
        worked += used;
        if worked >= WORK || began.elapsed() > timeout() {
            return Err(Abort::fail(
                "a server that blocks while it has nothing to do",
                format!("it was busy at {busy} of {SAMPLES} samples"),
            ));
        }
    }
}

/// Asserts the limitation of a spinning server: it is busy although no client sends anything.
pub(super) fn assert_busy(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.assert_healthy()?;
    let server = known(Family::of(ctx.pid()?))?;
    let (busy, _) = samples(&server, |busy, _| busy > SAMPLES / 2);
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
