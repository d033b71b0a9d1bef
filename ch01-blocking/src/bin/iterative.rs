//! `iterative`: one client after another.

use ch01_blocking::{iterative, program};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, iterative::run)
}
