//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::small::SmallServer;
use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch03",
        &[("spin", env!("CARGO_BIN_EXE_spin")), ("sigio", env!("CARGO_BIN_EXE_sigio"))],
        &[SmallServer::new("small-spin", "spin", env!("CARGO_BIN_EXE_small-spin"))],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
