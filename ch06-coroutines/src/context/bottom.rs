//! The bottom of a coroutine's stack: what lies there, how its body starts, and how it ends.
//!
//! Addresses grow upwards in this picture, and the stack grows downwards, from the bottom
//! of it (which is at the top):
//!
//! ```text
//!   Stack::top ──► ┌───────────────────────────────┐
//!                  │ Control: id, the Stack, what  │
//!                  │   it panicked with            │
//!                  ├───────────────────────────────┤
//!                  │ the body, a closure, until it │
//!                  │   is called                   │
//!                  ├───────────────────────────────┤
//!                  │ frames: start, run, the body… │
//!                  │               ▼               │
//!                  ╎                               ╎
//!                  └───────────────────────────────┘
//!                    the guard
//! ```
//!
//! So a coroutine needs no memory but its stack: to make one allocates nothing.
#![allow(unsafe_code)]

use super::{Arrival, Left, prepare, switch};
use crate::stack::Stack;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::{mem, process, thread};

/// What a switch into a coroutine asks of it.
pub(crate) const GO_ON: usize = 0;
/// To unwind: drop everything on its stack, and finish.
const UNWIND: usize = 1;

/// What a switch out of a coroutine says.
pub(crate) const SUSPENDED: usize = 0;
pub(crate) const FINISHED: usize = 1;
pub(crate) const PANICKED: usize = 2;

/// What lies at the top of the stack.
struct Control {
    /// Its name in messages.
    id: u64,
    /// The stack that this lies on.
    stack: Option<Stack>,
    /// What it panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

thread_local! {
    /// Where whoever has resumed the running coroutine waits; null outside of all.
    static RESUMER: Cell<Left> = const { Cell::new(ptr::null_mut()) };
}

/// What a coroutine that is told to unwind panics with. Nobody else can make one.
struct Dropped;

/// A stack with a body on it, whose only owner this is. It gives nothing back by
/// itself: that is [`crate::Coroutine`]'s business.
#[derive(Debug)]
pub(crate) struct Bottom {
    /// Where the coroutine was left; null when it has finished.
    left: Left,
    control: NonNull<Control>,
}

impl Bottom {
    /// Puts a body onto a stack; it runs when it is resumed for the first time.
    ///
    /// # Panics
    /// When the body itself would take more than a quarter of the stack.
    #[inline]
    pub(crate) fn lay<F: FnOnce() + 'static>(stack: Stack, id: u64, body: F) -> Bottom {
        assert!(
            size_of::<F>() + align_of::<F>() <= stack.size() / 4, // it is moved when it is called
            "a closure of {} bytes on a stack of {}",
            size_of::<F>(),
            stack.size()
        );
        let top = stack.top();
        let control: NonNull<Control> = below(top);
        let place: NonNull<F> = below(control.cast());
        let frames: NonNull<[u128; 0]> = below(place.cast());
        // SAFETY: all three are within the stack, whose upper half has room for them, and
        // aligned by `below`; and nobody else's, as the stack was ours alone.
        unsafe { place.write(body) };
        let words = Control { id, stack: Some(stack), panic: None };
        // SAFETY: the same.
        unsafe { control.write(words) };
        // SAFETY: the same; `frames` is 16-byte aligned, and the lower half of the stack
        // is still below it.
        let left =
            unsafe { prepare(frames.as_ptr().cast(), run::<F>, control.as_ptr().cast()) };
        Bottom { left, control }
    }

    // ANCHOR: resume
    /// Goes on with the coroutine until it suspends or ends, and says which.
    ///
    /// # Panics
    /// When it has finished.
    #[inline]
    pub(crate) fn resume(&mut self, message: usize) -> usize {
        assert!(!self.left.is_null(), "a coroutine that has finished was resumed");
        let outer = RESUMER.get();
        let Arrival { from, message: said } = if outer.is_null() {
            // SAFETY: `left` was made by `prepare`, or is where `suspend` has left this
            // stack last: each switch back brings it anew. The stack exists, as its owner is
            // here. This value is not Send, so it is the same thread.
            let arrival = unsafe { switch(self.left, message) };
            RESUMER.set(ptr::null_mut());
            arrival
        } else {
            // SAFETY: the same.
            unsafe { nested(self.left, message, outer) }
        };
        self.left = if said == SUSPENDED { from } else { ptr::null_mut() };
        said
    }
    // ANCHOR_END: resume

    /// Whether it has come to its end.
    #[inline]
    pub(crate) fn has_finished(&self) -> bool {
        self.left.is_null()
    }

    /// The name that it was given.
    pub(crate) fn id(&self) -> u64 {
        // SAFETY: the control block lives as long as this owns its stack, and the coroutine
        // does not run now: who resumes it has this by `&mut` until it stops.
        unsafe { self.control.as_ref() }.id
    }

    /// What it panicked with, once.
    #[inline]
    pub(crate) fn take_panic(&mut self) -> Option<Box<dyn Any + Send>> {
        // SAFETY: as in `id`, and this is by `&mut`.
        unsafe { self.control.as_mut() }.panic.take()
    }

    /// Has it drop everything on its stack, and finish.
    #[cold]
    pub(crate) fn unwind(&mut self) {
        let before = thread::panicking();
        // One who catches that, and suspends again, is told again.
        while self.resume(UNWIND) == SUSPENDED {
            if thread::panicking() && !before {
                // Nobody will bring about what this destructor waits for, and no panic
                // may leave it. (With `before` Rust finds the latter out, and aborts too.)
                eprintln!(
                    "coroutine {} is dropped, and a destructor on its stack has suspended it",
                    self.id()
                );
                process::abort();
            }
        }
        // If it has panicked on its way, the hook has said so, and it ends here.
        drop_quietly(self.take_panic());
    }

    /// Takes the stack back; once, and only when the coroutine has finished. None
    /// otherwise: then frames are on it that somebody may have lent to others.
    #[inline]
    pub(crate) fn take_stack(&mut self) -> Option<Stack> {
        if !self.has_finished() {
            return None;
        }
        // SAFETY: as in `take_panic`.
        unsafe { self.control.as_mut() }.stack.take()
    }
}

/// Drops what a body has left, whose destructor may panic in its turn: it is no fault of who
/// has to drop it, and goes no further either.
pub(crate) fn drop_quietly<T>(left: T) {
    quietly(|| drop(left));
}

/// Calls anybody's code, whose panic goes no further.
pub(crate) fn quietly(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        mem::forget(panic); // for it could do so again, and again
    }
}

/// The highest place for a `T`, aligned for it and for the stack, below an address.
#[inline]
fn below<T>(address: NonNull<u8>) -> NonNull<T> {
    let align = align_of::<T>().max(16);
    let spare = (address.addr().get() - size_of::<T>()) % align;
    // SAFETY: called only with addresses in the upper half of a stack, for something
    // that the assertion in `lay` has found to fit.
    unsafe { address.sub(size_of::<T>() + spare) }.cast()
}

/// The same switch where a coroutine resumes another. It stands by itself so that the
/// usual one has nothing to remember; and it is `extern "C"`, which does not unwind, so
/// that nothing need be in memory in case it does. A switch costs hardly more than the
/// words that it stores, and that is two words.
///
/// # Safety
/// As `switch`.
#[cold]
#[inline(never)]
unsafe extern "C" fn nested(left: Left, message: usize, outer: Left) -> Arrival {
    // SAFETY: by the caller's promise.
    let arrival = unsafe { switch(left, message) };
    RESUMER.set(outer);
    arrival
}

/// Whether a coroutine runs here, on this thread.
#[inline]
pub(crate) fn is_inside() -> bool {
    !RESUMER.get().is_null()
}

// ANCHOR: suspend
/// Goes back to whoever has resumed this coroutine; returns when it is resumed again.
///
/// # Panics
/// Outside of a coroutine.
#[inline]
pub(crate) fn suspend() {
    let resumer = RESUMER.get();
    assert!(!resumer.is_null(), "only a coroutine can be suspended");
    // SAFETY: a coroutine runs, and its resumer was left there by the switch in `resume`,
    // on this thread, and waits for this.
    let Arrival { from, message } = unsafe { switch(resumer, SUSPENDED) };
    RESUMER.set(from);
    if message == UNWIND {
        unwind();
    }
}
// ANCHOR_END: suspend

/// Drops all that is on this stack: `run` catches it.
#[cold]
fn unwind() -> ! {
    resume_unwind(Box::new(Dropped)) // no hook, and a box of nothing allocates nothing
}

// ANCHOR: run
/// The first function on a coroutine's stack, and the last.
unsafe extern "C" fn run<F: FnOnce()>(from: Left, message: usize, control: *mut u8) -> ! {
    RESUMER.set(from);
    // SAFETY: `lay` has passed its control block, and it is not null.
    let mut control: NonNull<Control> = unsafe { NonNull::new_unchecked(control) }.cast();
    let place: NonNull<F> = below(control.cast());
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `lay::<F>` has put the body there, and this runs once.
        let body = unsafe { place.read() };
        if message == UNWIND { drop(body) } else { body() }
    }));
    let said = match ended {
        Ok(()) => FINISHED,
        Err(panic) if panic.is::<Dropped>() => FINISHED,
        Err(panic) => {
            // SAFETY: the coroutine runs, so the control block is its own.
            unsafe { control.as_mut() }.panic = Some(panic);
            PANICKED
        }
    };
    // SAFETY: whoever has resumed this last waits there, on this thread. Nobody comes back:
    // `resume` refuses one that has finished. And nothing on this stack is needed any
    // more: every local is moved out or dropped.
    unsafe { switch(RESUMER.get(), said) };
    unreachable!("a coroutine that has finished was resumed")
}
// ANCHOR_END: run

/// The id of the coroutine whose stack has this top. For the handler of overflows.
///
/// # Safety
/// `top` is that of a stack on which a coroutine has begun, or of one that was never
/// used, which is zero.
pub(crate) unsafe fn id_at(top: NonNull<u8>) -> u64 {
    let control: NonNull<Control> = below(top);
    // SAFETY: by the caller's promise these bytes are a Control's or zero. Only the one
    // word is looked at, since the coroutine may have been in the middle of something.
    unsafe { (*control.as_ptr()).id }
}
