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
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["measure", experiment, what, &count.to_string()]);
    Ok(serde_json::from_slice(&ChildGuard::output(&mut command)?)?)
}
