//! What the scheduler knows of a coroutine.

use crate::coroutine::Coroutine;
use ch03_nonblocking::poller::Token;
use std::any::Any;
use std::rc::Rc;

/// One coroutine, as its scheduler sees it.
pub(crate) struct Task {
    /// Not here while it runs: then it is the scheduler's hands that hold it.
    pub(crate) coroutine: Option<Coroutine>,
    /// The connection that it is about, for the trace; 0 for none.
    pub(crate) number: u64,
    pub(crate) state: State,
    /// Why it was woken last.
    pub(crate) woken: Woken,
    /// Who is to be told how it ends, if anybody cares.
    pub(crate) ends: Option<Rc<dyn Ends>>,
}

/// Where a coroutine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// On the processor.
    Running,
    /// In the run queue.
    Queued,
    /// Waiting to be woken.
    Parked {
        /// Whether it has a deadline.
        timed: bool,
    },
}

/// Why a parked coroutine goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody woke it: what it waits for may have come.
    Up,
    /// Its deadline has passed.
    TimedOut,
}

/// What hears of a coroutine's end.
pub(crate) trait Ends {
    /// It has ended, perhaps by a panic. Says who waits for that.
    fn ended(&self, how: Result<(), Box<dyn Any + Send>>) -> Option<Token>;
}
