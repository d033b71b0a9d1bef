//! `epoll-et`: the server `epoll`, with edge-triggered notification.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let cli: ch01_blocking::program::Cli = ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, ch05_epoll::epoll::run_edge_triggered)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ch01_blocking::program::missing("epoll", "Linux")
}
