//! The server `async`: chapter 1's code with `.await` at each wait, compiled to a state
//! machine like chapter 3's.

use ch01_blocking::program::{self, Cli};
use ch06_coroutines::async_server::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: Cli<Options> = program::options();
    program::start(&cli.options, run)
}
