//! `select`: one thread that waits with select(2), to which it passes sets of descriptors.

use ch01_blocking::program;
use ch04_select_poll::select;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, select::run)
}
