//! Runs the client suite on this chapter's servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch01",
        &[
            ("iterative", env!("CARGO_BIN_EXE_iterative")),
            ("fork", env!("CARGO_BIN_EXE_fork")),
            ("thread", env!("CARGO_BIN_EXE_thread")),
        ],
    )
}
