//! Judges this chapter's small servers by their lists of cases, `tests/small/*.txt`.

use client_suite::case::Need;
use client_suite::small::{AT_ONCE, SmallServer, main_for};
use std::process::ExitCode;

fn main() -> ExitCode {
    let server = SmallServer::new;
    let hello = SmallServer {
        lacks: &[
            Need::Files,
            Need::Stats,
            Need::Panic,
            Need::Echo,
            Need::Sleep,
            Need::Bytes,
        ],
        ..server("small-hello", "iterative", env!("CARGO_BIN_EXE_small-hello"))
    };
    main_for(
        "ch01",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
        AT_ONCE,
        &[
            hello,
            server("small-iterative", "iterative", env!("CARGO_BIN_EXE_small-iterative")),
            server("small-thread", "thread", env!("CARGO_BIN_EXE_small-thread")),
            server("small-fork", "fork", env!("CARGO_BIN_EXE_small-fork")),
        ],
    )
}
