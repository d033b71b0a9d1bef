//! `sigio`: be told, by signals.
//!
//! A descriptor can be set to send a signal whenever something happens to it. A
//! real-time signal is queued, each by itself, and carries the descriptor and what
//! happened (TLPI 63.3). So the loop sleeps until the next signal, and asks nobody.
//!
//! What makes it hard to live with:
//! - One signal, and one system call to take it, for everything that happens: thousands
//!   of them when thousands of clients speak.
//! - The queue has an end (RLIMIT_SIGPENDING). When it is full, what happens next is
//!   told by a plain SIGIO, which says nothing about whom: then everybody is asked.
//! - It tells what *happens*, never what *is*: what happened before the descriptor was
//!   set up is never told.
//! - A signal may be about a descriptor that was closed, and given to somebody else,
//!   since it was queued. Even "broken" is only a hint here.

use crate::event_loop;
use crate::poller::{Interest, Poller, Ready, Token};
use crate::sys::{self, Signals, Told};
use crate::watched::Watched;
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Listener, Options, Site, Stop};
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// So many signals are taken before those whom they are about have their turn.
const AT_ONCE: usize = 512;

// ANCHOR: sigio
/// A mechanism that is told by real-time signals.
#[derive(Debug)]
pub struct Sigio {
    watched: Watched,
    /// What nobody will tell: it may have been there before the signals were set up.
    unasked: Vec<Ready>,
    signal: libc::c_int,
    signals: Signals,
    /// The signals are this thread's.
    this_thread: PhantomData<*const ()>,
}

impl Sigio {
    /// Blocks the signals that it takes, in this thread and for good.
    /// An error is that of
    /// pthread_sigmask(3).
    pub fn new() -> io::Result<Sigio> {
        let signal = libc::SIGRTMIN() + 1;
        Ok(Sigio {
            watched: Watched::default(),
            unasked: Vec::new(),
            signal,
            signals: Signals::block(&[signal, libc::SIGIO])?,
            this_thread: PhantomData,
        })
    }

    fn told(&self, told: Told, ready: &mut Vec<Ready>) {
        if told.signal == libc::SIGIO {
            trace::set_connection(0);
            trace!("overflow", "the queue of signals was full: everybody is asked");
            return ready.extend(self.watched.all());
        }
        // Whoever has this descriptor now. Perhaps it is the signal of somebody who had
        // it before. A hint in vain does no harm; but that it is broken is no hint.
        if let Some((token, _)) = self.watched.get(told.fd) {
            let any = |bits| told.band & bits != 0;
            ready.push(Ready {
                token,
                readable: any(POLLIN),
                writable: any(POLLOUT),
                eof: any(POLLIN), // the end of file is told like any other arrival
                broken: any(POLLERR | POLLHUP) && sys::is_broken(told.fd),
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
        sys::tell_by_signal(fd, self.signal)?;
        self.unasked.push(Ready::maybe(token, interest));
        // Signals come for everything, once and whatever the interest; so when the queue
        // is full everything may have been told in vain.
        self.watched.set(fd, token, Interest::READ | Interest::WRITE);
        Ok(())
    }

    fn reregister(&mut self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
        Ok(()) // it is told everything already
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        self.watched.remove(fd);
        sys::tell_no_more(fd)
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let mut within =
            if self.unasked.is_empty() { timeout } else { Some(Duration::ZERO) };
        ready.append(&mut self.unasked);
        for _ in 0..AT_ONCE {
            match self.signals.take(within)? {
                Some(told) => self.told(told, ready),
                None => break,
            }
            within = Some(Duration::ZERO); // the others, if they are there already
        }
        Ok(())
    }
}
// ANCHOR_END: sigio

/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Sigio::new()?, listener, site, options, stop)
}
