//! The poller `sigio`, and its server: the kernel sends a signal for each event.
//!
//! A descriptor can be set up to send a signal whenever something happens to it. A
//! real-time signal is queued, one entry for each event, and names the descriptor and
//! the event (TLPI 63.3). So the loop sleeps until the next signal, and usually tries
//! only the descriptor that the signal names.
//!
//! What makes the mechanism hard to use:
//! - Each event costs one signal, and one system call to take the signal from the
//!   queue: thousands of calls when thousands of clients send something.
//! - The queue is bounded (RLIMIT_SIGPENDING). When it is full, the kernel sends a
//!   plain SIGIO, which names no descriptor: then every descriptor must be tried.
//! - The kernel reports *changes*, never the *state*: a change before the descriptor
//!   was set up is never reported.
//! - A signal may name a descriptor that has been closed, and reused for another
//!   connection, since the signal was queued. So even an error or a hang-up is only a
//!   hint here.

use crate::event_loop;
use crate::fd_table::FdTable;
use crate::poller::{Interest, Poller, Ready, Token};
use crate::sys::{self, SignalEvent, Signals};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Listener, Options, Site, Stop};
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Maximum number of signals taken in one [`wait`](Poller::wait); further signals stay
/// in the queue until the next call.
const MAX_EVENTS: usize = 512;

// ANCHOR: sigio
/// A poller that is notified by real-time signals.
#[derive(Debug)]
pub struct Sigio {
    table: FdTable,
    /// Possible readiness that no signal will report, because the descriptor may have
    /// become ready before its signals were set up.
    unreported: Vec<Ready>,
    signal: libc::c_int,
    signals: Signals,
    /// Makes the type `!Send`: the signals are directed to the thread that made the
    /// poller.
    this_thread: PhantomData<*const ()>,
}

impl Sigio {
    /// Returns a poller for the calling thread, in which it blocks the poller's two
    /// signals (SIGIO and a real-time signal) for good.
    ///
    /// # Errors
    ///
    /// The errors of pthread_sigmask(3).
    pub fn new() -> io::Result<Sigio> {
        let signal = libc::SIGRTMIN() + 1;
        Ok(Sigio {
            table: FdTable::default(),
            unreported: Vec::new(),
            signal,
            signals: Signals::block(&[signal, libc::SIGIO])?,
            this_thread: PhantomData,
        })
    }

    /// Appends to `ready` the event that a signal reports, or an event for every
    /// descriptor if the signal reports an overflow of the signal queue.
    fn push_event(&self, event: SignalEvent, ready: &mut Vec<Ready>) {
        if event.signal == libc::SIGIO {
            trace::set_connection(0);
            trace!("overflow", "the signal queue was full: every descriptor is tried");
            return ready.extend(self.table.maybe_ready());
        }
        // The token is that of the connection which has this descriptor now; the signal
        // may be about an earlier connection. A spurious hint does no harm, but
        // `broken` closes the connection, so poll(2) confirms it first.
        if let Some((token, _)) = self.table.get(event.fd) {
            let any = |bits| event.band & bits != 0;
            ready.push(Ready {
                token,
                readable: any(POLLIN),
                writable: any(POLLOUT),
                eof: any(POLLIN), // an end of file is reported like any other arrival
                broken: any(POLLERR | POLLHUP) && sys::is_broken(event.fd),
            });
        }
    }
}

impl Poller for Sigio {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        sys::enable_signal(fd, self.signal)?;
        self.unreported.push(Ready::maybe(token, interest));
        // After an overflow of the signal queue, the poller reports each descriptor
        // with its interest in the table. That is always both kinds of readiness:
        // signals report both, whatever `interest` is, so a signal of either kind may
        // be lost.
        self.table.set(fd, token, Interest::READ | Interest::WRITE);
        Ok(())
    }

    fn reregister(
        &mut self,
        _fd: BorrowedFd<'_>,
        _token: Token,
        _interest: Interest,
    ) -> io::Result<()> {
        Ok(()) // signals arrive for everything, whatever the interest
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        self.table.remove(fd);
        sys::disable_signal(fd)
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let mut within =
            if self.unreported.is_empty() { timeout } else { Some(Duration::ZERO) };
        ready.append(&mut self.unreported);
        for _ in 0..MAX_EVENTS {
            match self.signals.take(within)? {
                Some(event) => self.push_event(event, ready),
                None => break,
            }
            // All signals after the first are taken only if they are queued already.
            within = Some(Duration::ZERO);
        }
        Ok(())
    }
}
// ANCHOR_END: sigio

/// Serves until `stop` is requested and the connections are drained.
///
/// # Errors
///
/// The errors of [`Sigio::new`] and of [`event_loop::run`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Sigio::new()?, listener, site, options, stop)
}
