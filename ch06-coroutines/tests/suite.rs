//! Runs the client suite on this chapter's servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch06",
        &[
            ("coroutine --threads 1", env!("CARGO_BIN_EXE_coroutine")),
            ("coroutine --threads 2", env!("CARGO_BIN_EXE_coroutine")),
            ("async --threads 1", env!("CARGO_BIN_EXE_async")),
            ("async --threads 2", env!("CARGO_BIN_EXE_async")),
        ],
    )
}
