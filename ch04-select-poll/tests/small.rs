//! Runs the client suite on this chapter's small server, and compares the results with the list of
//! cases that the server passes and fails.

use client_suite::small::{AT_ONCE, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_for(
        "ch04",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[SmallServer::new("small-poll", "poll", env!("CARGO_BIN_EXE_small-poll"))],
    )
}
