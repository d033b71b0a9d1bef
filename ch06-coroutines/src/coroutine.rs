//! A coroutine: a function that can stop in the middle, and go on there later.
//!
//! ```
//! use ch06_coroutines::{Coroutine, Resumed, Stacks, suspend};
//!
//! let mut stacks = Stacks::new(Stacks::DEFAULT_SIZE)?;
//! let mut greeter = Coroutine::new(stacks.take()?, 1, || {
//!     println!("Hello,");
//!     suspend();
//!     println!("world!");
//! });
//! assert!(matches!(greeter.resume(), Resumed::Suspended));
//! println!("whoever you are,");
//! assert!(matches!(greeter.resume(), Resumed::Finished));
//! stacks.give_back(greeter.into_stack());
//! # std::io::Result::Ok(())
//! ```
//!
//! It stays on the thread that made it. Its stack holds whatever the compiler put there,
//! and nobody can know whether that may move to another thread.
//!
//! One thing here is safe only by convention, and neither the compiler nor this crate sees
//! to it: **do not keep a suspended coroutine in a thread-local.** The thread's other locals
//! may be destroyed before it. If it stands in the middle of a
//! [`with`](std::thread::LocalKey::with) of one of these, it has a reference to that, and
//! a destructor on its stack may use it. (The [scheduler](crate::scheduler) keeps none so.)

use crate::context::bottom::{self, Bottom, FINISHED, GO_ON, SUSPENDED};
use crate::stack::Stack;
use std::any::Any;
use std::mem;

/// A function on a stack of its own.
///
/// To drop one that is suspended unwinds its stack first: every destructor there runs,
/// as if its `suspend` had panicked. A body that catches this and suspends again is told
/// again, so one that does so for ever is never dropped. The stack itself is lost to its pool
/// then; who wants it back takes it by [`into_stack`](Coroutine::into_stack).
#[derive(Debug)]
pub struct Coroutine {
    bottom: Bottom,
}

/// How a [`resume`](Coroutine::resume) ended.
#[derive(Debug)]
pub enum Resumed {
    /// By [`suspend`]: there is more to come.
    Suspended,
    /// The body has returned.
    Finished,
    /// The body has panicked, with this. It has finished too.
    Panicked(Box<dyn Any + Send>),
}

impl Coroutine {
    /// Puts a body onto a stack. It does not run yet.
    ///
    /// The id names it where its stack overflows. To make one allocates nothing: the
    /// closure itself is moved to its stack.
    ///
    /// # Panics
    /// When the closure is larger than a quarter of the stack.
    #[inline]
    pub fn new(stack: Stack, id: u64, body: impl FnOnce() + 'static) -> Coroutine {
        Coroutine { bottom: Bottom::lay(stack, id, body) }
    }

    /// Runs the body, from where it stopped, until it stops again. A panic in it comes
    /// back as a value, and goes no further.
    ///
    /// # Panics
    /// When the body has finished.
    #[inline]
    pub fn resume(&mut self) -> Resumed {
        match self.bottom.resume(GO_ON) {
            SUSPENDED => Resumed::Suspended,
            FINISHED => Resumed::Finished,
            _ => match self.bottom.take_panic() {
                Some(panic) => Resumed::Panicked(panic),
                None => Resumed::Finished,
            },
        }
    }

    /// Whether the body has come to its end.
    pub fn has_finished(&self) -> bool {
        self.bottom.has_finished()
    }

    /// The id that it was given.
    pub fn id(&self) -> u64 {
        self.bottom.id()
    }

    /// Ends it, if it has not finished, as dropping it would, and takes its stack.
    #[inline]
    pub fn into_stack(mut self) -> Stack {
        self.shutdown_write();
        match self.bottom.take_stack() {
            Some(stack) => {
                mem::forget(self); // what it refers to lies on that stack
                stack
            }
            None => unreachable!("it has finished, and has its stack"),
        }
    }

    /// Sees that nothing is left on the stack.
    #[inline]
    fn shutdown_write(&mut self) {
        if !self.bottom.has_finished() {
            self.bottom.unwind();
        }
    }
}

impl Drop for Coroutine {
    #[inline]
    fn drop(&mut self) {
        self.shutdown_write();
    }
}

/// Stops the coroutine that runs here: its [`resume`](Coroutine::resume) returns. This
/// returns when it is resumed again; it unwinds if the coroutine is dropped instead.
///
/// A destructor should not call it. If it runs because the coroutine is dropped, nobody is
/// there to wait for, and the process is aborted with a message. If it runs because of a
/// panic, this works, but meanwhile the whole thread counts as panicking.
///
/// # Panics
/// Outside of a coroutine.
#[inline]
pub fn suspend() {
    bottom::suspend();
}

/// Whether this runs in a coroutine.
#[inline]
pub fn is_inside() -> bool {
    bottom::is_inside()
}
