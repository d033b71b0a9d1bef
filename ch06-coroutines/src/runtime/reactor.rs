//! The reactor: a thread's descriptors, what the poller has reported for each, and what waits
//! for it.
//!
//! An event is remembered until a read or a write comes up empty, so it does not matter
//! whether anything waits at the moment when it is reported. And between the read that came
//! up empty and the wait for the next event nothing can be reported: the poller is asked only
//! when no task runs. That is all that keeps a wake-up from being lost here.

use super::future::{Either, race, sleep};
use super::remote::Inbox;
use super::scheduler::{OnDrop, Scheduler};
use super::waker::{Waiter, Woken};
use crate::stack::StackPool;
use ch01_blocking::server::free_memory::FreeMemory;
use ch01_blocking::server::stop::ACCEPT_BACKOFF;
use ch01_blocking::server::trace::trace;
use ch03_nonblocking::poller::{Interest, Poller, Ready as Event, Token};
use ch03_nonblocking::table::Table;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem::{replace, swap, take};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering::Acquire, fence};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// The token of the pipe into which other threads write their wake-ups.
const WAKEUPS: Token = Token { index: u32::MAX, generation: 0 };

/// What to wait for at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// There may be bytes to read, a connection to accept, or an end of file.
    Readable,
    /// There may be room to write.
    Writable,
    /// The connection has ended in both directions.
    Closed,
}

// ANCHOR: source
/// A registered descriptor.
struct Source {
    /// What was reported, by [`Readiness`], and has not come up empty since.
    reported: [bool; 3],
    /// An end of file was reported, which will not be reported again.
    eof: bool,
    /// What waits for each. One task may read while another writes.
    slots: [Slot; 3],
    /// What the poller has been asked for.
    interest: Interest,
    /// What to ask it for while something waits to read.
    to_read: Interest,
}

/// Room for one that waits.
#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Waits(Waiter),
    /// It was notified, and has not run since. The slot stays taken: if another waiter
    /// took it now, the first one would empty it when it runs, and the other would be
    /// forgotten.
    Notified,
}
// ANCHOR_END: source

/// Bytes of a descriptor's place in the table.
pub(crate) const SOURCE: usize = Table::<Source>::PLACE;

impl Source {
    fn new(to_read: Interest) -> Source {
        Source {
            reported: [false, true, false], // most answers find room: try first
            eof: false,
            slots: [const { Slot::Empty }; 3],
            interest: to_read,
            to_read,
        }
    }

    /// Returns what the poller has to be asked for.
    fn wanted(&self) -> Interest {
        let [reader, writer, _] = &self.slots;
        let if_waits = |slot, interest| match slot {
            &Slot::Empty => Interest::NONE,
            _ => interest,
        };
        if_waits(reader, self.to_read) | if_waits(writer, Interest::WRITE)
    }

    // ANCHOR: report
    /// Remembers what was reported, and takes out what waits for it.
    fn report(&mut self, event: &Event, woken: &mut Vec<Waiter>) {
        self.eof |= event.eof || event.broken;
        let readable = event.readable || event.eof || event.broken;
        let reported = [readable, event.writable || event.broken, event.broken];
        for (until, reported) in reported.into_iter().enumerate() {
            self.reported[until] |= reported;
            let slot = &mut self.slots[until];
            if self.reported[until]
                && matches!(slot, Slot::Waits(_))
                && let Slot::Waits(waiter) = replace(slot, Slot::Notified)
            {
                woken.push(waiter);
            }
        }
    }
    // ANCHOR_END: report
}

/// One thread's descriptors, and with them its whole runtime.
pub(crate) struct Reactor {
    pub(crate) scheduler: Scheduler,
    poller: RefCell<Box<dyn Poller>>,
    sources: RefCell<Table<Source>>,
    inbox: Arc<Inbox>,
    memory: RefCell<FreeMemory>,
    /// Filled and emptied by each [`wait`](Reactor::wait).
    scratch: RefCell<(Vec<Event>, Vec<Waiter>)>,
}

impl Reactor {
    /// Creates a reactor, with a scheduler that has no tasks.
    ///
    /// # Errors
    ///
    /// The poller's; or there are no descriptors left for a pipe.
    pub(crate) fn new(
        mut poller: Box<dyn Poller>,
        stacks: Option<StackPool>,
    ) -> io::Result<Rc<Reactor>> {
        let inbox = Arc::new(Inbox::new()?);
        poller.register(inbox.as_fd(), WAKEUPS, Interest::READ)?;
        Ok(Rc::new(Reactor {
            scheduler: Scheduler::new(stacks, inbox.clone()),
            poller: RefCell::new(poller),
            sources: RefCell::default(),
            inbox,
            memory: RefCell::default(),
            scratch: RefCell::default(),
        }))
    }

    // ANCHOR: poll
    /// Asks the poller what is ready, waits for it at most for `timeout`, and wakes what
    /// waits for it. An event's token may be stale; then it was for a descriptor that has
    /// been closed, and is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deadlock`] if nothing is left that could wake a task.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let scheduler = &self.scheduler;
        if timeout.is_none() && self.sources.borrow().is_empty() && !self.can_be_woken() {
            return Err(io::Error::new(
                ErrorKind::Deadlock,
                "every task waits, and nothing is left that could wake one",
            ));
        }
        let timeout = self.release_memory(timeout);
        let (events, woken) = &mut *self.scratch.borrow_mut();
        if let Err(error) = self.poller.borrow_mut().wait(events, timeout) {
            self.try_every_source(&error, events);
        }
        for event in events.drain(..) {
            if event.token == WAKEUPS {
                self.inbox.drain_wakeups(); // the scheduler takes the tasks
            } else if let Some(source) = self.sources.borrow_mut().get_mut(event.token) {
                source.report(&event, woken);
            }
        }
        woken.drain(..).for_each(|waiter| scheduler.notify(waiter));
        Ok(())
    }
    // ANCHOR_END: poll

    /// Returns the memory of a crowd that has left to the system, if it is time. Returns how
    /// long to wait at most, so that it is done in time.
    fn release_memory(&self, timeout: Option<Duration>) -> Option<Duration> {
        let (mut memory, now) = (self.memory.borrow_mut(), self.scheduler.now());
        memory.release(now);
        let due = memory.due().map(|due| due.saturating_duration_since(now));
        timeout.into_iter().chain(due).min()
    }

    /// Fills in for a poller that has failed, as chapter 3's event loop does: reports after a
    /// pause that everything may be ready. The pause is for an error that lasts.
    #[cold]
    fn try_every_source(&self, error: &io::Error, events: &mut Vec<Event>) {
        trace!("poller", "{error}: trying every connection");
        thread::sleep(ACCEPT_BACKOFF);
        events.push(Event::maybe(WAKEUPS, Interest::READ));
        let mut sources = self.sources.borrow_mut();
        for token in sources.tokens() {
            let wanted = sources.get_mut(token).map(|source| source.wanted());
            events.extend(wanted.map(|wanted| Event::maybe(token, wanted)));
        }
    }

    /// Returns whether another thread can wake a task, or has. One that wakes a task drops its
    /// waker afterwards; so this looks for wakers first.
    fn can_be_woken(&self) -> bool {
        let has_wakers = self.scheduler.has_wakers();
        fence(Acquire); // what was pushed before a waker was dropped is visible now
        has_wakers || !self.inbox.is_empty()
    }
}

/// A registered descriptor, which is closed when this is dropped.
pub struct Descriptor<F: AsFd> {
    fd: F,
    pub(crate) token: Token,
    reactor: Rc<Reactor>,
}

impl<F: AsFd> Descriptor<F> {
    /// Registers a descriptor, which must be non-blocking.
    pub(crate) fn new(
        fd: F,
        interest: Interest,
        reactor: &Rc<Reactor>,
    ) -> io::Result<Descriptor<F>> {
        let token = reactor.sources.borrow_mut().insert(Source::new(interest));
        let asked = fd.as_fd(); // foreign code, as everywhere: before anything is borrowed
        let registered = reactor.poller.borrow_mut().register(asked, token, interest);
        if let Err(error) = registered {
            reactor.sources.borrow_mut().remove(token);
            return Err(error);
        }
        Ok(Descriptor { fd, token, reactor: reactor.clone() })
    }

    /// Returns the descriptor itself.
    pub fn get(&self) -> &F {
        &self.fd
    }

    /// Returns the descriptor itself, to read from or write to.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.fd
    }

    /// Reads or changes what is known of the descriptor.
    fn source<T: Default>(&self, of: impl FnOnce(&mut Source) -> T) -> T {
        let mut sources = self.reactor.sources.borrow_mut();
        sources.get_mut(self.token).map_or_else(T::default, of)
    }

    /// Returns whether the descriptor may be ready: it was reported, and no attempt has come
    /// up empty since.
    pub fn is(&self, until: Readiness) -> bool {
        self.source(|source| source.reported[until as usize])
    }

    /// Notes that an attempt to read or write would block.
    pub fn would_block(&self, until: Readiness) {
        self.source(|source| source.reported[until as usize] = false);
    }

    /// Notes that a read has returned fewer bytes than were asked for. That was all; unless
    /// the end of file was reported with it, which would not be reported again.
    pub fn read_short(&self) {
        self.source(|source| source.reported[Readiness::Readable as usize] = source.eof);
    }

    /// Writes down what waits for the descriptor, and asks the poller for it if it has not
    /// been asked yet. Returns whether it was reported before.
    pub(crate) fn subscribe(&self, until: Readiness, waiter: Waiter) -> io::Result<bool> {
        // On an error it is dropped after the table's borrow: it may be a foreign waker.
        let (mut slot, fd) = (Slot::Waits(waiter), self.fd.as_fd());
        let mut sources = self.reactor.sources.borrow_mut();
        let source = sources.get_mut(self.token).ok_or(ErrorKind::NotFound)?;
        if !matches!(source.slots[until as usize], Slot::Empty) {
            return Err(ErrorKind::ResourceBusy.into());
        }
        swap(&mut source.slots[until as usize], &mut slot);
        let wanted = source.wanted();
        if source.interest != wanted {
            let mut poller = self.reactor.poller.borrow_mut();
            if let Err(error) = poller.reregister(fd, self.token, wanted) {
                swap(&mut source.slots[until as usize], &mut slot);
                return Err(error);
            }
            source.interest = wanted;
        }
        Ok(source.reported[until as usize])
    }

    pub(crate) fn unsubscribe(&self, until: Readiness) {
        let waiter = self.source(|source| take(&mut source.slots[until as usize]));
        drop(waiter); // a waker's destructor is foreign code
    }

    // ANCHOR: wait
    /// Parks the running coroutine until the descriptor may be ready, or `due` has passed,
    /// or for no reason: the caller has tried first, and tries again.
    ///
    /// # Errors
    ///
    /// The poller's. [`ErrorKind::ResourceBusy`] if another task waits for the same: one
    /// may read while another writes, but there is room for one of each. The runtime has
    /// ended.
    ///
    /// # Panics
    ///
    /// As [`Scheduler::park`].
    pub fn wait(&self, until: Readiness, due: Option<Instant>) -> io::Result<Woken> {
        let scheduler = &self.reactor.scheduler;
        if scheduler.is_over() {
            return Err(io::Error::other("the runtime has ended"));
        }
        self.subscribe(until, Waiter::Task(scheduler.running_coroutine()))?;
        let _subscribed = OnDrop(|| self.unsubscribe(until)); // also if it is unwound
        Ok(scheduler.park(due))
    }
    // ANCHOR_END: wait

    /// Returns a future that is ready when the descriptor may be. A task that has tried, and
    /// found that it would block, notes that first
    /// ([`would_block`](Descriptor::would_block)), or this is ready at once.
    ///
    /// # Errors
    ///
    /// As [`wait`](Descriptor::wait).
    pub fn ready(&self, until: Readiness) -> Ready<'_, F> {
        Ready { descriptor: self, until, subscribed: false }
    }

    // ANCHOR: ready_by
    /// The same, until a deadline passes.
    ///
    /// # Errors
    ///
    /// As [`wait`](Descriptor::wait).
    pub async fn ready_by(&self, until: Readiness, due: Instant) -> io::Result<Woken> {
        match race(self.ready(until), sleep(&self.reactor.scheduler, due)).await {
            Either::First(ready) => ready.map(|()| Woken::Notified),
            Either::Second(()) => Ok(Woken::TimedOut),
        }
    }
    // ANCHOR_END: ready_by
}

impl<F: AsFd> Drop for Descriptor<F> {
    fn drop(&mut self) {
        // A failure does not matter: it is closed in a moment.
        let fd = self.fd.as_fd();
        let _ = self.reactor.poller.borrow_mut().deregister(fd, self.token);
        let source = self.reactor.sources.borrow_mut().remove(self.token);
        drop(source); // not while the table is borrowed: it may hold a foreign waker
        self.reactor.memory.borrow_mut().connection_closed(self.reactor.scheduler.now());
    }
}

// ANCHOR: readiness
/// Waits for a descriptor: see [`Descriptor::ready`].
pub struct Ready<'d, F: AsFd> {
    descriptor: &'d Descriptor<F>,
    until: Readiness,
    /// Whether the descriptor's slot is this future's.
    subscribed: bool,
}

impl<F: AsFd> Future for Ready<'_, F> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ready { descriptor, until, .. } = *self;
        self.unsubscribe(); // it may be another waker this time
        // What was reported before is remembered. This look, and the waiter that is
        // left after it, are one step: the poller is asked only when no task runs.
        if descriptor.is(until) {
            return Poll::Ready(Ok(()));
        }
        let waiter = descriptor.reactor.scheduler.waiter(context.waker());
        match descriptor.subscribe(until, waiter) {
            Ok(_) => self.subscribed = true,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Pending
    }
}

impl<F: AsFd> Drop for Ready<'_, F> {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}
// ANCHOR_END: readiness

impl<F: AsFd> Ready<'_, F> {
    fn unsubscribe(&mut self) {
        if take(&mut self.subscribed) {
            self.descriptor.unsubscribe(self.until);
        }
    }
}
