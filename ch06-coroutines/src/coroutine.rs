//! A coroutine: a function on a stack of its own, which can stop in the middle and continue
//! there later.
#![allow(unsafe_code)]

use crate::context::processor::{prepare, switch};
use crate::context::{SavedSp, Switched};
use crate::stack::Stack;
use ch01_blocking::server::log;
use ch01_blocking::server::unwind::{self, Cancelled, while_cancelling};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::{mem, process, thread};

/// The message that `switch` passes to a coroutine to make it continue.
const RESUME: usize = 0;
/// The message that `switch` passes to a coroutine to make it unwind its stack and end.
const UNWIND: usize = 1;
/// The message that `switch` passes from a coroutine that has suspended itself.
const SUSPENDED: usize = 0;
/// The message that `switch` passes from a coroutine whose body has ended.
const ENDED: usize = 1;

/// The code that has resumed a coroutine: a direct caller of [`Coroutine::resume`], or a runtime's
/// scheduler, which is identified by its address. A coroutine can suspend only to the owner that
/// has resumed it. So a coroutine of one runtime cannot park in another runtime, where no wake-up
/// would reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)] // `nested`, an `extern "C"` function, takes an `Owner`
pub(crate) struct Owner(usize);

impl Owner {
    /// The owner while no coroutine is running.
    const NONE: Owner = Owner(0);
    /// The owner of a coroutine that was resumed by [`Coroutine::resume`], without a scheduler.
    const CALLER: Owner = Owner(1);

    /// Returns the owner that stands for `scheduler`: its address.
    #[inline]
    pub(crate) fn scheduler<T>(scheduler: &T) -> Owner {
        Owner(ptr::from_ref(scheduler).addr())
    }
}

/// The control block at the top of a coroutine's stack.
struct Control {
    /// The stack that contains this block; `None` once [`Coroutine::into_stack`] has taken it.
    stack: Option<Stack>,
    /// Whether the body has ended, or was unwound.
    finished: bool,
    /// The payload of a panic that has ended the coroutine, until the payload is returned by
    /// [`Coroutine::resume`].
    panic: Option<Box<dyn Any + Send>>,
}

thread_local! {
    /// The saved stack pointer of the stack that has resumed the running coroutine; meaningless
    /// while no coroutine runs.
    static RESUMER: Cell<SavedSp> = const { Cell::new(ptr::null_mut()) };
    /// The owner that has resumed the running coroutine; `Owner::NONE` outside of coroutines.
    static OWNER: Cell<Owner> = const { Cell::new(Owner::NONE) };
}

/// A function with its own stack, which can be suspended and resumed.
///
/// ```
/// use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
///
/// let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
/// let body = || {
///     println!("Hello,");
///     suspend();
///     println!("world!");
/// };
/// // SAFETY: the body uses no thread-local across its `suspend`; the coroutine is not leaked.
/// let mut greeter = unsafe { Coroutine::new(stacks.take()?, 1, body) };
/// assert!(matches!(greeter.resume(), Resumed::Suspended));
/// println!("dear");
/// assert!(matches!(greeter.resume(), Resumed::Finished));
/// stacks.give_back(greeter.into_stack());
/// # std::io::Result::Ok(())
/// ```
///
/// A coroutine stays on the thread that created it: its stack holds whatever values the
/// compiler put there, and some of them may not be `Send`.
///
/// Dropping a suspended coroutine unwinds its stack first: all values on the stack are dropped, as
/// if the coroutine's call to `suspend` had panicked. A body that catches this unwinding and
/// suspends again is unwound again; if the body does so every time, the drop never returns. The
/// stack of a dropped coroutine does not return to its pool; call
/// [`into_stack`](Coroutine::into_stack) instead to get the stack back.
///
/// # What lies on the stack
///
/// Addresses grow upwards in this drawing, and the stack grows downwards:
///
/// ```text
///   Stack::top ──► ┌───────────────────────────────┐
///                  │ Control: the Stack, the panic │
///                  ├───────────────────────────────┤
///                  │ the body, a closure, until it │
///                  │   is called                   │
///                  ├───────────────────────────────┤
///                  │ frames: start, run, the body… │
///                  │               ▼               │
///                  ╎                               ╎
///                  └───────────────────────────────┘
///                    the guard
/// ```
///
/// So a coroutine needs no memory except its stack, and creating one allocates nothing.
#[derive(Debug)]
pub struct Coroutine {
    /// The coroutine's saved stack pointer while it does not run.
    left: SavedSp,
    control: NonNull<Control>,
}

/// The result of [`resume`](Coroutine::resume).
#[derive(Debug)]
pub enum Resumed {
    /// The body has called [`suspend`] and can be resumed.
    Suspended,
    /// The body has returned.
    Finished,
    /// The body has panicked with this payload, and so has finished.
    Panicked(Box<dyn Any + Send>),
}

impl Coroutine {
    /// Creates a coroutine with the given stack and body. The body runs when the coroutine is first
    /// resumed. `id` names the coroutine in messages, for example when its stack overflows.
    ///
    /// # Panics
    ///
    /// If the body, a closure, is larger than a quarter of the stack.
    ///
    /// # Safety
    ///
    /// While a coroutine is suspended, other code of its thread runs *in the middle of* the
    /// function that has called `suspend`. This can break two guarantees on which safe Rust code
    /// relies, so the caller must ensure both:
    ///
    /// - The coroutine does not suspend inside the initializer or the destructor of a thread-local
    ///   variable. (Otherwise another coroutine could initialize the variable meanwhile and hold a
    ///   reference to its value, which `std` overwrites when the first coroutine continues.)
    /// - A coroutine that holds a reference to a thread-local variable, as inside of
    ///   [`LocalKey::with`](std::thread::LocalKey::with), or has lent such a reference to another
    ///   thread, is not suspended when its own thread ends. So the coroutine must be resumed to its
    ///   end or dropped by then, and neither be leaked nor be stored in a thread-local variable.
    #[inline]
    pub unsafe fn new<F: FnOnce() + 'static>(
        mut stack: Stack,
        id: u64,
        body: F,
    ) -> Coroutine {
        // The stack holds the body more than once: `new` writes it below the control block, and
        // `run` moves it into a frame to call it. The limit of a quarter leaves room for both.
        assert!(
            size_of::<F>() + align_of::<F>() <= stack.size() / 4,
            "a closure of {} bytes on a stack of {}",
            size_of::<F>(),
            stack.size()
        );
        stack.set_label(id);
        let control: NonNull<Control> = below(stack.top());
        let place: NonNull<F> = below(control.cast());
        let frames: NonNull<[u128; 0]> = below(place.cast());
        // SAFETY: `place` is aligned by `below`, and within the stack, whose upper half has room
        // for the control block and the body. Nothing else refers to the stack, because it is
        // owned.
        unsafe { place.write(body) };
        // SAFETY: `control` is aligned by `below`, and within the owned stack.
        unsafe {
            control.write(Control { stack: Some(stack), finished: false, panic: None })
        };
        // SAFETY: `frames` is 16-byte aligned and within the owned stack, whose lower half is still
        // free for the coroutine's frames.
        let left =
            unsafe { prepare(frames.as_ptr().cast(), run::<F>, control.as_ptr().cast()) };
        Coroutine { left, control }
    }

    /// Resumes the body until it suspends, returns or panics. A panic is returned as
    /// [`Resumed::Panicked`]. If the body has ended before, the result is [`Resumed::Finished`].
    #[inline]
    pub fn resume(&mut self) -> Resumed {
        self.resume_as(Owner::CALLER)
    }

    /// Resumes the body as [`resume`](Coroutine::resume) does, on behalf of `owner`.
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
    /// Switches to the coroutine, and passes `message` to it, until it suspends or
    /// ends. Returns the message that the coroutine passes back: `SUSPENDED` or
    /// `ENDED`.
    #[inline]
    fn switch_to(&mut self, message: usize, owner: Owner) -> usize {
        // `self.left` is loaded before the store to `OWNER`, because the compiler assumes
        // that the store may change `self.left`. So in a loop of resumes, the value that
        // one call stores in `self.left` stays in a register until the next call. After
        // the store it would be loaded again, and the switch would wait for the load.
        let left = self.left;
        let Switched { from, message } = if OWNER.get() == Owner::NONE {
            OWNER.set(owner);
            // SAFETY: `left` is from `prepare`, or was saved when the coroutine's stack
            // was last left: each switch back renews `self.left`. The stack exists,
            // because `self` owns it. A `Coroutine` is not `Send`, so this is the
            // thread that created it.
            let switched = unsafe { switch(left, message) };
            OWNER.set(Owner::NONE);
            switched
        } else {
            // SAFETY: `left` is from `prepare`, or was saved when the coroutine's stack
            // was last left. The stack exists, because `self` owns it. A `Coroutine` is
            // not `Send`, so this is the thread that created it.
            unsafe { nested(left, message, owner) }
        };
        self.left = from;
        if message != SUSPENDED {
            self.control().finished = true;
        }
        message
    }
    // ANCHOR_END: resume

    /// Returns whether the body has returned or panicked, or the coroutine was unwound.
    #[inline]
    pub fn has_finished(&self) -> bool {
        // SAFETY: the control block lives as long as `self` owns the stack. The coroutine does not
        // run now: while it runs, `switch_to` borrows `self` mutably.
        unsafe { self.control.as_ref() }.finished
    }

    /// Changes the number that names the coroutine in messages.
    pub(crate) fn set_id(&mut self, id: u64) {
        self.control().stack.iter_mut().for_each(|stack| stack.set_label(id));
    }

    /// Returns the coroutine's stack. A coroutine that has not finished is unwound first,
    /// as if it were dropped.
    #[inline]
    pub fn into_stack(mut self) -> Stack {
        self.finish();
        let stack = self.control().stack.take();
        mem::forget(self); // otherwise its drop would use the stack that is returned
        let Some(stack) = stack else { unreachable!("only this takes the stack") };
        stack
    }

    #[inline]
    fn control(&mut self) -> &mut Control {
        // SAFETY: the control block lives as long as `self` owns the stack, and `self` is borrowed
        // mutably. The coroutine does not run now: while it runs, `switch_to` borrows `self`
        // mutably.
        unsafe { self.control.as_mut() }
    }

    /// Unwinds the coroutine unless it has finished.
    #[inline]
    fn finish(&mut self) {
        if !self.has_finished() {
            self.unwind();
        }
    }

    /// Makes the coroutine drop all values on its stack, and end.
    #[cold]
    fn unwind(&mut self) {
        let before = thread::panicking();
        // A coroutine that catches the unwinding, and suspends again, is unwound again.
        while while_cancelling(|| self.switch_to(UNWIND, Owner::CALLER)) == SUSPENDED {
            if thread::panicking() && !before {
                // A destructor on the coroutine's stack has suspended the coroutine while the stack
                // was being unwound. The coroutine cannot continue, because it is being dropped. It
                // cannot be unwound again, because the second unwinding would leave a destructor
                // that runs during the first, which Rust forbids. So the process is aborted, with a
                // message. (If the thread was panicking before this call, the case is not
                // recognized: the second unwinding begins, and Rust aborts the process without this
                // message.)
                log::line(&format!(
                    "coroutine {} is dropped, and a destructor on its stack has suspended it",
                    self.control().stack.as_ref().map_or(0, Stack::label)
                ));
                process::abort();
            }
        }
        // The panic hook has reported a panic that occurred during the unwinding; the payload of
        // that panic is dropped here.
        drop_quietly(self.control().panic.take());
    }
}

impl Drop for Coroutine {
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}

/// Drops a value whose destructor may panic, and catches the panic.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly(|| drop(value));
}

/// Calls `call`, which may run code from outside this crate (a destructor or a waker), and catches
/// its panic. Only the unwinding of a coroutine that is being dropped leaves this function.
pub(crate) fn quietly(call: impl FnOnce()) {
    if let Err(panic) = unwind::catch(call) {
        mem::forget(panic); // the payload's destructor could panic in turn
    }
}

/// Returns the highest address at which a `T` fits below `address`, aligned for a `T` and, to 16
/// bytes, for a stack pointer.
#[inline]
fn below<T>(address: NonNull<u8>) -> NonNull<T> {
    let align = align_of::<T>().max(16);
    let spare = (address.addr().get() - size_of::<T>()) % align;
    // SAFETY: `address` is in the upper half of a stack, and the assertion in
    // `Coroutine::new` has checked that the `T` fits below it.
    unsafe { address.sub(size_of::<T>() + spare) }.cast()
}

/// Switches to a coroutine from within another coroutine, and afterwards restores the resumer and
/// the owner of the outer one. This is a separate function so that a switch from outside of
/// coroutines has nothing to save. It is `extern "C"`, which does not unwind, so the compiler need
/// not keep the caller's values in memory for an unwinding.
///
/// # Safety
///
/// The contract is that of `switch` in `context`.
#[cold]
#[inline(never)]
unsafe extern "C" fn nested(left: SavedSp, message: usize, owner: Owner) -> Switched {
    let (outer, outer_owner) = (RESUMER.get(), OWNER.replace(owner));
    // SAFETY: the caller promises that the stack at `left` may be continued, as
    // `switch` demands.
    let switched = unsafe { switch(left, message) };
    RESUMER.set(outer);
    OWNER.set(outer_owner);
    switched
}

/// Suspends the running coroutine: its [`resume`](Coroutine::resume) returns. Returns when the
/// coroutine is resumed again; unwinds if the coroutine is dropped instead.
///
/// A destructor should not call this function. If a destructor that runs because the coroutine is
/// being dropped calls it, the process is aborted with a message, because the coroutine will not be
/// resumed again. A destructor that runs because of a panic may suspend, but meanwhile the whole
/// thread counts as panicking; if the coroutine is dropped before it is resumed, Rust aborts the
/// process.
///
/// # Panics
///
/// Outside of a coroutine, and in a coroutine of a [`Runtime`](crate::Runtime), which would never
/// be woken: call [`park`](crate::runtime::Scheduler::park) there.
#[inline]
pub fn suspend() {
    suspend_for(Owner::CALLER);
}

/// Returns whether the running code is a coroutine that `scheduler` has resumed.
#[inline]
pub(crate) fn is_resumed_by(scheduler: Owner) -> bool {
    OWNER.get() == scheduler
}

// ANCHOR: suspend
/// Switches to the stack that has resumed the running coroutine, which is thereby
/// suspended. Returns when the coroutine is resumed again.
///
/// # Panics
///
/// If the running code is not a coroutine that `owner` has resumed.
#[inline]
pub(crate) fn suspend_for(owner: Owner) {
    assert!(OWNER.get() == owner, "a coroutine can wait only for what has resumed it");
    // SAFETY: a coroutine is running, because no caller passes `Owner::NONE`. The stack
    // that has resumed the coroutine was left by the switch in `switch_to` or in
    // `nested`, on this thread, and waits to be continued.
    let Switched { from, message } = unsafe { switch(RESUMER.get(), SUSPENDED) };
    RESUMER.set(from);
    if message == UNWIND {
        unwind();
    }
}
// ANCHOR_END: suspend

/// Unwinds the coroutine's stack up to `run`, which catches the unwinding.
#[cold]
fn unwind() -> ! {
    resume_unwind(Box::new(Cancelled)) // unlike `panic!`, calls no panic hook
}

// ANCHOR: run
/// The first Rust function on a coroutine's stack. Calls the body, and switches back
/// with the message `ENDED` when the body has ended. Never returns.
unsafe extern "C" fn run<F: FnOnce()>(
    from: SavedSp,
    message: usize,
    control: *mut u8,
) -> ! {
    RESUMER.set(from);
    // SAFETY: `new` has passed the address of the control block, which is not null.
    let control = unsafe { NonNull::new_unchecked(control) };
    let mut control: NonNull<Control> = control.cast();
    let place: NonNull<F> = below(control.cast());
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `new` has written the body to `place`, and this function runs once,
        // so the body is moved out once.
        let body = unsafe { place.read() };
        if message == UNWIND { drop(body) } else { body() }
    }));
    if let Err(payload) = ended
        && !payload.is::<Cancelled>()
    {
        // SAFETY: no other code uses the control block while its coroutine runs, and
        // the running coroutine is this one.
        unsafe { control.as_mut() }.panic = Some(payload);
    }
    // No value on this stack is needed any longer: each was moved out or dropped. If
    // the coroutine is resumed again, it only passes `ENDED` again.
    loop {
        // SAFETY: the stack that has resumed this coroutine was left on this thread, by
        // a switch that waits to be continued.
        let Switched { from, .. } = unsafe { switch(RESUMER.get(), ENDED) };
        RESUMER.set(from);
    }
}
// ANCHOR_END: run
