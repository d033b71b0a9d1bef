//! Judges a program by a gate: the cases that the program must pass at a step.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use client_suite::case::Case;
use client_suite::judge::{Outcome, Strictness, judge};
use client_suite::profile::ServerProfile;
use client_suite::target::Target;

/// Seconds without progress after which a case fails: more than the deadlines of the servers in
/// a learner's crate, which are constants of at most three seconds.
pub const TIMEOUT: u64 = 6;

/// The number of cases that run at the same time.
const AT_ONCE: usize = 8;

/// A case that does not pass.
#[derive(Debug)]
pub struct Red {
    /// The case that does not pass.
    pub case: Case,
    /// The index of the case in the gate.
    pub index: usize,
    /// The suite's description of the failure.
    pub text: String,
}

/// Judges a program by the cases of `gate`. Returns the first case in the gate's order that does
/// not pass, if there is one, and the duration. Cases behind that one may not have been tried.
/// `done` is called after each case.
pub fn first_red(
    gate: &[Case],
    profile: &ServerProfile,
    target: &Target,
    root: &Path,
    done: &(dyn Fn() + Sync),
) -> (Option<Red>, Duration) {
    let start = Instant::now();
    let (next, limit) = (AtomicUsize::new(0), AtomicUsize::new(gate.len()));
    let found: Mutex<Option<Red>> = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(gate.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= limit.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Some(text) = verdict(&gate[index], profile, target, root) {
                        limit.fetch_min(index, Ordering::Relaxed);
                        let mut found =
                            found.lock().unwrap_or_else(PoisonError::into_inner);
                        if found.as_ref().is_none_or(|red| index < red.index) {
                            *found = Some(Red { case: gate[index], index, text });
                        }
                    }
                    done();
                }
            });
        }
    });
    (found.into_inner().unwrap_or_else(PoisonError::into_inner), start.elapsed())
}

/// Judges a program by one case. Returns the description of the failure, or `None` if the case
/// passes or cannot be tried on this machine.
///
/// A small server closes without lingering, so now and then a reset destroys its last response on
/// the way. A case that fails by a reset is therefore judged once more.
pub fn verdict(
    case: &Case,
    profile: &ServerProfile,
    target: &Target,
    root: &Path,
) -> Option<String> {
    let outcome = || judge(case, profile, target, root, Strictness::Contract);
    let outcome = match outcome() {
        Outcome::Failed(failure) if failure.actual.contains("reset") => outcome(),
        other => other,
    };
    match outcome {
        Outcome::Passed | Outcome::Skipped(_) | Outcome::NotReached => None,
        Outcome::Missing(missing) => Some(missing.why),
        Outcome::Failed(failure) => Some(failure.to_string()),
    }
}
