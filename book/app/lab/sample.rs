//! One sample of a measurement, in a process of its own, so that nothing else in
//! the process is measured too; and the operating system's account of its time.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::de::DeserializeOwned;

use super::child::Kept;

/// Starts this program again to take one sample, and returns what it says.
pub(super) fn in_a_process<S: DeserializeOwned>(
    experiment: &str,
    what: &str,
    count: usize,
) -> Result<S> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let said = Kept::said(Command::new(program).args([
        "measure",
        experiment,
        what,
        &count.to_string(),
    ]))?;
    Ok(serde_json::from_slice(&said)?)
}

/// User and system time of this process and of the children that it has buried.
pub(super) fn cpu() -> Result<Duration> {
    let mut total = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            total += Duration::from_micros(time.num_microseconds().try_into()?);
        }
    }
    Ok(total)
}
