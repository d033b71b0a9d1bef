//! The switch as one would write it first, and as one would mend it: for the book, which
//! asks why they are slower than [`super::switch`], and `lab switch`, which measures it.
//!
//! Both are *functions*, so the compiler knows what they may change: what the calling
//! convention says. The rest, the callee-saved registers, they save themselves. The
//! frame that they leave is the same for both, and has this at the top, which is all that
//! is known of it outside: where to go on.
#![allow(unsafe_code)]

use super::{Entry, Left};
use crate::stack::Stack;
use std::marker::PhantomData;
use std::ptr;

/// A way to switch.
pub trait Form {
    /// As [`super::prepare`], for this form.
    ///
    /// # Safety
    /// As there.
    #[doc(hidden)]
    unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> Left;
    /// As [`super::switch`].
    ///
    /// # Safety
    /// As there; and `to` was left by the same form.
    #[doc(hidden)]
    unsafe fn switch(to: Left) -> Left;
}

/// The switch that coroutines use.
#[derive(Debug)]
pub struct Inlined;

impl Form for Inlined {
    unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> Left {
        // SAFETY: by the caller's promise.
        unsafe { super::prepare(top, entry, argument) }
    }

    #[inline(always)]
    unsafe fn switch(to: Left) -> Left {
        // SAFETY: by the caller's promise.
        unsafe { super::switch(to, 0) }.from
    }
}

/// Two stacks that go back and forth, and do nothing else.
#[derive(Debug)]
pub struct Pair<F> {
    there: Left,
    stack: Stack,
    form: PhantomData<F>,
}

impl<F: Form> Pair<F> {
    /// The other side stands ready on this stack.
    pub fn new(stack: Stack) -> Pair<F> {
        // SAFETY: the stack is ours alone, and larger than a frame.
        let there =
            unsafe { F::prepare(stack.top().as_ptr(), echo::<F>, ptr::null_mut()) };
        Pair { there, stack, form: PhantomData }
    }

    /// Goes to the other side, and comes back.
    #[inline(always)]
    pub fn round_trip(&mut self) {
        // SAFETY: made by `prepare`, or left by the other side, which does nothing but
        // come back; on this thread, as this is not Send.
        self.there = unsafe { F::switch(self.there) };
    }

    /// The stack again: nothing on the other side needs to be dropped.
    pub fn into_stack(self) -> Stack {
        self.stack
    }
}

/// The other side.
unsafe extern "C" fn echo<F: Form>(mut from: Left, _: usize, _: *mut u8) -> ! {
    loop {
        // SAFETY: whoever came here has left there, and waits.
        from = unsafe { F::switch(from) };
    }
}
