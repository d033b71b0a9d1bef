//! Runs the client suite on this chapter's finished servers, and on its small ones, whose cases are
//! listed in `tests/small/`.

use client_suite::small::SmallServer;
use std::process::ExitCode;

fn main() -> ExitCode {
    client_suite::main_for(
        "ch05",
        &[
            ("epoll", env!("CARGO_BIN_EXE_epoll")),
            ("epoll-et", env!("CARGO_BIN_EXE_epoll-et")),
            ("kqueue", env!("CARGO_BIN_EXE_kqueue")),
            ("reactors --threads 2", env!("CARGO_BIN_EXE_reactors")),
            (
                "reactors --processes 2 --threads 1 --listeners one",
                env!("CARGO_BIN_EXE_reactors"),
            ),
        ],
        &[
            SmallServer::new("small-epoll", "epoll", env!("CARGO_BIN_EXE_small-epoll")),
            SmallServer::new(
                "small-epoll-et",
                "epoll-et",
                env!("CARGO_BIN_EXE_small-epoll-et"),
            ),
        ],
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small"),
    )
}
