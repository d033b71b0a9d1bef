//! Catching panics, but not a cancellation.
//!
//! A server catches the panics of its application, so that each costs one connection. Not
//! everything that unwinds a stack is a panic: chapter 6 ends a suspended coroutine by
//! unwinding it with [`Cancelled`]. Code that catches it and continues would keep such a
//! coroutine alive, so [`catch`] lets a cancellation pass.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The payload of an unwinding that is no panic: the stack of a suspended coroutine is
/// being dropped.
#[derive(Debug)]
pub struct Cancelled;

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
        Err(payload) if payload.is::<Cancelled>() => resume_unwind(payload),
        result => result,
    }
}
