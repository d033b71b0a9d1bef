//! The mutants' server with the mutants of an instructor's private crate. If it is started without
//! a mutant's name, it makes no mistake.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(instructor::MUTANTS)
}
