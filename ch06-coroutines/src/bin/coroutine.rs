//! The server `coroutine`: chapter 1's blocking code on coroutines, with chapter 5's
//! poller.

use ch01_blocking::program::{self, Cli};
use ch06_coroutines::coroutine_server::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: Cli<Options> = program::options();
    program::start(&cli.options, run)
}
