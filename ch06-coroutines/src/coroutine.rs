//! A coroutine: a function on a stack of its own, which can stop in the middle and continue
//! there later.
//!
//! ```
//! use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
//!
//! let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
//! let body = || {
//!     println!("Hello,");
//!     suspend();
//!     println!("world!");
//! };
//! // SAFETY: the body uses no thread-local across its `suspend`, and nothing leaks it.
//! let mut greeter = unsafe { Coroutine::new(stacks.take()?, 1, body) };
//! assert!(matches!(greeter.resume(), Resumed::Suspended));
//! println!("dear");
//! assert!(matches!(greeter.resume(), Resumed::Finished));
//! stacks.give_back(greeter.into_stack());
//! # std::io::Result::Ok(())
//! ```
//!
//! A coroutine stays on the thread that created it: its stack holds whatever the compiler
//! put there, and nothing says whether that may move to another thread.
//!
//! # What lies on the stack
//!
//! Addresses grow upwards in this drawing, and the stack grows downwards:
//!
//! ```text
//!   Stack::top ──► ┌───────────────────────────────┐
//!                  │ Control: the Stack, the panic │
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
//! So a coroutine needs no memory but its stack, and creating one allocates nothing.
#![allow(unsafe_code)]

use crate::context::processor::{prepare, switch};
use crate::context::{SavedSp, Switched};
use crate::stack::Stack;
use ch01_blocking::server::log;
use ch01_blocking::server::unwind::{self, Cancelled};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::{mem, process, thread};

/// A message into a coroutine: continue.
const RESUME: usize = 0;
/// A message into a coroutine: drop everything on the stack, and finish.
const UNWIND: usize = 1;
/// A message out of a coroutine: it has suspended.
const SUSPENDED: usize = 0;
/// A message out of a coroutine: its body has returned or panicked.
const ENDED: usize = 1;

/// What resumes a coroutine: code that calls [`Coroutine::resume`], or a runtime's scheduler,
/// named by its address. A coroutine suspends only for its own; so one of a runtime cannot
/// park in another, where no wake-up would reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)] // it is passed to an `extern "C"` function
pub(crate) struct Owner(usize);

impl Owner {
    /// Code that calls [`Coroutine::resume`].
    const CALLER: Owner = Owner(0);

    /// A scheduler.
    #[inline]
    pub(crate) fn scheduler<T>(scheduler: &T) -> Owner {
        Owner(ptr::from_ref(scheduler).addr())
    }
}

/// What lies at the top of the stack.
struct Control {
    /// The stack that this lies on, labeled with the number that names the coroutine.
    stack: Option<Stack>,
    /// What it panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

thread_local! {
    /// Where the stack was left that has resumed the running coroutine; null outside of
    /// coroutines.
    static RESUMER: Cell<SavedSp> = const { Cell::new(ptr::null_mut()) };
    /// The scheduler that has resumed it. Where none has, and outside of coroutines, it is
    /// `Owner::CALLER`.
    static OWNER: Cell<Owner> = const { Cell::new(Owner::CALLER) };
}

/// A function on a stack of its own.
///
/// Dropping a suspended coroutine unwinds its stack first: every destructor there runs, as
/// if its `suspend` had panicked. A body that catches this and suspends again is unwound
/// again, so one that does so forever is never dropped. The stack itself is then lost to its
/// pool; [`into_stack`](Coroutine::into_stack) returns it.
#[derive(Debug)]
pub struct Coroutine {
    /// Where the coroutine was left; null when it has finished.
    left: SavedSp,
    control: NonNull<Control>,
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
    /// Puts a body onto a stack. It does not run yet. `id` names the coroutine in messages,
    /// for example when its stack overflows.
    ///
    /// # Panics
    ///
    /// If the closure is larger than a quarter of the stack.
    ///
    /// # Safety
    ///
    /// While a coroutine is suspended, other code of its thread runs *in the middle of*
    /// whatever has called `suspend`. Rust promises to safe code that some things are never
    /// left in the middle, so it is the caller who has to see to these:
    ///
    /// - Nothing suspends inside the initializer or the destructor of a thread-local
    ///   variable. (Another coroutine could initialize the variable meanwhile; when the
    ///   first one continues, `std` replaces the value under the other's reference.)
    /// - The coroutine is no longer suspended when its thread ends, if it holds a
    ///   reference to a thread-local, as inside of
    ///   [`LocalKey::with`](std::thread::LocalKey::with), or has lent one to another
    ///   thread. So it must not be leaked, nor be kept in a thread-local itself: it is to be
    ///   resumed to its end, or dropped.
    #[inline]
    pub unsafe fn new<F: FnOnce() + 'static>(
        mut stack: Stack,
        id: u64,
        body: F,
    ) -> Coroutine {
        assert!(
            size_of::<F>() + align_of::<F>() <= stack.size() / 4, // it is moved when called
            "a closure of {} bytes on a stack of {}",
            size_of::<F>(),
            stack.size()
        );
        stack.set_label(id);
        let control: NonNull<Control> = below(stack.top());
        let place: NonNull<F> = below(control.cast());
        let frames: NonNull<[u128; 0]> = below(place.cast());
        // SAFETY: all three are within the stack, whose upper half has room for them, and
        // aligned by `below`; the stack is owned, so nothing else refers to them.
        unsafe { place.write(body) };
        // SAFETY: as above.
        unsafe { control.write(Control { stack: Some(stack), panic: None }) };
        // SAFETY: as above; `frames` is 16-byte aligned, and the lower half of the stack is
        // still below it.
        let left =
            unsafe { prepare(frames.as_ptr().cast(), run::<F>, control.as_ptr().cast()) };
        Coroutine { left, control }
    }

    /// Runs the body from where it stopped until it stops again. A panic in it is returned
    /// as a value.
    ///
    /// # Panics
    ///
    /// If the body has finished.
    #[inline]
    pub fn resume(&mut self) -> Resumed {
        self.resume_as(Owner::CALLER)
    }

    /// Does the same on behalf of `owner`.
    #[inline]
    pub(crate) fn resume_as(&mut self, owner: Owner) -> Resumed {
        match self.switch_to(RESUME, owner) {
            SUSPENDED => Resumed::Suspended,
            _ => match self.control().panic.take() {
                Some(panic) => Resumed::Panicked(panic),
                None => Resumed::Finished,
            },
        }
    }

    // ANCHOR: resume
    /// Continues the coroutine until it suspends or ends. Returns its message.
    #[inline]
    fn switch_to(&mut self, message: usize, owner: Owner) -> usize {
        assert!(!self.left.is_null(), "a coroutine that has finished was resumed");
        let outer = RESUMER.get();
        let Switched { from, message } = if outer.is_null() {
            if owner != Owner::CALLER {
                OWNER.set(owner);
            }
            // SAFETY: `left` was made by `prepare`, or is where `suspend` has left this
            // stack last: each switch back renews it. The stack exists, as its owner is
            // here. This value is not Send, so it is the same thread.
            let switched = unsafe { switch(self.left, message) };
            RESUMER.set(ptr::null_mut());
            if owner != Owner::CALLER {
                OWNER.set(Owner::CALLER);
            }
            switched
        } else {
            // SAFETY: as above.
            unsafe { nested(self.left, message, owner, outer) }
        };
        self.left = if message == SUSPENDED { from } else { ptr::null_mut() };
        message
    }
    // ANCHOR_END: resume

    /// Returns whether the body has come to its end.
    #[inline]
    pub fn has_finished(&self) -> bool {
        self.left.is_null()
    }

    /// Gives it another id.
    pub(crate) fn set_id(&mut self, id: u64) {
        self.control().stack.iter_mut().for_each(|stack| stack.set_label(id));
    }

    /// Ends the coroutine, if it has not finished, as dropping it would, and returns its
    /// stack.
    #[inline]
    pub fn into_stack(mut self) -> Stack {
        self.finish();
        let stack = self.control().stack.take();
        mem::forget(self); // what it refers to lies on that stack
        let Some(stack) = stack else { unreachable!("only this takes the stack") };
        stack
    }

    #[inline]
    fn control(&mut self) -> &mut Control {
        // SAFETY: the control block lives as long as this owns its stack, and this is by `&mut`.
        // The coroutine does not run now: while it does, `switch_to` has this by `&mut`.
        unsafe { self.control.as_mut() }
    }

    /// Leaves nothing on the stack.
    #[inline]
    fn finish(&mut self) {
        if !self.has_finished() {
            self.unwind();
        }
    }

    /// Makes the coroutine drop everything on its stack, and finish.
    #[cold]
    fn unwind(&mut self) {
        let before = thread::panicking();
        // One that catches the unwinding, and suspends again, is unwound again.
        while unwind::while_cancelling(|| self.switch_to(UNWIND, Owner::CALLER))
            == SUSPENDED
        {
            if thread::panicking() && !before {
                // Nothing will bring about what this destructor waits for, and no panic may
                // leave it. (With `before` Rust detects the latter, and aborts too.)
                log::line(&format!(
                    "coroutine {} is dropped, and a destructor on its stack has suspended it",
                    self.control().stack.as_ref().map_or(0, Stack::label)
                ));
                process::abort();
            }
        }
        // If it has panicked on the way, the hook has reported that, and it ends here.
        drop_quietly(self.control().panic.take());
    }
}

impl Drop for Coroutine {
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}

/// Drops a value whose destructor may panic: that panic ends here.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly(|| drop(value));
}

/// Calls foreign code, whose panic ends here. The cancellation of a coroutine passes.
pub(crate) fn quietly(call: impl FnOnce()) {
    if let Err(panic) = unwind::catch(call) {
        mem::forget(panic); // its destructor could panic in turn
    }
}

/// Returns the highest place for a `T`, aligned for it and for the stack, below an address.
#[inline]
fn below<T>(address: NonNull<u8>) -> NonNull<T> {
    let align = align_of::<T>().max(16);
    let spare = (address.addr().get() - size_of::<T>()) % align;
    // SAFETY: called only with addresses in the upper half of a stack, for something that
    // the assertion in `Coroutine::new` has found to fit.
    unsafe { address.sub(size_of::<T>() + spare) }.cast()
}

/// The switch where a coroutine resumes another. It stands by itself so that the usual one
/// has nothing to remember; and it is `extern "C"`, which does not unwind, so that nothing
/// need be in memory in case it does.
///
/// # Safety
///
/// As `switch`.
#[cold]
#[inline(never)]
unsafe extern "C" fn nested(
    left: SavedSp,
    message: usize,
    owner: Owner,
    outer: SavedSp,
) -> Switched {
    let outer_owner = OWNER.replace(owner);
    // SAFETY: by the caller's promise.
    let switched = unsafe { switch(left, message) };
    RESUMER.set(outer);
    OWNER.set(outer_owner);
    switched
}

/// Stops the running coroutine: its [`resume`](Coroutine::resume) returns. Returns when the
/// coroutine is resumed again; unwinds if it is dropped instead.
///
/// A destructor should not call it. One that runs because the coroutine is dropped has
/// nothing to wait for, and the process is aborted with a message. One that runs because of
/// a panic may wait, but meanwhile the whole thread counts as panicking; if the coroutine is
/// dropped during that wait, Rust aborts the process.
///
/// # Panics
///
/// Outside of a coroutine, and in a coroutine of a [`Runtime`](crate::Runtime), which would
/// never be woken: there, [`park`](crate::runtime::Scheduler::park).
#[inline]
pub fn suspend() {
    suspend_for(Owner::CALLER);
}

/// Returns whether a coroutine runs that this scheduler has resumed.
#[inline]
pub(crate) fn is_resumed_by(scheduler: Owner) -> bool {
    OWNER.get() == scheduler
}

// ANCHOR: suspend
/// Switches to what has resumed the running coroutine; returns when it is resumed
/// again.
///
/// # Panics
///
/// Outside of a coroutine, and in one that something else than `owner` has resumed.
#[inline]
pub(crate) fn suspend_for(owner: Owner) {
    let resumer = RESUMER.get();
    let may_wait = OWNER.get() == owner && !resumer.is_null();
    assert!(may_wait, "a coroutine can wait only for what has resumed it");
    // SAFETY: a coroutine runs, and its resumer was left there by the switch in
    // `switch_to`, on this thread, and waits for this.
    let Switched { from, message } = unsafe { switch(resumer, SUSPENDED) };
    RESUMER.set(from);
    if message == UNWIND {
        unwind();
    }
}
// ANCHOR_END: suspend

/// Drops all that is on this stack: `run` catches it.
#[cold]
fn unwind() -> ! {
    resume_unwind(Box::new(Cancelled)) // no hook, and a box of nothing allocates nothing
}

// ANCHOR: run
/// The first function on a coroutine's stack, and the last.
unsafe extern "C" fn run<F: FnOnce()>(
    from: SavedSp,
    message: usize,
    control: *mut u8,
) -> ! {
    RESUMER.set(from);
    // SAFETY: `new` has passed its control block, and it is not null.
    let control = unsafe { NonNull::new_unchecked(control) };
    let mut control: NonNull<Control> = control.cast();
    let place: NonNull<F> = below(control.cast());
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `new` has put the body there, and this runs once.
        let body = unsafe { place.read() };
        if message == UNWIND { drop(body) } else { body() }
    }));
    if let Err(payload) = ended
        && !payload.is::<Cancelled>()
    {
        // SAFETY: the coroutine runs, so the control block is its own.
        unsafe { control.as_mut() }.panic = Some(payload);
    }
    // SAFETY: what has resumed this last waits there, on this thread. Nothing switches
    // back:
    // `switch_to` refuses one that has finished. And nothing on this stack is needed
    // any more: every local is moved out or dropped.
    unsafe { switch(RESUMER.get(), ENDED) };
    unreachable!("a coroutine that has finished was resumed")
}
// ANCHOR_END: run
