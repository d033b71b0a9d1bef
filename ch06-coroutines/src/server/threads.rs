//! A server on several threads, with a listener and a poller for each.

use ch01_blocking::{Listener, Stop};
use ch03_nonblocking::poller::Poller;
#[cfg(target_os = "linux")]
use ch05_epoll::epoll;
pub(super) use ch05_epoll::run_threads::log_failure;
use ch05_epoll::run_threads::{cores, run_threads};
use std::io;

/// Runs `serve` on `threads` threads, by default one for each core, until `stop` is requested. On
/// each thread, `serve` creates everything that it needs before it calls [`Listener::ready`]. Only
/// the last of these calls reports that the server is ready, and a thread that fails stops the
/// others. So the server starts either with all its threads or not at all.
///
/// # Errors
///
/// The first error of `serve`; or no descriptors or threads are left.
pub(super) fn run_on_threads(
    listener: Listener,
    threads: Option<u16>,
    stop: &Stop,
    serve: impl Fn(Listener) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let threads = threads.map_or_else(cores, usize::from);
    let mut listeners = vec![listener];
    while listeners.len() < threads {
        listeners.push(listeners[0].sibling()?);
    }
    match listeners.pop() {
        Some(only) if listeners.is_empty() => serve(only), // on this thread
        last => run_threads(listeners.into_iter().chain(last).collect(), stop, serve),
    }
}

/// Returns the best poller of this system: edge-triggered epoll, else kqueue, else poll(2), which
/// every system has.
pub(super) fn default_poller() -> io::Result<Box<dyn Poller>> {
    #[cfg(target_os = "linux")]
    return Ok(Box::new(epoll::Epoll::new(epoll::Trigger::Edge)?));
    #[cfg(any(
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    return Ok(Box::new(ch05_epoll::kqueue::Kqueue::new()?));
    #[allow(unreachable_code)] // reached on other systems only
    Ok(Box::new(ch04_select_poll::poll::Poll::default()))
}
