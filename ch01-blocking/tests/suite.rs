//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::case::Need;
use client_suite::small::SmallServer;
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
    client_suite::main_for(
        "ch01",
        &[
            ("iterative", env!("CARGO_BIN_EXE_iterative")),
            ("fork", env!("CARGO_BIN_EXE_fork")),
            ("thread", env!("CARGO_BIN_EXE_thread")),
        ],
        &[
            hello,
            server("small-iterative", "iterative", env!("CARGO_BIN_EXE_small-iterative")),
            server("small-thread", "thread", env!("CARGO_BIN_EXE_small-thread")),
            server("small-fork", "fork", env!("CARGO_BIN_EXE_small-fork")),
        ],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
