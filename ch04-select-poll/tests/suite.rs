//! Runs the client suite on this chapter's servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch04",
        &[("select", env!("CARGO_BIN_EXE_select")), ("poll", env!("CARGO_BIN_EXE_poll"))],
    )
}
