//! `epoll`: one thread; the kernel keeps the interest list.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let cli: ch01_blocking::program::Cli = ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, ch05_epoll::epoll::run)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ch01_blocking::program::missing("epoll", "Linux")
}
