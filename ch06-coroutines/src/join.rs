//! Waiting for another coroutine's end.

use crate::scheduler::{Dormant, Handle};
use crate::task::Ends;
use ch03_nonblocking::poller::{Poller, Token};
use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;
use std::thread;

/// What two coroutines share, of whom one waits for the other's end.
pub(crate) struct Packet<T> {
    result: Cell<Option<thread::Result<T>>>,
    pub(crate) ended: Cell<bool>,
    waiter: Cell<Option<Token>>,
}

impl<T> Packet<T> {
    pub(crate) fn new() -> Packet<T> {
        Packet {
            result: Cell::new(None),
            ended: Cell::new(false),
            waiter: Cell::new(None),
        }
    }

    pub(crate) fn put(&self, value: T) {
        self.result.set(Some(Ok(value)));
    }

    pub(crate) fn take(&self) -> Option<thread::Result<T>> {
        match self.result.take() {
            None if self.ended.get() => Some(Err(Box::new("it was unwound"))),
            result => result,
        }
    }
}

impl<T> Ends for Packet<T> {
    fn ended(&self, how: Result<(), Box<dyn Any + Send>>) -> Option<Token> {
        if let Err(panic) = how {
            self.result.set(Some(Err(panic)));
        }
        self.ended.set(true);
        self.waiter.take()
    }
}

/// Another coroutine, whose end can be waited for.
pub struct Join<T, P: Poller + 'static, D: Dormant> {
    pub(crate) task: Token,
    pub(crate) packet: Rc<Packet<T>>,
    pub(crate) handle: Handle<P, D>,
}

impl<T, P: Poller + 'static, D: Dormant> Join<T, P, D> {
    /// Whose end it is.
    pub fn token(&self) -> Token {
        self.task
    }

    /// Whether it has come.
    pub fn has_ended(&self) -> bool {
        self.packet.ended.get()
    }

    /// Has this coroutine woken when it comes, however it comes, and be it by a panic. Only
    /// one is woken; who joins takes the place.
    pub fn wakes(&self, who: Token) {
        self.packet.waiter.set(Some(who));
    }

    // ANCHOR: join
    /// Parks until the other has ended. Says what it came to, or that it panicked; or, as
    /// if it had, that the scheduler has ended: then nobody runs any more.
    pub fn join(self) -> thread::Result<T> {
        loop {
            if let Some(result) = self.packet.take() {
                return result;
            }
            if self.handle.is_over() {
                return Err(Box::new("the scheduler has ended"));
            }
            // Nothing can happen between the look and the park: nobody else runs.
            self.packet.waiter.set(self.handle.current());
            self.handle.park(None);
        }
    }
    // ANCHOR_END: join
}
