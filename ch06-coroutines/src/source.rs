//! What a reactor knows of a descriptor: what it was told, and who waits for it.

use crate::reactor::Watch;
use crate::scheduler::{Dormant, Handle};
use crate::task::Woken;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use std::io;
use std::mem::take;
use std::os::fd::AsFd;
use std::time::Instant;

// ANCHOR: source
/// A descriptor that is watched. `W` is who waits: a coroutine's token, or a waker.
pub struct Source<D, W> {
    /// What was told, and has not been used up since. Told once, remembered here.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) eof: bool,
    pub(crate) broken: bool,
    /// Who waits to read.
    pub(crate) reader: Reader<D, W>,
    /// Who waits to write.
    pub(crate) writer: Waiter<W>,
    /// Who waits for neither, but would like to know if the connection is over.
    pub(crate) watcher: Waiter<W>,
    /// What the poller was told.
    pub(crate) interest: Interest,
    /// What to tell it if somebody waits to read.
    pub(crate) to_read: Interest,
}

/// A place for one who waits.
#[derive(Default)]
pub(crate) enum Waiter<W> {
    /// Nobody does.
    #[default]
    Nobody,
    /// This one.
    Waits(W),
    /// One who was told, and has not run since. The place is kept for it: if another took
    /// it now, that one would be forgotten when the first leaves.
    Told,
}

/// Who waits to read.
pub(crate) enum Reader<D, W> {
    /// One that is in the middle of something, or nobody.
    Waiting(Waiter<W>),
    /// One that is to begin when there is something to read, and owns neither a stack nor
    /// a future until then.
    Resting(D),
    /// The same, and its time has come: it is in the run queue.
    Called(D),
}
// ANCHOR_END: source

impl<W> Waiter<W> {
    fn is_nobody(&self) -> bool {
        matches!(self, Waiter::Nobody)
    }

    /// Who is to be told now. It is handed out, and no copy made: a waker is anybody's
    /// code, and what it does when it is copied is not to be done while we are borrowed.
    pub(crate) fn tell(&mut self) -> Option<W> {
        match take(self) {
            Waiter::Waits(who) => {
                *self = Waiter::Told;
                Some(who)
            }
            other => {
                *self = other;
                None
            }
        }
    }

    fn leave(&mut self) -> Option<W> {
        match take(self) {
            Waiter::Waits(who) => Some(who),
            Waiter::Nobody | Waiter::Told => None,
        }
    }
}

impl<D, W> Reader<D, W> {
    pub(crate) const NOBODY: Self = Reader::Waiting(Waiter::Nobody);
}

impl<D, W> Source<D, W> {
    pub(crate) fn new(to_read: Interest) -> Source<D, W> {
        Source {
            readable: false,
            writable: true, // most answers find room: try first
            eof: false,
            broken: false,
            reader: Reader::NOBODY,
            writer: Waiter::Nobody,
            watcher: Waiter::Nobody,
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
            Until::Readable => !matches!(self.reader, Reader::Waiting(Waiter::Nobody)),
            Until::Writable => !self.writer.is_nobody(),
            Until::Over => !self.watcher.is_nobody(),
        }
    }

    /// Whether what is waited for has been told.
    pub(crate) fn has_come(&self, until: Until) -> bool {
        match until {
            Until::Readable => self.readable,
            Until::Writable => self.writable,
            Until::Over => self.broken,
        }
    }

    /// Somebody waits for this.
    pub(crate) fn wait(&mut self, until: Until, who: W) {
        match until {
            Until::Readable => self.reader = Reader::Waiting(Waiter::Waits(who)),
            Until::Writable => self.writer = Waiter::Waits(who),
            Until::Over => self.watcher = Waiter::Waits(who),
        }
    }

    /// Nobody does any more. Who did is to be dropped outside.
    pub(crate) fn wait_no_more(&mut self, until: Until) -> Option<W> {
        match until {
            Until::Readable => match &mut self.reader {
                Reader::Waiting(reader) => reader.leave(),
                Reader::Resting(_) | Reader::Called(_) => None,
            },
            Until::Writable => self.writer.leave(),
            Until::Over => self.watcher.leave(),
        }
    }

    /// What somebody waits for.
    pub(crate) fn wanted(&self) -> Interest {
        let if_waited_for = |until, interest| match self.is_waited_for(until) {
            true => interest,
            false => Interest::NONE,
        };
        if_waited_for(Until::Readable, self.to_read)
            | if_waited_for(Until::Writable, Interest::WRITE)
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

/// A descriptor that is watched, and that is closed when this is dropped. `H` leads to
/// who watches it.
pub struct Descriptor<F: AsFd, H: Watch> {
    fd: F,
    token: Token,
    handle: H,
}

impl<F: AsFd, H: Watch> Descriptor<F, H> {
    /// Has it watched. It must be non-blocking. If the poller has no room for it, it
    /// comes back.
    pub fn new(fd: F, interest: Interest, handle: &H) -> Result<Self, (F, io::Error)> {
        match handle.reactor(|reactor| reactor.register(fd.as_fd(), interest)) {
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
    pub fn handle(&self) -> &H {
        &self.handle
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Looks at a descriptor's memory, or changes it.
    pub(crate) fn source<T: Default>(
        &self,
        of: impl FnOnce(&mut Source<H::Resting, H::Waiter>) -> T,
    ) -> T {
        let token = self.token;
        self.handle.reactor(|reactor| reactor.source(token).map_or_else(T::default, of))
    }

    /// Whether there may be something to read: nothing has said since that there is not.
    pub fn is_readable(&self) -> bool {
        self.source(|source| source.readable)
    }

    /// Whether there may be room to write.
    pub fn is_writable(&self) -> bool {
        self.source(|source| source.writable)
    }

    /// Whether the connection is over, in both directions.
    pub fn is_broken(&self) -> bool {
        self.source(|source| source.broken)
    }

    /// A read has brought less than was asked for. That was all; unless the end came with
    /// it, which would not be told again.
    pub fn read_short(&self) {
        self.source(|source| source.readable = source.eof);
    }

    /// A read would have had to wait.
    pub fn read_would_block(&self) {
        self.source(|source| source.readable = false);
    }

    /// A write would have had to wait.
    pub fn write_would_block(&self) {
        self.source(|source| source.writable = false);
    }

    /// Writes down who is about to wait for what.
    pub(crate) fn subscribe(&self, until: Until, who: H::Waiter) -> io::Result<()> {
        let fd = self.fd.as_fd();
        let done =
            self.handle.reactor(|reactor| reactor.subscribe(fd, self.token, until, who));
        done.map_err(|(_, error)| error)
    }

    pub(crate) fn unsubscribe(&self, until: Until) {
        drop(self.source(|source| source.wait_no_more(until)));
    }
}

impl<F: AsFd, P: Poller + 'static, D: Dormant> Descriptor<F, Handle<P, D>> {
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
        let handle = self.handle();
        if handle.is_over() {
            return Err(io::Error::other("the scheduler has ended"));
        }
        if let Some(me) = handle.current() {
            self.subscribe(until, me)?;
        }
        let woken = handle.park(due);
        self.unsubscribe(until);
        Ok(woken)
    }
    // ANCHOR_END: wait
}

impl<F: AsFd, H: Watch> Drop for Descriptor<F, H> {
    fn drop(&mut self) {
        let fd = self.fd.as_fd();
        drop(self.handle.reactor(|reactor| reactor.deregister(fd, self.token)));
    }
}
