//! Runs the client suite on this chapter's servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch02",
        &[
            ("pool", env!("CARGO_BIN_EXE_pool")),
            ("prefork", env!("CARGO_BIN_EXE_prefork")),
        ],
    )
}
