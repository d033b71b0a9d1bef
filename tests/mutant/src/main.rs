//! The mutants' server with the public mistakes.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(&[])
}
