//! The command `course`, with the instructor's cases.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::cases::add(
        instructor::FAMILY,
        &[instructor::CASES],
        instructor::SECTION,
    );
    course::cli::main()
}
