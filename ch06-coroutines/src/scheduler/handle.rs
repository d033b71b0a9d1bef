//! What a coroutine asks of its scheduler.

use super::{Core, Dormant};
use crate::coroutine::suspend;
use crate::injector::Injector;
use crate::join::{Join, Packet};
use crate::reactor::{self, Reactor, Watch};
use crate::run_queue::Turn;
use crate::stack::Stacks;
use crate::task::{Ends, State, Woken};
use ch01_blocking::server::trace::{self, trace};
use ch03_nonblocking::poller::{Poller, Token};
use std::io::{self, ErrorKind};
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
    /// An error as there.
    pub fn spawn_for<T: 'static>(
        &self,
        number: u64,
        body: impl FnOnce(&Handle<P, D>) -> T + 'static,
    ) -> io::Result<Join<T, P, D>> {
        let packet = Rc::new(Packet::new());
        let (handle, theirs) = (self.clone(), packet.clone());
        let ends: Rc<dyn Ends> = packet.clone();
        let mut state = self.0.state.borrow_mut();
        if state.over {
            return Err(io::Error::other("the scheduler has ended"));
        }
        let stack = state.stacks.take()?;
        drop(state);
        let body = move || theirs.put(body(&handle));
        let task = self.0.add(stack, number, Some(ends), body);
        self.0.state.borrow_mut().reactor.queue.push(Turn::Resume(task));
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
        state.reactor.queue.push(Turn::Resume(token));
        drop(state);
        suspend();
    }

    /// Parks until so much time is over.
    pub fn sleep(&self, time: Duration) {
        // The round may have begun a while ago.
        let until = Instant::now() + time;
        while self.now() < until && self.park(Some(until)) == Woken::Up {}
    }

    /// Leaves a connection with the scheduler, without a stack, until there is something
    /// to read or `due` has passed, which may be now. An error is the poller's, and the
    /// connection is closed.
    pub fn rest(&self, dormant: D, due: Instant) -> io::Result<()> {
        reactor::rest(self, dormant, due)
    }

    /// Calls everybody who rests and wakes who waits for a client's word or its leaving, for
    /// each to see what has changed.
    pub fn call_all(&self) {
        let waiting = self.reactor(|reactor| {
            reactor.call_all();
            reactor.waiting()
        });
        waiting.into_iter().for_each(|who| self.wake(who));
    }

    // ANCHOR: begin
    /// Begins who was called: takes a stack, and lets it run at once.
    pub(super) fn begin_called(&self, source: Token) {
        let mut state = self.0.state.borrow_mut();
        let Some(dormant) = state.reactor.take_called(source) else { return };
        let number = dormant.number();
        trace::set_connection(number);
        trace!("begin", "a coroutine, with a stack");
        let stack = state.stacks.take();
        drop(state);
        match stack {
            Ok(stack) => {
                let task = self.0.add(stack, number, None, || dormant.begin());
                self.0.resume(task);
            }
            Err(why) => {
                trace!("stack", "none to be had: {why}");
                dormant.no_stack(why);
            }
        }
    }
    // ANCHOR_END: begin
}

impl<P: Poller + 'static, D: Dormant> Watch for Handle<P, D> {
    type Poller = P;
    type Resting = D;
    type Waiter = Token;

    fn reactor<T>(&self, of: impl FnOnce(&mut Reactor<P, D, Token>) -> T) -> T {
        of(&mut self.0.state.borrow_mut().reactor)
    }

    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wake(&self, token: Token) {
        Handle::wake(self, token);
    }

    fn begin(&self, who: D) -> io::Result<()> {
        self.spawn_for(who.number(), |_| who.begin()).map(drop)
    }
}

/// How another thread wakes a coroutine.
struct FromOutside<P, D> {
    injector: Injector<P, D>,
    who: Token,
}

impl<P: Poller + 'static, D: Dormant> Wake for FromOutside<P, D> {
    fn wake(self: Arc<Self>) {
        // If the scheduler has ended, there is nobody to wake.
        let _ = self.injector.wake(self.who);
    }
}
