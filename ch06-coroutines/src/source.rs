//! What the scheduler knows of a descriptor: what it was told, and who waits for it.

use crate::task::Woken;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use crate::scheduler::{Dormant, Handle};

// ANCHOR: source
/// A descriptor that is watched.
pub(crate) struct Source<D> {
    /// What was told, and has not been used up since. Told once, remembered here.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) eof: bool,
    pub(crate) broken: bool,
    /// Who waits to read.
    pub(crate) reader: Reader<D>,
    /// Who waits to write, or [`NOBODY`].
    pub(crate) writer: Token,
    /// Who waits for neither, but would like to know if the connection is over.
    pub(crate) watcher: Token,
    /// What the poller was told.
    pub(crate) interest: Interest,
    /// What to tell it if somebody waits to read.
    pub(crate) to_read: Interest,
}

/// Nobody's token. Smaller than an `Option` of one, and there is one for each connection.
pub(crate) const NOBODY: Token = Token { index: u32::MAX, generation: u32::MAX };

/// Who waits to read.
pub(crate) enum Reader<D> {
    /// Nobody.
    Nobody,
    /// A coroutine, parked.
    Parked(Token),
    /// One that is to begin when there is something to read, and owns no stack until
    /// then.
    Resting(D),
    /// The same, and its time has come: it is in the run queue.
    Called(D),
}
// ANCHOR_END: source

impl<D> Source<D> {
    pub(crate) fn new(to_read: Interest) -> Source<D> {
        Source {
            readable: false,
            writable: true, // most answers find room: try first
            eof: false,
            broken: false,
            reader: Reader::Nobody,
            writer: NOBODY,
            watcher: NOBODY,
            interest: to_read,
            to_read,
        }
    }

    /// Remembers what is told.
    pub(crate) fn note(&mut self, ready: &Ready) {
        self.readable |= ready.readable || ready.eof || ready.broken;
        self.writable |= ready.writable || ready.broken;
        self.eof |= ready.eof || ready.broken;
        self.broken |= ready.broken;
    }

    /// Whether somebody waits for this already: there is room for one.
    pub(crate) fn is_waited_for(&self, until: Until) -> bool {
        match until {
            Until::Readable => !matches!(self.reader, Reader::Nobody),
            Until::Writable => self.writer != NOBODY,
            Until::Over => self.watcher != NOBODY,
        }
    }

    /// A coroutine waits for this.
    pub(crate) fn wait(&mut self, until: Until, who: Token) {
        match until {
            Until::Readable => self.reader = Reader::Parked(who),
            Until::Writable => self.writer = who,
            Until::Over => self.watcher = who,
        }
    }

    /// Nobody does any more.
    pub(crate) fn wait_no_more(&mut self, until: Until) {
        match until {
            Until::Readable => self.reader = Reader::Nobody,
            Until::Writable => self.writer = NOBODY,
            Until::Over => self.watcher = NOBODY,
        }
    }

    /// What somebody waits for.
    pub(crate) fn wanted(&self) -> Interest {
        let read = match self.reader {
            Reader::Nobody => Interest::NONE,
            Reader::Parked(_) | Reader::Resting(_) | Reader::Called(_) => self.to_read,
        };
        let write = if self.writer == NOBODY { Interest::NONE } else { Interest::WRITE };
        read | write
    }
}

/// What to wait for at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// There may be something to read, or to accept, or an end.
    Readable,
    /// There may be room to write.
    Writable,
    /// The connection is over.
    Over,
}

/// A descriptor that the scheduler watches, and that is closed when this is dropped.
pub struct Descriptor<F: AsFd, P: Poller + 'static, D: Dormant> {
    fd: F,
    token: Token,
    handle: Handle<P, D>,
}

impl<F: AsFd, P: Poller + 'static, D: Dormant> Descriptor<F, P, D> {
    /// Has it watched. It must be non-blocking. If the poller has no room for it, it
    /// comes back.
    pub fn new(
        fd: F,
        interest: Interest,
        handle: &Handle<P, D>,
    ) -> Result<Self, (F, io::Error)> {
        match handle.register(fd.as_fd(), interest) {
            Ok(token) => Ok(Descriptor { fd, token, handle: handle.clone() }),
            Err(error) => Err((fd, error)),
        }
    }

    /// The descriptor itself.
    pub fn get(&self) -> &F {
        &self.fd
    }

    /// The same, to read from or write to.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.fd
    }

    /// Whose it is.
    pub fn handle(&self) -> &Handle<P, D> {
        &self.handle
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Whether there may be something to read: nothing has said since that there is not.
    pub fn is_readable(&self) -> bool {
        self.handle.source(self.token, |source| source.readable)
    }

    /// Whether there may be room to write.
    pub fn is_writable(&self) -> bool {
        self.handle.source(self.token, |source| source.writable)
    }

    /// Whether the connection is over, in both directions.
    pub fn is_broken(&self) -> bool {
        self.handle.source(self.token, |source| source.broken)
    }

    /// A read has brought less than was asked for. That was all; unless the end came with
    /// it, which would not be told again.
    pub fn read_short(&self) {
        self.handle.source(self.token, |source| source.readable = source.eof);
    }

    /// A read would have had to wait.
    pub fn read_would_block(&self) {
        self.handle.source(self.token, |source| source.readable = false);
    }

    /// A write would have had to wait.
    pub fn write_would_block(&self) {
        self.handle.source(self.token, |source| source.writable = false);
    }

    // ANCHOR: wait
    /// Parks the coroutine until it may be so, or a deadline passes, or for no reason: who
    /// waits tries first, and tries again when it is woken.
    ///
    /// Between the try that failed and this nothing was told to anybody: the poller is
    /// asked only when no coroutine runs. So no wake-up can be lost here.
    ///
    /// # Errors
    /// The poller's. Another coroutine waits for the same already (`ResourceBusy`): one may
    /// read while one writes, but only one of each is woken. The scheduler has ended.
    pub fn wait(&self, until: Until, due: Option<Instant>) -> io::Result<Woken> {
        self.handle.subscribe(self.fd.as_fd(), self.token, until)?;
        let woken = self.handle.park(due);
        self.handle.unsubscribe(self.token, until);
        Ok(woken)
    }
    // ANCHOR_END: wait
}

impl<F: AsFd, P: Poller + 'static, D: Dormant> Drop for Descriptor<F, P, D> {
    fn drop(&mut self) {
        self.handle.deregister(self.fd.as_fd(), self.token);
    }
}
