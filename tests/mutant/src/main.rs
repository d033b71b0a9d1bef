//! The program `mutant`: the server with the mistakes of the public table, and with none defined
//! elsewhere.

use std::process::ExitCode;

fn main() -> ExitCode {
    mutant::run(&[])
}
