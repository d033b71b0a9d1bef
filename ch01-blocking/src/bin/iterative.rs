//! `iterative`: one client after another.

use ch01_blocking::{iterative, program};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = program::Cli::parse();
    program::start(&cli.options, iterative::run)
}
