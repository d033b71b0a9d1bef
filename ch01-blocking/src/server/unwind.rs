//! Catching panics, but not a cancellation.
//!
//! A server catches the panics of its application, so that each costs one connection. Not
//! everything that unwinds a stack is a panic: chapter 6 ends a suspended coroutine by
//! unwinding it with [`Cancelled`]. Code that catches and continues would keep such a
//! coroutine alive, so whatever catches here lets that pass.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The payload of an unwinding that is no panic: the stack is being dropped.
#[derive(Debug)]
pub struct Cancelled;

/// Calls a function. Returns its panic as a value, and passes a cancellation on.
///
/// The caller vouches for what the function may leave half done.
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
