//! A server for the judge to be judged by.
//!
//! Without `--mutation` it keeps the whole contract, in the plainest way: one
//! thread a client (or, with `--threads` or `--processes`, so many workers), blocking I/O,
//! a parser of its own. With `--mutation NAME` it
//! is wrong in exactly one plausible way, at the line where a programmer would
//! have gone wrong (search for `wrong(`). The suite must pass the first and catch
//! each of the others. It shares no code with the chapters, so that a mistake of
//! theirs cannot hide here.

mod answer;
mod conditions;
mod connection;
mod content;
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
mod refuse;
mod server;
mod site;
mod switch;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use mutations::{MUTATIONS, Mutation};
use options::{Options, Start};

fn main() -> ExitCode {
    match Options::from_args(std::env::args().skip(1)) {
        Ok(Start::List) => {
            let mut out = std::io::stdout().lock();
            for mutant in MUTATIONS {
                if writeln!(out, "{:<32} {}", mutant.name, mutant.wrong).is_err() {
                    break; // nobody reads any more
                }
            }
            ExitCode::SUCCESS
        }
        Ok(Start::Serve(options)) => match listener::run(*options) {
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
