//! `lost-wakeup`: an edge-triggered server that loses wake-ups on purpose.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use ch05_epoll::lost_wakeup;
    let cli: ch01_blocking::program::Cli<lost_wakeup::Options> =
        ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, lost_wakeup::run)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ch01_blocking::program::missing("epoll", "Linux")
}
