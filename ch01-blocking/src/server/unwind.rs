//! Catching panics, but not a cancellation.
//!
//! A server catches the panics of its application, so that each costs one connection. Not
//! everything that unwinds a stack is a panic: chapter 6 ends a suspended coroutine by
//! unwinding it with [`Cancelled`]. Code that catches it and continues would keep such a
//! coroutine alive, so [`catch`] lets a cancellation pass.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The payload of an unwinding that is no panic: the stack of a suspended coroutine is
/// being dropped. Outside of [`while_cancelling`] it is a panic like any other.
#[derive(Debug)]
pub struct Cancelled;

thread_local! {
    /// Whether this thread is in [`while_cancelling`].
    static CANCELLING: Cell<bool> = const { Cell::new(false) };
}

/// Calls a function that cancels a coroutine, whose stack is another one. Until it returns,
/// [`catch`] lets [`Cancelled`] pass. Anything may unwind with `Cancelled`, since it is
/// public; but on the stack that called this, a `Cancelled` has left this function before it
/// comes to a `catch`.
pub fn while_cancelling<T>(cancel: impl FnOnce() -> T) -> T {
    /// Restores the flag, also if the function unwinds.
    struct Outer(bool);

    impl Drop for Outer {
        fn drop(&mut self) {
            CANCELLING.set(self.0);
        }
    }

    let _outer = Outer(CANCELLING.replace(true));
    cancel()
}

/// Calls a function, and returns its panic as an error. A cancellation continues to unwind.
///
/// The caller vouches that a panic of the function leaves no broken state behind.
///
/// # Errors
///
/// The panic's payload.
#[inline]
pub fn catch<T>(call: impl FnOnce() -> T) -> thread::Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Err(payload) if payload.is::<Cancelled>() && CANCELLING.get() => {
            resume_unwind(payload)
        }
        result => result,
    }
}
