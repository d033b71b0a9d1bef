//! Catching panics, but not the cancellation of a coroutine.
//!
//! A server catches the panics of its application, so that each costs one connection. Not
//! everything that unwinds a stack is a panic: chapter 6 ends a suspended coroutine by
//! unwinding it with [`Cancelled`]. Code that catches this unwinding and continues would
//! keep the coroutine alive, so [`catch`] lets a cancellation pass.
//!
//! ```
//! use ch01_blocking::server::unwind::catch;
//!
//! assert_eq!(catch(|| 42).expect("no panic"), 42);
//! assert!(catch::<()>(|| panic!("costs one connection")).is_err());
//! ```

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The payload of an unwinding that is no panic: the stack of a suspended coroutine is
/// being dropped. Outside of [`while_cancelling`], a `Cancelled` is the payload of a
/// panic like any other.
#[derive(Debug)]
pub struct Cancelled;

thread_local! {
    /// Whether this thread is inside [`while_cancelling`].
    static CANCELLING: Cell<bool> = const { Cell::new(false) };
}

/// Calls a function that cancels a coroutine, by unwinding the coroutine's stack. Until the
/// function returns, [`catch`] lets [`Cancelled`] pass.
///
/// Any code may unwind with `Cancelled`, because the type is public. If `cancel` itself
/// does so, the unwinding leaves `while_cancelling` before it reaches a [`catch`] of the
/// caller, which therefore treats the unwinding as a panic.
pub fn while_cancelling<T>(cancel: impl FnOnce() -> T) -> T {
    /// A guard that restores the previous value of [`CANCELLING`] when dropped, also while
    /// unwinding.
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
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        match payload.is::<Cancelled>() && CANCELLING.get() {
            true => resume_unwind(payload),
            false => payload,
        }
    })
}
