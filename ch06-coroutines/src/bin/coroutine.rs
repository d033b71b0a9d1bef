//! `coroutine`: looks like chapter 1, waits like chapter 5.

use ch06_coroutines::server;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: ch01_blocking::program::Cli<server::Options> =
        ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, server::run)
}
