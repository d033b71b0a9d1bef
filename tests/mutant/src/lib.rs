//! A small HTTP server that breaks the contract on purpose, to test the client suite.
//!
//! Without `--mutation` the server keeps the whole contract in the plainest way: blocking I/O, one
//! thread per client (or a fixed number of workers with `--threads` or `--processes`), and its own
//! parser. With `--mutation NAME` the server makes exactly one plausible mistake, at the line where
//! a programmer would have made it (search for `wrong(`).
//!
//! Some exercises of the course, the projects, extend a server. With the projects' options
//! (`--max-threads`, `--max-age`, `--file-threads`) this server keeps their contracts as well,
//! which proves that each project can be done. A program of another package adds its own mistakes
//! with [`run`], for a hunt, in which students search for a mistake (`private.rs`).
//!
//! The suite must pass the correct server and catch every mutant (`tests/mutants.rs`). This server
//! shares no code with the chapters, so that a mistake in a chapter cannot be repeated here.

mod answer;
mod cache;
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
mod private;
mod ranges;
mod server;
mod site;
mod switch;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use mutations::{MUTATIONS, Mutant, Mutation};
use options::{Command, Options};

pub use private::{Answer, PrivateMutant, Request};

/// Runs the server for a hunt, in which students search for its mistake: the server makes one of
/// the `private` mistakes on demand, or, if there are none, one of the mistakes in the public
/// table.
pub fn run(private: &'static [PrivateMutant]) -> ExitCode {
    private::set(private);
    match Options::from_args(std::env::args().skip(1)) {
        Ok(Command::ListMutations) => {
            list(MUTATIONS.iter().map(|mutant| (mutant.name, mutant.wrong)))
        }
        Ok(Command::ListHunted) if private.is_empty() => {
            let hunted = MUTATIONS.iter().filter(|mutant| shows_in_messages(mutant));
            list(hunted.map(|mutant| (mutant.name, mutant.wrong)))
        }
        Ok(Command::ListHunted) => {
            list(private.iter().map(|mutant| (mutant.name, mutant.wrong)))
        }
        Ok(Command::Serve(options)) => match listener::run(*options) {
            Ok(status) => ExitCode::from(status),
            Err(why) => failed(&why),
        },
        Err(why) => failed(&why),
    }
}

fn list(mutants: impl Iterator<Item = (&'static str, &'static str)>) -> ExitCode {
    let mut out = std::io::stdout().lock();
    for (name, wrong) in mutants {
        if writeln!(out, "{name:<32} {wrong}").is_err() {
            break; // for example EPIPE: the pipe no longer has a reader
        }
    }
    ExitCode::SUCCESS
}

/// Returns whether a client of the threaded server can find the mistake from the requests and
/// responses alone. A hunt may assign such a mistake, because a student can find it without access
/// to the server's process, and without starting the server with other options.
fn shows_in_messages(mutant: &Mutant) -> bool {
    const FAMILIES: [&str; 10] = [
        "request_line",
        "headers",
        "framing",
        "chunks",
        "bodies",
        "connection",
        "pipelining",
        "conditional",
        "ranges",
        "routes",
    ];
    let family = mutant.caught_by.split("::").next().unwrap_or_default();
    FAMILIES.contains(&family) && !mutant.name.starts_with("events-")
}

fn failed(why: &str) -> ExitCode {
    eprintln!("mutant: {why}");
    if switch::wrong(Mutation::FailsWithSuccess) {
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
