//! What a coroutine asks of its scheduler.

use super::{Core, Dormant};
use crate::coroutine::suspend;
use crate::injector::Injector;
use crate::join::{Join, Packet};
use crate::run_queue::Turn;
use crate::source::{Reader, Source, Until};
use crate::stack::Stacks;
use crate::task::{Ends, State, Woken};
use ch01_blocking::trace::{self, trace};
use ch03_nonblocking::poller::{Interest, Poller, Token};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// A scheduler, for those who run on it.
pub struct Handle<P, D>(pub(crate) Rc<Core<P, D>>);

impl<P, D> Clone for Handle<P, D> {
    fn clone(&self) -> Self {
        Handle(self.0.clone())
    }
}

impl<P: Poller + 'static, D: Dormant> Handle<P, D> {
    // ANCHOR: spawn
    /// A coroutine more, at the end of the run queue. An error means that no stack is to
    /// be had.
    pub fn spawn<T: 'static>(
        &self,
        body: impl FnOnce(&Handle<P, D>) -> T + 'static,
    ) -> io::Result<Join<T, P, D>> {
        self.spawn_for(0, body)
    }

    /// The same for the connection of this number, which the trace will name.
    pub fn spawn_for<T: 'static>(
        &self,
        number: u64,
        body: impl FnOnce(&Handle<P, D>) -> T + 'static,
    ) -> io::Result<Join<T, P, D>> {
        let packet = Rc::new(Packet::new());
        let (handle, theirs) = (self.clone(), packet.clone());
        let ends: Rc<dyn Ends> = packet.clone();
        let state = &mut *self.0.state.borrow_mut();
        if state.over {
            return Err(io::Error::other("the scheduler has ended"));
        }
        let stack = state.stacks.take()?;
        let body = move || theirs.put(body(&handle));
        let task = state.add(stack, number, Some(ends), body);
        state.queue.push(Turn::Resume(task));
        Ok(Join { task, packet, handle: self.clone() })
    }
    // ANCHOR_END: spawn

    /// When this round began: what the time is, to within a turn of each who had one.
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// Who runs.
    pub fn current(&self) -> Option<Token> {
        self.0.state.borrow().current
    }

    /// Whether the scheduler has ended: nobody runs any more, and destructors do the rest.
    pub fn is_over(&self) -> bool {
        self.0.state.borrow().over
    }

    /// The stacks that the coroutines have.
    pub fn stacks<T>(&self, of: impl FnOnce(&Stacks) -> T) -> T {
        of(&self.0.state.borrow().stacks)
    }

    // ANCHOR: park
    /// Suspends this coroutine until somebody wakes it, or `due` has passed, or for no
    /// reason. When the scheduler has ended, and this is a destructor's, it does not: it
    /// says at once that the time is over. Who would park again and again looks whether it
    /// [`is_over`](Handle::is_over).
    ///
    /// # Panics
    /// Outside a coroutine of this scheduler.
    pub fn park(&self, due: Option<Instant>) -> Woken {
        let mut state = self.0.state.borrow_mut();
        if state.over {
            return Woken::TimedOut; // it is being unwound
        }
        let token = state.current.expect("only a coroutine can park");
        if let Some(due) = due {
            state.alarms.set(token.index, due);
        }
        if let Some(task) = state.tasks.get_mut(token) {
            task.state = State::Parked { timed: due.is_some() };
        }
        drop(state);
        suspend();
        let mut state = self.0.state.borrow_mut();
        state.tasks.get_mut(token).map_or(Woken::Up, |task| task.woken)
    }

    /// Wakes a coroutine that is parked. For who is not, nothing happens: it looks before
    /// it parks.
    pub fn wake(&self, token: Token) {
        self.0.state.borrow_mut().wake(token, Woken::Up);
    }
    // ANCHOR_END: park

    /// What wakes this coroutine from any thread, at any time. When it has ended, or the
    /// scheduler has, that does nothing.
    ///
    /// # Panics
    /// Outside a coroutine of this scheduler.
    pub fn waker(&self) -> io::Result<Waker> {
        let who = self.current().expect("only a coroutine can be woken");
        if self.0.injector.get().is_none() {
            let injector = Injector::new(self)?;
            let _ = self.0.injector.set(injector); // nobody else has, meanwhile
        }
        let injector = self.0.injector.get().cloned();
        let injector = injector.ok_or(ErrorKind::NotFound)?;
        Ok(Waker::from(Arc::new(FromOutside { injector, who })))
    }

    /// Lets all others who are queued run first.
    ///
    /// # Panics
    /// Outside a coroutine of this scheduler.
    pub fn yield_now(&self) {
        let mut state = self.0.state.borrow_mut();
        if state.over {
            return; // it is being unwound
        }
        let token = state.current.expect("only a coroutine can yield");
        if let Some(task) = state.tasks.get_mut(token) {
            task.state = State::Queued;
        }
        state.queue.push(Turn::Resume(token));
        drop(state);
        suspend();
    }

    /// Parks until so much time is over.
    pub fn sleep(&self, time: Duration) {
        // The round may have begun a while ago.
        let until = Instant::now() + time;
        while self.now() < until && self.park(Some(until)) == Woken::Up {}
    }

    // ANCHOR: rest
    /// Leaves a connection with the scheduler, without a stack, until there is something
    /// to read or `due` has passed, which may be now. An error is the poller's, and the connection is closed.
    pub fn rest(&self, dormant: D, due: Instant) -> io::Result<()> {
        let token = dormant.source();
        let state = &mut *self.0.state.borrow_mut();
        let Some(source) = state.sources.get_mut(token) else { return Ok(()) };
        if source.interest != source.to_read {
            state.poller.reregister(dormant.fd(), token, source.to_read)?;
            source.interest = source.to_read;
        }
        source.reader = Reader::Resting(dormant);
        let now = source.readable || due <= self.now();
        state.rests.set(token.index, due);
        if now {
            state.call(token);
        }
        Ok(())
    }
    // ANCHOR_END: rest

    /// Calls everybody who rests and wakes who waits for a client's word or its leaving, for
    /// each to see what has changed.
    pub fn call_all(&self) {
        let state = &mut *self.0.state.borrow_mut();
        for token in state.sources.tokens() {
            state.call(token);
            let Some(source) = state.sources.get_mut(token) else { continue };
            let watcher = source.watcher;
            if let Reader::Parked(reader) = source.reader {
                state.wake(reader, Woken::Up);
            }
            state.wake(watcher, Woken::Up);
        }
    }

    // ANCHOR: begin
    /// Begins who was called: takes a stack, and lets it run at once.
    pub(super) fn begin(&self, source: Token) {
        let mut state = self.0.state.borrow_mut();
        let Some(at) = state.sources.get_mut(source) else { return };
        match std::mem::replace(&mut at.reader, Reader::Nobody) {
            Reader::Called(dormant) => {
                let number = dormant.number();
                trace::about(number);
                trace!("begin", "a coroutine, with a stack");
                match state.stacks.take() {
                    Ok(stack) => {
                        let task = state.add(stack, number, None, || dormant.begin());
                        drop(state);
                        self.0.resume(task);
                    }
                    Err(why) => {
                        drop(state);
                        trace!("stack", "none to be had: {why}");
                        dormant.no_stack(why);
                    }
                }
            }
            other => at.reader = other,
        }
    }
    // ANCHOR_END: begin

    /// Begins to watch a descriptor.
    pub(crate) fn register(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<Token> {
        let state = &mut *self.0.state.borrow_mut();
        let token = state.sources.insert(Source::new(interest));
        if let Err(error) = state.poller.register(fd, token, interest) {
            state.sources.remove(token);
            return Err(error);
        }
        Ok(token)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>, token: Token) {
        let state = &mut *self.0.state.borrow_mut();
        let _ = state.poller.deregister(fd, token); // it is closed in a moment
        state.rests.clear(token.index);
        state.sources.remove(token); // its reader is whoever calls this, or nobody
    }

    /// Looks at a descriptor's memory, or changes it.
    pub(crate) fn source<T: Default>(
        &self,
        token: Token,
        of: impl FnOnce(&mut Source<D>) -> T,
    ) -> T {
        let mut state = self.0.state.borrow_mut();
        state.sources.get_mut(token).map_or_else(T::default, of)
    }

    /// Writes down that this coroutine is about to wait, and has the poller told, if what
    /// is waited for at the descriptor has changed. An error is the poller's, or says that
    /// another waits for the same already, who would not be woken any more, or that the
    /// scheduler has ended.
    pub(crate) fn subscribe(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        until: Until,
    ) -> io::Result<()> {
        let state = &mut *self.0.state.borrow_mut();
        if state.over {
            return Err(io::Error::other("the scheduler has ended"));
        }
        let (Some(me), Some(source)) = (state.current, state.sources.get_mut(token))
        else {
            return Ok(());
        };
        if source.is_waited_for(until) {
            return Err(ErrorKind::ResourceBusy.into());
        }
        source.wait(until, me);
        let wanted = source.wanted();
        if source.interest != wanted {
            if let Err(error) = state.poller.reregister(fd, token, wanted) {
                source.wait_no_more(until);
                return Err(error);
            }
            source.interest = wanted;
        }
        Ok(())
    }

    pub(crate) fn unsubscribe(&self, token: Token, until: Until) {
        self.source(token, |source| source.wait_no_more(until));
    }
}

/// How another thread wakes a coroutine.
struct FromOutside<P, D> {
    injector: Injector<P, D>,
    who: Token,
}

impl<P: Poller + 'static, D: Dormant> Wake for FromOutside<P, D> {
    fn wake(self: Arc<Self>) {
        let who = self.who;
        // If the scheduler has ended, there is nobody to wake.
        let _ = self.injector.hand_in(move |handle| handle.wake(who));
    }
}
