//! `prefork`: a fixed number of processes, created when the server starts.

use ch01_blocking::program;
use ch02_threadpool::prefork;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli<prefork::Options> = program::options();
    program::start(&cli.options, prefork::run)
}
