//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::small::SmallServer;
use std::process::ExitCode;

/// The number of cases that run at the same time. It is lower than in the other chapters, because
/// each `small-spin` keeps a processor busy, even while its case waits.
const AT_ONCE: usize = 32;

fn main() -> ExitCode {
    let small_spin = SmallServer {
        at_once: 8,
        ..SmallServer::new("small-spin", "spin", env!("CARGO_BIN_EXE_small-spin"))
    };
    client_suite::main_for(
        "ch03",
        AT_ONCE,
        &[("spin", env!("CARGO_BIN_EXE_spin")), ("sigio", env!("CARGO_BIN_EXE_sigio"))],
        &[small_spin],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
