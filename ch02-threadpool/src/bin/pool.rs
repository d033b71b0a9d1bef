//! `pool`: a fixed number of threads, created when the server starts.

use ch01_blocking::program;
use ch02_threadpool::pool;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: program::Cli<pool::Options> = program::options();
    program::start(&cli.options, pool::run)
}
