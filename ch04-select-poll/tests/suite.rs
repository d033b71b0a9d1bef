//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::small::SmallServer;
use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch04",
        &[("select", env!("CARGO_BIN_EXE_select")), ("poll", env!("CARGO_BIN_EXE_poll"))],
        &[SmallServer::new("small-poll", "poll", env!("CARGO_BIN_EXE_small-poll"))],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
