//! `kqueue`: one thread; the kernel keeps the interest list, on macOS and the BSDs.

use std::process::ExitCode;

#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
fn main() -> ExitCode {
    let cli: ch01_blocking::program::Cli = ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, ch05_epoll::kqueue::run)
}

#[cfg(not(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
fn main() -> ExitCode {
    ch01_blocking::program::missing("kqueue", "macOS and the BSDs")
}
