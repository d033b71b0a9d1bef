//! The best way to wait that this system has.

use ch03_nonblocking::poller::Poller;
use std::io;

/// epoll, told of edges: each descriptor is registered once and for all.
#[cfg(target_os = "linux")]
pub(crate) fn poller() -> io::Result<impl Poller + 'static> {
    use ch05_epoll::epoll::{Epoll, Trigger};
    Epoll::new(Trigger::Edge)
}

/// kqueue, on macOS and the BSDs.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub(crate) fn poller() -> io::Result<impl Poller + 'static> {
    ch05_epoll::kqueue::Kqueue::new()
}

/// poll, which is everywhere.
#[cfg(not(any(
    target_os = "linux",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
pub(crate) fn poller() -> io::Result<impl Poller + 'static> {
    Ok(ch04_select_poll::poll::Poll::default())
}
