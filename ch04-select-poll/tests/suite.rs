//! Hands this chapter's servers to the client suite.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch04",
        &[("select", env!("CARGO_BIN_EXE_select")), ("poll", env!("CARGO_BIN_EXE_poll"))],
    )
}
