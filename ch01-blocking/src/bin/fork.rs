//! `fork`: a process for each client.

use ch01_blocking::{fork, program};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = program::Cli::parse();
    program::start(&cli.options, fork::run)
}
