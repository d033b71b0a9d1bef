//! A server on several threads: a listener and a poller for each.

use crate::runtime::Inbox;
use ch01_blocking::server::log;
use ch01_blocking::{Listener, Stop};
use ch03_nonblocking::poller::Poller;
use ch05_epoll::run_threads::run_threads;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::available_parallelism;

/// What one thread of a server begins with.
pub(super) struct Share {
    pub(super) poller: Box<dyn Poller + Send>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) listener: Listener,
    /// Readable when the server is to stop.
    pub(super) stop: OwnedFd,
    /// Set when the thread serves: a failure before that is one of the start.
    pub(super) serves: Arc<AtomicBool>,
}

impl Share {
    /// # Errors
    ///
    /// There are no descriptors left.
    pub(super) fn new(
        poller: Box<dyn Poller + Send>,
        listener: Listener,
        stop: &Stop,
    ) -> io::Result<Share> {
        let stop = stop.as_fd().try_clone_to_owned()?;
        let inbox = Arc::new(Inbox::new()?);
        Ok(Share { poller, inbox, listener, stop, serves: Arc::default() })
    }
}

/// Serves on `threads` threads, or one for each core, until `stop`. All shares are made
/// here, so that a failure is one of the start.
///
/// # Errors
///
/// The first one of `serve`; there are no descriptors or no threads left.
pub(super) fn run_on_threads(
    listener: Listener,
    threads: Option<u16>,
    stop: &Stop,
    serve: impl Fn(Share) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let cores = || available_parallelism().map_or(1, usize::from);
    let threads = threads.map_or_else(cores, usize::from);
    let mut shares = Vec::new();
    for listener in split_listener(listener, threads)? {
        shares.push(Share::new(default_poller()?, listener, stop)?);
    }
    let serve = |share: Share| {
        let serves = share.serves.clone();
        let served = serve(share);
        if let Err(error) = &served
            && serves.load(Relaxed)
        {
            // At once: the other threads may take the whole drain timeout to end.
            log::line(&format!("a thread of {threads} has failed, all stop: {error}"));
        }
        served
    };
    match shares.pop() {
        Some(share) if shares.is_empty() => serve(share), // on this thread
        last => run_threads(shares.into_iter().chain(last).collect(), stop, serve),
    }
}

/// A listener for each thread.
fn split_listener(listener: Listener, threads: usize) -> io::Result<Vec<Listener>> {
    #[cfg(target_os = "linux")]
    return ch05_epoll::reactors::split_listener(
        listener,
        ch05_epoll::reactors::Listeners::Each,
        threads,
    );
    #[cfg(not(target_os = "linux"))]
    {
        let mut all = vec![listener];
        while all.len() < threads {
            all.push(all[0].shared()?);
        }
        Ok(all)
    }
}

/// The best poller of this system: epoll, with edges; kqueue; or poll, which is everywhere.
fn default_poller() -> io::Result<Box<dyn Poller + Send>> {
    #[cfg(target_os = "linux")]
    use ch05_epoll::epoll::{Epoll, Trigger};
    #[cfg(target_os = "linux")]
    return Ok(Box::new(Epoll::new(Trigger::Edge)?));
    #[cfg(any(
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    return Ok(Box::new(ch05_epoll::kqueue::Kqueue::new()?));
    #[allow(unreachable_code)] // but for other systems
    Ok(Box::new(ch04_select_poll::poll::Poll::default()))
}
