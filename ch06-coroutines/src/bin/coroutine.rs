//! `coroutine`: looks like chapter 1, waits like chapter 5.

use ch01_blocking::program::{self, Cli};
use ch06_coroutines::coroutine_server::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: Cli<Options> = program::options();
    program::start(&cli.options, run)
}
