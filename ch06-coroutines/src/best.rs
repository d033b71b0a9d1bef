//! The best way to wait that this system has.

use std::io;

/// epoll.
#[cfg(target_os = "linux")]
pub(crate) type Best = ch05_epoll::epoll::Epoll;

/// Told of edges: each descriptor is registered once and for all.
#[cfg(target_os = "linux")]
pub(crate) fn poller() -> io::Result<Best> {
    ch05_epoll::epoll::Epoll::new(ch05_epoll::epoll::Trigger::Edge)
}

/// kqueue, on macOS and the BSDs.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub(crate) type Best = ch05_epoll::kqueue::Kqueue;

/// As it comes.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub(crate) fn poller() -> io::Result<Best> {
    Best::new()
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
pub(crate) type Best = ch04_select_poll::poll::Poll;

/// As it comes.
#[cfg(not(any(
    target_os = "linux",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
pub(crate) fn poller() -> io::Result<Best> {
    Ok(Best::default())
}
