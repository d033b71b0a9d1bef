//! `async`: chapter 1's code with marks, of which the compiler makes chapter 3's.

use ch06_coroutines::async_server;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: ch01_blocking::program::Cli<async_server::Options> =
        ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, async_server::run)
}
