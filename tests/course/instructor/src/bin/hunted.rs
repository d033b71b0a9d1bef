//! The server that makes the mistake of a chosen mutant, with the mutants of an instructor's
//! private crate. Started without a mutant's name, the server makes no mistake.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(instructor::MUTANTS)
}
