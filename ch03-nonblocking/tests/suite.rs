//! Runs the client suite on this chapter's servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch03",
        &[("spin", env!("CARGO_BIN_EXE_spin")), ("sigio", env!("CARGO_BIN_EXE_sigio"))],
    )
}
