//! Runs the client suite on this chapter's small servers, and compares the results with the lists
//! of cases that the servers pass and fail.

use client_suite::small::{AT_ONCE, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    if cfg!(not(target_os = "linux")) {
        return ExitCode::SUCCESS; // only Linux has epoll
    }
    main_for(
        "ch05",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[
            SmallServer::new("small-epoll", "epoll", env!("CARGO_BIN_EXE_small-epoll")),
            SmallServer::new(
                "small-epoll-et",
                "epoll-et",
                env!("CARGO_BIN_EXE_small-epoll-et"),
            ),
        ],
    )
}
