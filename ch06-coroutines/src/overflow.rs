//! Says whose stack has overflowed, and ends the process.
//!
//! A coroutine that goes deeper than its stack touches the guard page, and the kernel
//! sends SIGSEGV (or SIGBUS, on some systems). The handler has a stack of its own, as the
//! other has no room (sigaltstack(2), TLPI 21.3). It calls nothing but what a signal
//! handler may (signal-safety(7)): so it takes no lock, allocates nothing, and puts its
//! message together by hand.
#![allow(unsafe_code)]

use crate::context::bottom;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A region of stacks, as the handler sees it. They form a list that only grows: a
/// node is never freed, but used again.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Its address; zero: this node is free.
    start: AtomicUsize,
    bytes: AtomicUsize,
    /// From one stack's guard to the next one's.
    slot: AtomicUsize,
    /// Of the guard, at the lower end of the slot.
    guard: AtomicUsize,
    next: *const Watched,
}

// SAFETY: `next` is never written after the node is shared, and points to a node that
// is never freed. All else is atomic.
unsafe impl Sync for Watched {}

static LIST: AtomicPtr<Watched> = AtomicPtr::new(ptr::null_mut());

/// From now on a fault in one of these guards is known for what it is.
pub(crate) fn watch(
    start: usize,
    bytes: usize,
    slot: usize,
    guard: usize,
) -> &'static Watched {
    let free = regions().find(|node| {
        // A value that is no region's start keeps it from the handler and from others.
        node.start.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    });
    let node = free.unwrap_or_else(|| {
        let node = Box::leak(Box::new(Watched {
            start: AtomicUsize::new(1),
            bytes: AtomicUsize::new(0),
            slot: AtomicUsize::new(1),
            guard: AtomicUsize::new(0),
            next: ptr::null(),
        }));
        let new: *mut Watched = node;
        let mut head = LIST.load(Ordering::Acquire);
        loop {
            // SAFETY: not yet in the list, so it is ours alone.
            unsafe { (*new).next = head };
            match LIST.compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: leaked above, so it lives for ever, and is only shared now.
                Ok(_) => return unsafe { &*new },
                Err(other) => head = other,
            }
        }
    });
    node.bytes.store(bytes, Ordering::Relaxed);
    node.slot.store(slot, Ordering::Relaxed);
    node.guard.store(guard, Ordering::Relaxed);
    node.start.store(start, Ordering::Release);
    node
}

impl Watched {
    /// The region is no more.
    pub(crate) fn forget(&self) {
        self.start.store(0, Ordering::Release);
    }

    /// The top and the size of the stack whose guard has this address. If another thread
    /// gives its region up meanwhile and this node to a new one, what is read here may be of
    /// both. The stack that has overflowed is not among these, and the process ends in any
    /// case; what can be wrong then is the message.
    fn overflowed(&self, address: usize) -> Option<(*mut u8, usize)> {
        let start = self.start.load(Ordering::Acquire);
        let slot = self.slot.load(Ordering::Relaxed);
        let guard = self.guard.load(Ordering::Relaxed);
        let offset = address.checked_sub(start)?;
        if start <= 1 || offset >= self.bytes.load(Ordering::Relaxed) {
            return None;
        }
        let top = start + (offset / slot + 1) * slot;
        let top = ptr::with_exposed_provenance_mut(top);
        (offset % slot < guard).then_some((top, slot - guard))
    }
}

fn regions() -> impl Iterator<Item = &'static Watched> {
    let mut next = LIST.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: null, or a node, which lives for ever.
        let node = unsafe { next.as_ref() }?;
        next = node.next;
        Some(node)
    })
}

/// Who handled these signals before.
struct Before {
    segv: libc::sigaction,
    bus: libc::sigaction,
}

static BEFORE: OnceLock<io::Result<Before>> = OnceLock::new();

/// Sees that an overflow on this thread can be reported: the handler is installed (once),
/// and the thread has another stack for it. Rust's own threads have one already.
pub(crate) fn prepare_thread() -> io::Result<()> {
    let installed = BEFORE.get_or_init(|| {
        Ok(Before { segv: current(libc::SIGSEGV)?, bus: current(libc::SIGBUS)? })
    });
    if let Err(error) = installed {
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        // Only now, since the handler needs to know who was there before.
        install(libc::SIGSEGV).is_ok() && install(libc::SIGBUS).is_ok()
    });
    if !installed {
        return Err(io::Error::other("no handler for stack overflows can be installed"));
    }
    alternate_stack()
}

/// What is done about a signal now.
fn current(signal: libc::c_int) -> io::Result<libc::sigaction> {
    let mut now = MaybeUninit::uninit();
    // SAFETY: asks only; the kernel writes one sigaction.
    done(unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) })?;
    // SAFETY: written by the kernel, since the call has succeeded.
    Ok(unsafe { now.assume_init() })
}

fn install(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: a sigaction is integers, and an address that is overwritten below.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the set is valid and ours.
    unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
    // SAFETY: `handle` has the signature that SA_SIGINFO asks for, is there for ever,
    // and does only what a signal handler may.
    done(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })
}

/// Gives this thread a stack for its signal handlers, if it has none. It is never freed:
/// a thread that once ran coroutines keeps it as long as it lives, and the few pages
/// after.
fn alternate_stack() -> io::Result<()> {
    const SIZE: usize = 64 * 1024;
    let mut now = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: asks only; the kernel writes one stack_t.
    done(unsafe { libc::sigaltstack(ptr::null(), now.as_mut_ptr()) })?;
    // SAFETY: written by the kernel, since the call has succeeded.
    if unsafe { now.assume_init() }.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    let stack = Box::leak(vec![0u8; SIZE].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIZE };
    // SAFETY: memory that is leaked, so that it is there as long as the thread.
    done(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) })
}

// ANCHOR: handle
/// SIGSEGV or SIGBUS: is it one of our guards?
unsafe extern "C" fn handle(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: SA_SIGINFO: the kernel hands over a valid siginfo_t.
    let told = unsafe { &*info };
    // SAFETY: the signal is one of those that have an address. Where a process has sent it,
    // that is some number, and not looked at.
    let address = unsafe { told.si_addr() } as usize;
    let found = regions()
        .filter(|_| told.si_code > 0) // the kernel has sent it
        .find_map(|region| region.overflowed(address));
    match found.and_then(|(top, size)| Some((NonNull::new(top)?, size))) {
        Some((top, size)) => {
            // SAFETY: the top of a stack of ours. One whose guard is touched by its own
            // coroutine has that coroutine's control block there; else it is zero, or stale.
            let id = unsafe { bottom::id_at(top) };
            report(id, size);
            // SAFETY: async-signal-safe, and does not return.
            unsafe { libc::abort() }
        }
        None => hand_on(signal, info, context),
    }
}
// ANCHOR_END: handle

/// One line on standard error, and no allocation on the way.
fn report(id: u64, size: usize) {
    let mut line = Line { bytes: [0; 160], length: 0 };
    line.text(b"\ncoroutine ");
    line.number(id);
    line.text(b" has overflowed its stack of ");
    line.number(size as u64 / 1024);
    line.text(b" KiB; --stack SIZE gives every coroutine a larger one\n");
    // SAFETY: pointer and length of an array that lives. What cannot be said is not said.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.length) };
}

struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl Line {
    fn text(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, number: u64) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.text(&[b'0' + (number % 10) as u8]);
    }
}

/// Not ours: whoever handled it before shall. Usually that is Rust, which knows the
/// overflows of threads.
fn hand_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Simple = extern "C" fn(libc::c_int);
    type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let Some(Ok(before)) = BEFORE.get() else { return };
    let before = if signal == libc::SIGBUS { &before.bus } else { &before.segv };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // To return is to fault again; this time nobody is asked.
            // SAFETY: a sigaction is integers; all zero is SIG_DFL.
            let default: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
            // SAFETY: async-signal-safe; the action is valid.
            unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: it was installed as a handler of this kind.
            let handler: WithInfo = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: it was installed as a handler of this kind.
            let handler: Simple = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

fn done(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
