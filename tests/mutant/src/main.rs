//! A small HTTP server that breaks the contract on purpose, to test the client suite.
//!
//! Without `--mutation` the server keeps the whole contract in the plainest way: blocking I/O,
//! one thread per client (or a fixed number of workers with `--threads` or `--processes`), and
//! its own parser. With `--mutation NAME` the server makes exactly one plausible mistake, at the
//! line where a programmer would have made it (search for `wrong(`).
//!
//! The suite must pass the correct server and catch every mutant (`tests/mutants.rs`). This server
//! shares no code with the chapters, so that a mistake in a chapter cannot be repeated here.

mod answer;
mod conditions;
mod connection;
mod content;
mod date;
mod error;
#[cfg(target_os = "linux")]
mod events;
mod fields;
mod files;
mod framing;
mod head;
mod listener;
mod mutations;
mod options;
mod pool;
mod prefork;
mod ranges;
mod server;
mod site;
mod switch;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use mutations::{MUTATIONS, Mutation};
use options::{Command, Options};

fn main() -> ExitCode {
    match Options::from_args(std::env::args().skip(1)) {
        Ok(Command::ListMutations) => {
            let mut out = std::io::stdout().lock();
            for mutant in MUTATIONS {
                if writeln!(out, "{:<32} {}", mutant.name, mutant.wrong).is_err() {
                    break; // the reader closed standard output
                }
            }
            ExitCode::SUCCESS
        }
        Ok(Command::Serve(options)) => match listener::run(*options) {
            Ok(status) => ExitCode::from(status),
            Err(why) => failed(&why),
        },
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("mutant: {why}");
    if switch::wrong(Mutation::FailsWithSuccess) {
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
