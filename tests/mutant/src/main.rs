//! The program `mutant`: the server that can make each mistake of the public table, but no mistake
//! that another package defines.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(&[])
}
