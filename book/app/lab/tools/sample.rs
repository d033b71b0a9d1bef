//! Takes a sample of a measurement in a separate process, so that the sample does not include other
//! work of this process.

use std::process::Command;

use anyhow::Result;
use serde::de::DeserializeOwned;

use super::run::Run;
use crate::child::ChildGuard;
use crate::servers;

/// Starts the program `samples`, which takes one sample for the experiment of the run `run`, and
/// returns that sample. `what` is the kind of sample, and `count` the number of things to measure.
pub(crate) fn in_a_process<S: DeserializeOwned>(
    run: &Run<'_>,
    what: &str,
    count: usize,
) -> Result<S> {
    let output = ChildGuard::output(&mut command(run, what, count)?)?;
    Ok(serde_json::from_slice(&output)?)
}

/// Returns the command that takes one sample for the experiment of the run `run`. `what` is the
/// kind of sample, and `count` the number of things to measure.
pub(crate) fn command(run: &Run<'_>, what: &str, count: usize) -> Result<Command> {
    let mut command = Command::new(servers::find(run.paths, "samples")?);
    command.args([run.name, what, &count.to_string()]);
    Ok(command)
}
