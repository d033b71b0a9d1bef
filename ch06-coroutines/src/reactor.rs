//! The reactor: the descriptors that one thread has watched, who waits for them, and who is
//! to run next. It knows nothing of how those run who wait: the [`scheduler`](crate::scheduler)'s
//! coroutines and the [`executor`](crate::executor)'s futures wait at the same one.

use crate::run_queue::{RunQueue, Turn};
use crate::source::{Reader, Source, Until};
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch03_nonblocking::table::Table;
use ch03_nonblocking::timers::Timers;
use std::io::{self, ErrorKind};
use std::mem::replace;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Who waits at a descriptor for something to read, and needs more than this only then.
pub trait Resting: Sized {
    /// The descriptor at which it waits.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Its source.
    fn source(&self) -> Token;

    /// The connection, for the trace.
    fn number(&self) -> u64;
}

/// The way to a thread's reactor: a scheduler's handle, or an executor's.
pub trait Watch: Clone {
    /// How the thread waits.
    type Poller: Poller;
    /// Who may rest there.
    type Resting: Resting;
    /// Who may wait there, as it is called when its time has come.
    type Waiter;

    /// Does something with the reactor. Nothing in there may use it, too: what has
    /// destructors is handed out, and dropped outside.
    fn reactor<T>(
        &self,
        of: impl FnOnce(&mut Reactor<Self::Poller, Self::Resting, Self::Waiter>) -> T,
    ) -> T;

    /// When this round began: what the time is, to within a turn of each who had one.
    fn now(&self) -> Instant;

    /// Has somebody who waits run.
    fn wake(&self, waiter: Self::Waiter);

    /// Has somebody begin, who would otherwise rest. An error means that there is nothing
    /// left for it to run on.
    fn begin(&self, who: Self::Resting) -> io::Result<()>;
}

/// Leaves a connection with a thread's reactor. An error is the poller's, and it is closed.
pub(crate) fn rest<H: Watch>(
    handle: &H,
    dormant: H::Resting,
    due: Instant,
) -> io::Result<()> {
    let now = handle.now();
    let rests = handle.reactor(|reactor| reactor.rest(dormant, due, now));
    rests.map_err(|(_, error)| error)
}

/// One thread's reactor. `D` rests, `W` waits.
pub struct Reactor<P, D, W> {
    poller: P,
    sources: Table<Source<D, W>>,
    /// Deadlines of the resting, by their sources' places.
    rests: Timers,
    pub(crate) queue: RunQueue,
}

impl<P: Poller, D: Resting, W> Reactor<P, D, W> {
    pub(crate) fn new(poller: P, now: Instant) -> Reactor<P, D, W> {
        Reactor {
            poller,
            sources: Table::new(),
            rests: Timers::new(now),
            queue: RunQueue::default(),
        }
    }

    /// When to look again at those who rest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.rests.next()
    }

    /// Whether nothing is watched that could bring news.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Asks the poller who is ready: writes down the news, puts those who rest and have
    /// some into the run queue, and adds to `woken` who is to be woken. Says what time it
    /// is.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        scraps: &mut Scraps,
        woken: &mut Vec<W>,
    ) -> io::Result<Instant> {
        self.poller.wait(&mut scraps.ready, timeout)?;
        let now = Instant::now();
        for event in scraps.ready.drain(..) {
            self.told(&event, woken);
        }
        self.rests.expired(now, &mut scraps.late);
        for index in scraps.late.drain(..) {
            if let Some(source) = self.sources.token(index) {
                self.call(source);
            }
        }
        Ok(now)
    }

    // ANCHOR: told
    /// News of a descriptor: remembers it, and whoever waits for it is to be woken. The
    /// token may be worth nothing any more; then it was about somebody who has left.
    fn told(&mut self, ready: &Ready, woken: &mut Vec<W>) {
        let Some(source) = self.sources.get_mut(ready.token) else { return };
        source.note(ready);
        if source.writable {
            woken.extend(source.writer.tell());
        }
        if source.broken {
            woken.extend(source.watcher.tell());
        }
        match &mut source.reader {
            Reader::Waiting(reader) if source.readable => woken.extend(reader.tell()),
            Reader::Resting(_) if source.readable => self.call(ready.token),
            _ => {}
        }
    }
    // ANCHOR_END: told

    /// Puts who rests at a descriptor into the run queue.
    fn call(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        match replace(&mut source.reader, Reader::NOBODY) {
            Reader::Resting(dormant) => {
                source.reader = Reader::Called(dormant);
                self.queue.push(Turn::Begin(token));
            }
            other => source.reader = other,
        }
    }

    /// Calls everybody who rests, for each to see what has changed.
    pub(crate) fn call_all(&mut self) {
        for token in self.sources.tokens() {
            self.call(token);
        }
    }

    /// Who is in the middle of something, and waits for a client's word or its leaving.
    pub(crate) fn waiting(&mut self) -> Vec<W> {
        let mut all = Vec::new();
        for token in self.sources.tokens() {
            let Some(source) = self.sources.get_mut(token) else { continue };
            all.extend(source.watcher.tell());
            if let Reader::Waiting(reader) = &mut source.reader {
                all.extend(reader.tell());
            }
        }
        all
    }

    /// Who was called there, and is to begin now.
    pub(crate) fn take_called(&mut self, token: Token) -> Option<D> {
        let source = self.sources.get_mut(token)?;
        match replace(&mut source.reader, Reader::NOBODY) {
            Reader::Called(dormant) => Some(dormant),
            other => {
                source.reader = other;
                None
            }
        }
    }

    // ANCHOR: rest
    /// Leaves a connection here, with nothing but its descriptor, until there is something
    /// to read or `due` has passed, which may be now. An error is the poller's, and the
    /// connection comes back to be closed.
    pub(crate) fn rest(
        &mut self,
        dormant: D,
        due: Instant,
        now: Instant,
    ) -> Result<(), (D, io::Error)> {
        let token = dormant.source();
        let Some(source) = self.sources.get_mut(token) else {
            return Err((dormant, ErrorKind::NotFound.into()));
        };
        if source.interest != source.to_read {
            let told = self.poller.reregister(dormant.fd(), token, source.to_read);
            if let Err(error) = told {
                return Err((dormant, error));
            }
            source.interest = source.to_read;
        }
        source.reader = Reader::Resting(dormant);
        let at_once = source.readable || due <= now;
        self.rests.set(token.index, due);
        if at_once {
            self.call(token);
        }
        Ok(())
    }
    // ANCHOR_END: rest

    /// Begins to watch a descriptor.
    pub(crate) fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<Token> {
        let token = self.sources.insert(Source::new(interest));
        if let Err(error) = self.poller.register(fd, token, interest) {
            self.sources.remove(token);
            return Err(error);
        }
        Ok(token)
    }

    /// Watches it no longer. What was known of it is to be dropped outside.
    pub(crate) fn deregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
    ) -> Option<Source<D, W>> {
        let _ = self.poller.deregister(fd, token); // it is closed in a moment
        self.rests.clear(token.index);
        self.sources.remove(token)
    }

    pub(crate) fn source(&mut self, token: Token) -> Option<&mut Source<D, W>> {
        self.sources.get_mut(token)
    }

    /// Writes down that somebody is about to wait, and has the poller told, if what is
    /// waited for at the descriptor has changed. An error is the poller's, or says that
    /// another waits for the same already, who would not be woken any more. Who wanted to
    /// wait comes back with it, to be dropped outside.
    pub(crate) fn subscribe(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        until: Until,
        who: W,
    ) -> Result<(), (Option<W>, io::Error)> {
        let Some(source) = self.sources.get_mut(token) else {
            return Err((Some(who), ErrorKind::NotFound.into()));
        };
        if source.is_waited_for(until) {
            return Err((Some(who), ErrorKind::ResourceBusy.into()));
        }
        source.wait(until, who);
        let wanted = source.wanted();
        if source.interest != wanted {
            if let Err(error) = self.poller.reregister(fd, token, wanted) {
                return Err((source.wait_no_more(until), error));
            }
            source.interest = wanted;
        }
        Ok(())
    }

    /// Takes out who rests, one after another, at the end of all.
    pub(crate) fn take_resting(&mut self) -> Vec<Reader<D, W>> {
        let tokens = self.sources.tokens();
        let sources = tokens.into_iter();
        let mut resting = Vec::new();
        for token in sources {
            if let Some(source) = self.sources.get_mut(token) {
                resting.push(replace(&mut source.reader, Reader::NOBODY));
            }
        }
        resting
    }
}

/// Lists that are filled and emptied again in each round, and kept for the next.
#[derive(Default)]
pub(crate) struct Scraps {
    ready: Vec<Ready>,
    pub(crate) late: Vec<u32>,
}
