//! `thread`: a thread for each client.

use ch01_blocking::{program, thread};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = program::Cli::parse();
    program::start(&cli.options, thread::run)
}
