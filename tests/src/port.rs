//! A port for a server that cannot choose one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::verdict::{Step, Stop};

/// A port that nobody has. Not one that the kernel chooses: it may give the
/// same to the next who asks, before the server has taken it. Each process of
/// the suite walks through the ports below the kernel's range from a place of its own.
pub fn free_port() -> Step<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 131;
        let port = (FIRST + step % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Stop::skip("no free port"))
}
