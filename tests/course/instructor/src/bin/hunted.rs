//! The server with the instructor's mutants: without a mutant's name it makes no mistake.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(instructor::MUTANTS)
}
