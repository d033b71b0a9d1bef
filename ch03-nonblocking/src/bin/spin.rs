//! `spin`: one thread that tries every descriptor in a loop.

use ch01_blocking::program;
use ch03_nonblocking::spin;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, spin::run)
}
