//! `sigio`: one thread, notified of ready descriptors by signals.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let cli: ch01_blocking::program::Cli = ch01_blocking::program::options();
    ch01_blocking::program::start(&cli.options, ch03_nonblocking::sigio::run)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ch01_blocking::program::missing("signal-driven I/O", "Linux")
}
