//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::CASES_AT_ONCE;
use client_suite::small::SmallServer;
use std::process::ExitCode;

fn main() -> ExitCode {
    let small_spin = SmallServer {
        at_once: 8,
        ..SmallServer::new("small-spin", "spin", env!("CARGO_BIN_EXE_small-spin"))
    };
    client_suite::main_for(
        "ch03",
        CASES_AT_ONCE,
        &[("spin", env!("CARGO_BIN_EXE_spin")), ("sigio", env!("CARGO_BIN_EXE_sigio"))],
        &[small_spin],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
