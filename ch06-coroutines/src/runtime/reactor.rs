//! The reactor: the registered descriptors of one thread, the events that the poller has reported
//! for each descriptor, and the tasks that wait for them.
//!
//! A reported event is remembered until a read or a write would block, or a read returns fewer
//! bytes than were asked for. So a task may begin to wait before or after the report. No event can
//! be missed between a read that would block and the wait that follows the read: the poller is
//! called only while no task runs.

use super::future::{Either, race, sleep};
use super::remote::RemoteQueue;
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

/// The poller token of the pipe into which other threads write their wake-ups.
const WAKEUPS: Token = Token { index: u32::MAX, generation: 0 };

/// A kind of event that a task can wait for at a descriptor.
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
/// The state of a registered descriptor.
struct Registration {
    /// For each [`Readiness`], whether it was reported, and neither
    /// [`would_block`](Descriptor::would_block) nor
    /// [`read_short`](Descriptor::read_short) has cleared it since.
    reported: [bool; 3],
    /// Whether an end of file was reported. A poller need not report it again.
    eof: bool,
    /// For each [`Readiness`], the task that waits for it. One task may read while
    /// another writes.
    slots: [Slot; 3],
    /// The interest that is registered with the poller.
    interest: Interest,
    /// The interest to register while a task waits to read: `READ`, or `ACCEPT` for a
    /// listener.
    to_read: Interest,
}

/// The waiter for one [`Readiness`] of a descriptor.
#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Waits(Waiter),
    /// The waiter was notified, and has not run since. The slot stays taken: if a
    /// second waiter took it now, the notified one would empty the slot when it runs,
    /// and the second one would never be woken.
    Notified,
}
// ANCHOR_END: source

/// Bytes that a registered descriptor takes in the reactor's table.
pub(crate) const REGISTRATION: usize = Table::<Registration>::PLACE;

impl Registration {
    fn new(to_read: Interest) -> Registration {
        Registration {
            // Counts as writable, so the first response is written without a wait: the
            // socket's send buffer usually has room for it.
            reported: [false, true, false],
            eof: false,
            slots: [const { Slot::Empty }; 3],
            interest: to_read,
            to_read,
        }
    }

    /// Returns the interest to register with the poller for the waiters in the slots.
    fn wanted(&self) -> Interest {
        let [reader, writer, _] = &self.slots;
        let if_waits = |slot, interest| match slot {
            &Slot::Empty => Interest::NONE,
            _ => interest,
        };
        if_waits(reader, self.to_read) | if_waits(writer, Interest::WRITE)
    }

    // ANCHOR: report
    /// Records an event, and moves the waiters that it concerns to `woken`.
    fn report(&mut self, event: &Event, woken: &mut Vec<Waiter>) {
        self.eof |= event.eof || event.broken;
        let readable = event.readable || event.eof || event.broken;
        let reported = [readable, event.writable || event.broken, event.broken];
        for (index, reported) in reported.into_iter().enumerate() {
            self.reported[index] |= reported;
            let slot = &mut self.slots[index];
            if self.reported[index]
                && matches!(slot, Slot::Waits(_))
                && let Slot::Waits(waiter) = replace(slot, Slot::Notified)
            {
                woken.push(waiter);
            }
        }
    }
    // ANCHOR_END: report
}

/// The registered descriptors of one thread, and the scheduler of its tasks.
pub(crate) struct Reactor {
    pub(crate) scheduler: Scheduler,
    poller: RefCell<Box<dyn Poller>>,
    table: RefCell<Table<Registration>>,
    remote: Arc<RemoteQueue>,
    memory: RefCell<FreeMemory>,
    /// The buffers that each [`wait`](Reactor::wait) fills and empties.
    scratch: RefCell<(Vec<Event>, Vec<Waiter>)>,
}

impl Reactor {
    /// Creates a reactor, with a scheduler that has no tasks.
    ///
    /// # Errors
    ///
    /// The error of the poller, or of pipe(2) if no descriptors are left.
    pub(crate) fn new(
        mut poller: Box<dyn Poller>,
        stacks: Option<StackPool>,
    ) -> io::Result<Rc<Reactor>> {
        let remote = Arc::new(RemoteQueue::new()?);
        poller.register(remote.as_fd(), WAKEUPS, Interest::READ)?;
        Ok(Rc::new(Reactor {
            scheduler: Scheduler::new(stacks, remote.clone()),
            poller: RefCell::new(poller),
            table: RefCell::default(),
            remote,
            memory: RefCell::default(),
            scratch: RefCell::default(),
        }))
    }

    // ANCHOR: poll
    /// Calls the poller, which waits for events for at most `timeout` (`None`: without
    /// a limit), and notifies the waiters. An event with a stale token concerns a
    /// descriptor that has been closed, and is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deadlock`] if nothing is left that could wake a task.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let scheduler = &self.scheduler;
        if timeout.is_none() && self.table.borrow().is_empty() && !self.can_be_woken() {
            return Err(io::Error::new(
                ErrorKind::Deadlock,
                "every task waits, and nothing is left that could wake one",
            ));
        }
        let timeout = self.release_memory(timeout);
        let (events, woken) = &mut *self.scratch.borrow_mut();
        if let Err(error) = self.poller.borrow_mut().wait(events, timeout) {
            self.try_every_descriptor(&error, events);
        }
        for event in events.drain(..) {
            if event.token == WAKEUPS {
                // This call empties only the pipe. The woken tasks stay in the remote
                // queue until the scheduler begins its next round.
                self.remote.drain_wakeups();
            } else if let Some(entry) = self.table.borrow_mut().get_mut(event.token) {
                entry.report(&event, woken);
            }
        }
        woken.drain(..).for_each(|waiter| scheduler.notify(waiter));
        Ok(())
    }
    // ANCHOR_END: poll

    /// Gives freed memory back to the system some time after many connections have closed. Returns
    /// `timeout`, shortened so that the next such release is on time.
    fn release_memory(&self, timeout: Option<Duration>) -> Option<Duration> {
        let (mut memory, now) = (self.memory.borrow_mut(), self.scheduler.now());
        if memory.release(now) {
            self.scheduler.release_stacks();
        }
        let due = memory.due().map(|due| due.saturating_duration_since(now));
        timeout.into_iter().chain(due).min()
    }

    /// Makes up for the events of a poller that has failed: after a pause, reports for every
    /// descriptor that it may be ready, as chapter 3's event loop does. The pause keeps a lasting
    /// error from occupying the processor.
    #[cold]
    fn try_every_descriptor(&self, error: &io::Error, events: &mut Vec<Event>) {
        trace!("poller", "{error}: trying every connection");
        thread::sleep(ACCEPT_BACKOFF);
        events.push(Event::maybe(WAKEUPS, Interest::READ));
        let mut table = self.table.borrow_mut();
        for token in table.tokens() {
            let wanted = table.get_mut(token).map(|entry| entry.wanted());
            events.extend(wanted.map(|wanted| Event::maybe(token, wanted)));
        }
    }

    /// Returns whether another thread can wake a task, or already has. A thread that wakes a task
    /// by its waker first pushes the task's token into the remote queue and then drops the waker.
    /// So this function first looks for wakers and then checks the queue.
    fn can_be_woken(&self) -> bool {
        let has_wakers = self.scheduler.has_wakers();
        fence(Acquire); // a token that was pushed before a waker was dropped is visible now
        has_wakers || !self.remote.is_empty()
    }
}

/// A registered descriptor. Dropping it deregisters and closes it.
///
/// ```
/// use ch03_nonblocking::poller::Interest;
/// use ch04_select_poll::poll::Poll;
/// use ch06_coroutines::{Readiness, Runtime};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// let runtime = Runtime::new(Box::new(Poll::default()))?;
/// let received = runtime.run_future(|handle| async move {
///     let mut ours = handle.register(ours, Interest::READ)?;
///     theirs.write_all(b"word")?;
///     ours.ready(Readiness::Readable).await?;
///     ours.get_mut().read(&mut [0; 64])
/// })?;
/// assert_eq!(received.expect("no panic")?, 4);
/// # std::io::Result::Ok(())
/// ```
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
        let token = reactor.table.borrow_mut().insert(Registration::new(interest));
        let asked = fd.as_fd(); // foreign code, so called before anything is borrowed
        let registered = reactor.poller.borrow_mut().register(asked, token, interest);
        if let Err(error) = registered {
            reactor.table.borrow_mut().remove(token);
            return Err(error);
        }
        Ok(Descriptor { fd, token, reactor: reactor.clone() })
    }

    /// Returns the registered socket or file.
    pub fn get(&self) -> &F {
        &self.fd
    }

    /// Returns the registered socket or file, for reading and writing.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.fd
    }

    /// Applies `of` to the descriptor's registration and returns the result, or the default value
    /// if there is no registration.
    fn with<T: Default>(&self, of: impl FnOnce(&mut Registration) -> T) -> T {
        let mut table = self.reactor.table.borrow_mut();
        table.get_mut(self.token).map_or_else(T::default, of)
    }

    /// Returns whether the descriptor may be ready: the readiness `until` was reported, and neither
    /// [`would_block`](Descriptor::would_block) nor [`read_short`](Descriptor::read_short) has
    /// cleared it since.
    pub fn is_ready(&self, until: Readiness) -> bool {
        self.with(|entry| entry.reported[until as usize])
    }

    /// Records that an attempt to read or write has met `WouldBlock`, so the descriptor is not
    /// ready until the next report.
    pub fn would_block(&self, until: Readiness) {
        self.with(|entry| entry.reported[until as usize] = false);
    }

    /// Records that a read has returned fewer bytes than were asked for, so nothing more is
    /// readable. If the end of file was reported together with those bytes, the descriptor stays
    /// readable, because a poller need not report the end again.
    pub fn read_short(&self) {
        self.with(|entry| entry.reported[Readiness::Readable as usize] = entry.eof);
    }

    // ANCHOR: subscribe
    /// Stores `waiter` as the one to notify when the readiness `until` is reported, and
    /// extends the poller's interest if needed. Returns whether this readiness was
    /// reported before the call.
    pub(crate) fn subscribe(&self, until: Readiness, waiter: Waiter) -> io::Result<bool> {
        // `slot` is declared before `table`: if this function fails, the waiter is
        // dropped after the table's borrow ends, because its destructor may be foreign
        // code.
        let (mut slot, fd) = (Slot::Waits(waiter), self.fd.as_fd());
        let mut table = self.reactor.table.borrow_mut();
        let entry = table.get_mut(self.token).ok_or(ErrorKind::NotFound)?;
        if !matches!(entry.slots[until as usize], Slot::Empty) {
            return Err(ErrorKind::ResourceBusy.into());
        }
        swap(&mut entry.slots[until as usize], &mut slot);
        let wanted = entry.wanted();
        if entry.interest != wanted {
            let mut poller = self.reactor.poller.borrow_mut();
            if let Err(error) = poller.reregister(fd, self.token, wanted) {
                swap(&mut entry.slots[until as usize], &mut slot);
                return Err(error);
            }
            entry.interest = wanted;
        }
        Ok(entry.reported[until as usize])
    }
    // ANCHOR_END: subscribe

    pub(crate) fn unsubscribe(&self, until: Readiness) {
        let waiter = self.with(|entry| take(&mut entry.slots[until as usize]));
        drop(waiter); // a waker's destructor is foreign code
    }

    // ANCHOR: wait
    /// Parks the running coroutine until the descriptor may be ready or the deadline
    /// `due` has passed. The wait may also end earlier without a reason, so the caller
    /// first tries to read or write, waits after `WouldBlock`, and tries again.
    ///
    /// # Errors
    ///
    /// The poller's error; [`ErrorKind::ResourceBusy`] if another task waits for the
    /// same readiness (one task may read while another writes); or the runtime has
    /// ended.
    ///
    /// # Panics
    ///
    /// Panics where [`Scheduler::park`] does.
    pub fn wait(&self, until: Readiness, due: Option<Instant>) -> io::Result<Woken> {
        let scheduler = &self.reactor.scheduler;
        if scheduler.is_over() {
            return Err(io::Error::other("the runtime has ended"));
        }
        self.subscribe(until, Waiter::Task(scheduler.running_coroutine()))?;
        let _subscribed = OnDrop(|| self.unsubscribe(until)); // also if unwound
        Ok(scheduler.park(due))
    }
    // ANCHOR_END: wait

    /// Returns a future that is ready when the descriptor may be. After an attempt that has met
    /// `WouldBlock`, call [`would_block`](Descriptor::would_block) first; otherwise the earlier
    /// report is still remembered, and the future is ready at once.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Descriptor::wait).
    pub fn ready(&self, until: Readiness) -> Ready<'_, F> {
        Ready { descriptor: self, until, subscribed: false }
    }

    // ANCHOR: ready_by
    /// Waits as [`ready`](Descriptor::ready) does, but at most until the deadline
    /// `due`: then returns [`Woken::TimedOut`].
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Descriptor::wait).
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
        // An error of `deregister` does not matter: the descriptor is closed right afterwards.
        let fd = self.fd.as_fd();
        let _ = self.reactor.poller.borrow_mut().deregister(fd, self.token);
        let registration = self.reactor.table.borrow_mut().remove(self.token);
        // The registration may hold a foreign waker, whose destructor may run any code. So the
        // registration is dropped after the table's borrow has ended.
        drop(registration);
        self.reactor.memory.borrow_mut().connection_closed(self.reactor.scheduler.now());
    }
}

// ANCHOR: readiness
/// The future that [`Descriptor::ready`] returns.
pub struct Ready<'d, F: AsFd> {
    descriptor: &'d Descriptor<F>,
    until: Readiness,
    /// Whether this future is the waiter in the descriptor's slot.
    subscribed: bool,
}

impl<F: AsFd> Future for Ready<'_, F> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ready { descriptor, until, .. } = *self;
        self.unsubscribe(); // the next poll may pass another waker
        // Readiness that was reported before is remembered. No event can be missed
        // between this check and `subscribe`: the poller is called only while no task
        // runs.
        if descriptor.is_ready(until) {
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
