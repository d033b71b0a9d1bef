//! Hands this chapter's servers to the client suite.

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
