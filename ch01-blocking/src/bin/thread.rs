//! `thread`: a thread for each client.

use ch01_blocking::{program, thread};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli = program::options();
    program::start(&cli.options, thread::run)
}
