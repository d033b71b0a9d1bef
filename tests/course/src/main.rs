//! The command `course`: see [`course::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    course::cli::main()
}
