//! Runs the client suite on this chapter's small server, and compares the results with the list of
//! cases that the server passes and fails.

use client_suite::small::{SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_for(
        "ch03",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        8, // each of these servers keeps a processor busy
        &[SmallServer::new("small-spin", "spin", env!("CARGO_BIN_EXE_small-spin"))],
    )
}
