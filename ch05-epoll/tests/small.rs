//! Judges this chapter's small servers by their lists of cases.

use client_suite::small::{AT_ONCE, NOT_OFFERED, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    if cfg!(not(target_os = "linux")) {
        return ExitCode::SUCCESS; // only Linux has epoll
    }
    let server =
        |name, like, binary| SmallServer { name, like, binary, lacks: NOT_OFFERED };
    main_for(
        "ch05",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[
            server("small-epoll", "epoll", env!("CARGO_BIN_EXE_small-epoll")),
            server("small-epoll-et", "epoll-et", env!("CARGO_BIN_EXE_small-epoll-et")),
        ],
    )
}
