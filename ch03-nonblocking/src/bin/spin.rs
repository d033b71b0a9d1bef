//! `spin`: one thread that asks everyone, always.

use ch01_blocking::program;
use ch03_nonblocking::spin;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, spin::run)
}
