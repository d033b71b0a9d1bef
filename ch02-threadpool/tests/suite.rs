//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::small::SmallServer;
use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch02",
        &[
            ("pool", env!("CARGO_BIN_EXE_pool")),
            ("prefork", env!("CARGO_BIN_EXE_prefork")),
        ],
        &[SmallServer::new("small-pool", "pool", env!("CARGO_BIN_EXE_small-pool"))],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
