//! `poll`: one thread that waits with poll(2), to which it passes a list of descriptors.

use ch01_blocking::program;
use ch04_select_poll::poll;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, poll::run)
}
