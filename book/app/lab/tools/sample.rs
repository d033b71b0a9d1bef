//! Takes a sample of a measurement in a separate process, so that nothing else that this
//! process does is measured with it.

use std::process::Command;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::child::ChildGuard;

/// Starts this program again to take one sample for `experiment`, and returns the sample.
pub(crate) fn in_a_process<S: DeserializeOwned>(
    experiment: &str,
    what: &str,
    count: usize,
) -> Result<S> {
    let output = ChildGuard::output(&mut command(experiment, what, count)?)?;
    Ok(serde_json::from_slice(&output)?)
}

/// Returns the command that starts this program again to take one sample for `experiment`.
pub(crate) fn command(experiment: &str, what: &str, count: usize) -> Result<Command> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["measure", experiment, what, &count.to_string()]);
    Ok(command)
}
