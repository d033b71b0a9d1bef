//! The server with the instructor's mutants: without anything it is honest.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(instructor::MUTANTS)
}
