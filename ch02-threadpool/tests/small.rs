//! Judges this chapter's small server by its list of cases, `tests/small/*.txt`.

use client_suite::small::{AT_ONCE, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_for(
        "ch02",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[SmallServer::new("small-pool", "pool", env!("CARGO_BIN_EXE_small-pool"))],
    )
}
