//! `reactors`: one event loop per core.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use ch05_epoll::reactors;
    let cli: ch01_blocking::program::Cli<reactors::Options> =
        ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, reactors::run)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ch01_blocking::program::missing("epoll", "Linux")
}
