//! Judges this chapter's small server by its list of cases.

use client_suite::small::{AT_ONCE, NOT_OFFERED, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_for(
        "ch02",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[SmallServer {
            name: "small-pool",
            like: "pool",
            binary: env!("CARGO_BIN_EXE_small-pool"),
            lacks: NOT_OFFERED,
        }],
    )
}
