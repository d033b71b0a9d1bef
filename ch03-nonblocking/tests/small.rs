//! Judges this chapter's small server by its list of cases.

use client_suite::small::{NOT_OFFERED, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_for(
        "ch03",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        8, // each of these servers keeps a processor busy
        &[SmallServer {
            name: "small-spin",
            like: "spin",
            binary: env!("CARGO_BIN_EXE_small-spin"),
            lacks: NOT_OFFERED,
        }],
    )
}
