//! The bottom of a coroutine's stack: what lies there, how its body starts, and how it ends.
//!
//! Addresses grow upwards in this picture, and the stack grows downwards, from the bottom
//! of it (which is at the top):
//!
//! ```text
//!   Stack::top ──► ┌───────────────────────────────┐
//!                  │ Control: where it was left,   │
//!                  │   who resumed it, id, Stack   │
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

use super::{Left, prepare, switch};
use crate::stack::Stack;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::thread;

/// What a switch into a coroutine asks of it.
pub(crate) const GO_ON: usize = 0;
/// To unwind: drop everything on its stack, and finish.
pub(crate) const UNWIND: usize = 1;

/// What a switch out of a coroutine says.
pub(crate) const SUSPENDED: usize = 0;
pub(crate) const FINISHED: usize = 1;
pub(crate) const PANICKED: usize = 2;

/// What lies at the top of the stack.
#[repr(C)]
struct Control {
    /// Where the coroutine was left; null when it has finished.
    left: Left,
    /// Where whoever resumed it was left. Means something only while it runs.
    resumer: Left,
    /// Its name in messages.
    id: u64,
    /// The stack that this lies on.
    stack: Option<Stack>,
    /// What it panicked with.
    panic: Option<Box<dyn Any + Send>>,
    /// Whether the thread was panicking already when it was last resumed.
    amid_panic: bool,
    /// It was told to unwind.
    unwinding: bool,
}

thread_local! {
    /// The coroutine that runs on this thread, null outside of all.
    static RUNNING: Cell<*mut Control> = const { Cell::new(ptr::null_mut()) };
}

/// What a coroutine that is told to unwind panics with. Nobody else can make one.
struct Dropped;

/// A stack with a body on it, whose only owner this is. It gives nothing back by
/// itself: that is [`crate::Coroutine`]'s business.
#[derive(Debug)]
pub(crate) struct Bottom(NonNull<Control>);

impl Bottom {
    /// Puts a body onto a stack; it runs when it is resumed for the first time.
    ///
    /// # Panics
    /// When the body itself would take more than half of the stack.
    #[inline]
    pub(crate) fn lay<F: FnOnce() + 'static>(stack: Stack, id: u64, body: F) -> Bottom {
        assert!(
            size_of::<F>() + align_of::<F>() <= stack.size() / 2,
            "a closure of {} bytes on a stack of {}",
            size_of::<F>(),
            stack.size()
        );
        let top = stack.top().as_ptr();
        let control: *mut Control = below(top);
        let place: *mut F = below(control.cast());
        let frames = below::<[u128; 0]>(place.cast()).cast::<u8>();
        let words = Control {
            // SAFETY: `frames` is 16-byte aligned, and so high in the stack (all above it
            // is a page and half of the stack at most) that 32 bytes are left below it.
            left: unsafe { prepare(frames, run::<F>, control.cast()) },
            resumer: ptr::null_mut(),
            id,
            stack: Some(stack),
            panic: None,
            amid_panic: false,
            unwinding: false,
        };
        // SAFETY: within the stack, as above, aligned by `below`, and nobody else's:
        // the stack was ours alone.
        unsafe { place.write(body) };
        // SAFETY: the same.
        unsafe { control.write(words) };
        // SAFETY: it lies below the top of a stack, which is not at address zero.
        Bottom(unsafe { NonNull::new_unchecked(control) })
    }

    // ANCHOR: resume
    /// Goes on with the coroutine until it suspends or ends, and says which.
    ///
    /// # Panics
    /// When it has finished.
    #[inline]
    pub(crate) fn resume(&mut self, message: usize) -> usize {
        let control = self.0.as_ptr();
        // SAFETY: the control block lives as long as this owns its stack; nobody else
        // uses it now, since the coroutine does not run: we have it by `&mut`, and whoever
        // resumed it before has kept that borrow until it stopped.
        let left = unsafe { (*control).left };
        assert!(!left.is_null(), "a coroutine that has finished was resumed");
        let outer = RUNNING.replace(control);
        // SAFETY: as above.
        unsafe { (*control).amid_panic = thread::panicking() };
        // SAFETY: `left` was made by `prepare`, or left by `suspend` on this stack, and
        // not resumed since, because each suspension writes it anew. The stack exists,
        // as its owner is here. This value is not Send, so it is the same thread.
        let said = unsafe { switch(&raw mut (*control).resumer, left, message) };
        RUNNING.set(outer);
        said
    }
    // ANCHOR_END: resume

    /// Whether it has come to its end.
    pub(crate) fn has_finished(&self) -> bool {
        // SAFETY: as in `resume`.
        unsafe { (*self.0.as_ptr()).left.is_null() }
    }

    /// What it panicked with, once.
    pub(crate) fn take_panic(&mut self) -> Option<Box<dyn Any + Send>> {
        // SAFETY: as in `resume`; the reference ends with this line.
        unsafe { (*self.0.as_ptr()).panic.take() }
    }

    /// The name that it was given.
    pub(crate) fn id(&self) -> u64 {
        // SAFETY: as in `resume`.
        unsafe { (*self.0.as_ptr()).id }
    }

    /// Takes the stack back; once, and only when the coroutine has finished. None
    /// otherwise: then frames are on it that somebody may have lent to others.
    pub(crate) fn take_stack(&mut self) -> Option<Stack> {
        if !self.has_finished() {
            return None;
        }
        // SAFETY: as in `resume`; the reference ends with this line.
        unsafe { (*self.0.as_ptr()).stack.take() }
    }
}

/// The highest place for a `T`, aligned for it and for the stack, below an address.
fn below<T>(address: *mut u8) -> *mut T {
    let align = align_of::<T>().max(16);
    address.map_addr(|address| (address - size_of::<T>()) & !(align - 1)).cast()
}

/// Whether a coroutine runs here, on this thread.
#[inline]
pub(crate) fn is_inside() -> bool {
    !RUNNING.get().is_null()
}

// ANCHOR: suspend
/// Goes back to whoever has resumed this coroutine; returns when it is resumed again.
///
/// # Panics
/// Outside of a coroutine.
#[inline]
pub(crate) fn suspend() {
    let control = RUNNING.get();
    assert!(!control.is_null(), "only a coroutine can be suspended");
    if thread::panicking() {
        may_suspend(control);
    }
    // SAFETY: RUNNING is set only while this very coroutine runs, so its control block
    // lives, and its resumer was left at `resumer` by the switch in `resume`, on this
    // thread, and waits there.
    let message =
        unsafe { switch(&raw mut (*control).left, (*control).resumer, SUSPENDED) };
    if message == UNWIND {
        unwind(control);
    }
}
// ANCHOR_END: suspend

/// A destructor that runs because of a panic must not wait. When it runs because the
/// coroutine is dropped, nobody would resume it; and otherwise the others on this
/// thread, who go on meanwhile, would find that `thread::panicking()`.
#[cold]
fn may_suspend(control: *mut Control) {
    // SAFETY: as in `suspend`.
    let Control { id, amid_panic, unwinding, .. } = unsafe { &*control };
    if *unwinding || !*amid_panic {
        eprintln!("coroutine {id} unwinds, and a destructor on its stack has suspended it");
        std::process::abort();
    }
}

/// Drops all that is on this stack.
#[cold]
fn unwind(control: *mut Control) -> ! {
    // SAFETY: as in `suspend`.
    unsafe { (*control).unwinding = true };
    resume_unwind(Box::new(Dropped)) // without the panic hook; a box of nothing allocates nothing
}

// ANCHOR: run
/// The first function on a coroutine's stack, and the last.
unsafe extern "C" fn run<F: FnOnce()>(control: *mut u8, message: usize) -> ! {
    let control: *mut Control = control.cast();
    let place: *mut F = below(control.cast());
    // SAFETY: `lay::<F>` has put the body there, and this runs once.
    let body = unsafe { place.read() };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        if message == UNWIND { drop(body) } else { body() }
    }));
    let said = match ended {
        Ok(()) => FINISHED,
        Err(panic) if panic.is::<Dropped>() => FINISHED,
        Err(panic) => {
            // SAFETY: the coroutine runs, so the control block is its own to write.
            unsafe { (*control).panic = Some(panic) };
            PANICKED
        }
    };
    // SAFETY: as above. Nothing on this stack is needed any more: every local is
    // moved out or dropped.
    unsafe { (*control).left = ptr::null_mut() };
    let mut nowhere = ptr::null_mut();
    // SAFETY: the resumer waits where `resume` has left it, on this thread. Nobody will
    // come back: `left` is null, and `resume` refuses that.
    unsafe { switch(&raw mut nowhere, (*control).resumer, said) };
    unreachable!("a coroutine that has finished was resumed")
}
// ANCHOR_END: run

/// The id of the coroutine whose stack has this top. For the handler of overflows.
///
/// # Safety
/// `top` is that of a stack on which a coroutine runs, or of one that was never used,
/// which is zero.
pub(crate) unsafe fn id_at(top: *mut u8) -> u64 {
    let control: *mut Control = below(top);
    // SAFETY: by the caller's promise these bytes are a Control's or zero.
    unsafe { (*control).id }
}
