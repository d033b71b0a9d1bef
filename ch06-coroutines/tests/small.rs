//! Judges this chapter's small servers by their lists of cases.

use client_suite::small::{AT_ONCE, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    if cfg!(not(target_os = "linux")) {
        return ExitCode::SUCCESS; // only Linux has epoll
    }
    main_for(
        "ch06",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[
            SmallServer::new(
                "small-coroutine",
                "coroutine",
                env!("CARGO_BIN_EXE_small-coroutine"),
            ),
            SmallServer::new("small-async", "async", env!("CARGO_BIN_EXE_small-async")),
        ],
    )
}
