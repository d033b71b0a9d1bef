//! One sample of a measurement, in a process of its own, so that nothing else in the process
//! is measured too.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::child::ChildGuard;
use crate::proc::cpu;

/// Starts this program again to take one sample, and returns the sample.
pub(crate) fn in_a_process<S: DeserializeOwned>(
    experiment: &str,
    what: &str,
    count: usize,
) -> Result<S> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["measure", experiment, what, &count.to_string()]);
    Ok(serde_json::from_slice(&ChildGuard::output(&mut command)?)?)
}

/// What repeats took, in seconds each.
pub(crate) struct Repeated {
    /// Of processor time, user and system together.
    pub cpu: f64,
    /// On the clock.
    pub wall: f64,
}

/// Calls `round` with ever larger numbers of repeats, from `times` on, until these take
/// `enough` processor time: so looking at the clock costs next to nothing. Returns what a
/// repeat of the last call took.
pub(crate) fn repeat(
    mut times: u32,
    enough: Duration,
    mut round: impl FnMut(u32) -> Result<()>,
) -> Result<Repeated> {
    round(times)?; // what is done or fetched for the first time is not measured
    loop {
        let (before, start) = (cpu()?, Instant::now());
        round(times)?;
        let (wall, spent) = (start.elapsed(), cpu()?.saturating_sub(before));
        if spent >= enough {
            let [cpu, wall] =
                [spent, wall].map(|time| time.as_secs_f64() / f64::from(times));
            return Ok(Repeated { cpu, wall });
        }
        times *= 2;
    }
}
