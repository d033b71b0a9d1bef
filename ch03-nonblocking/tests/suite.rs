//! Hands this chapter's servers to the client suite.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch03",
        &[("spin", env!("CARGO_BIN_EXE_spin")), ("sigio", env!("CARGO_BIN_EXE_sigio"))],
    )
}
