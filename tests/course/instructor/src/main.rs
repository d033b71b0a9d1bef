//! The command `course` with the cases of an instructor's private crate added.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::cases::add(
        instructor::FAMILY,
        &[instructor::CASES],
        instructor::SECTION,
    );
    course::cli::main()
}
