//! `fork`: a process for each client.

use ch01_blocking::{fork, program};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, fork::run)
}
