//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::small::SmallServer;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The small servers wait by epoll, which only Linux has.
    let small: &[SmallServer] = if cfg!(target_os = "linux") {
        &[
            SmallServer::new(
                "small-coroutine",
                "coroutine",
                env!("CARGO_BIN_EXE_small-coroutine"),
            ),
            SmallServer::new("small-async", "async", env!("CARGO_BIN_EXE_small-async")),
        ]
    } else {
        &[]
    };
    client_suite::main_for(
        "ch06",
        &[
            ("coroutine --threads 1", env!("CARGO_BIN_EXE_coroutine")),
            ("coroutine --threads 2", env!("CARGO_BIN_EXE_coroutine")),
            ("async --threads 1", env!("CARGO_BIN_EXE_async")),
            ("async --threads 2", env!("CARGO_BIN_EXE_async")),
        ],
        small,
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
