//! Reports which coroutine's stack has overflowed, and ends the process.
//!
//! A coroutine that goes deeper than its stack touches the guard below the stack, and the kernel
//! sends SIGSEGV (or SIGBUS, on some systems). The signal handler runs on a stack of its own, since
//! the coroutine's stack has no room (sigaltstack(2), TLPI 21.3). The handler calls only what a
//! signal handler may call (signal-safety(7)): it takes no lock, and allocates nothing.
#![allow(unsafe_code)]

use ch01_blocking::server::sys;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes at the top of each stack that hold its label, the number by which the report names
/// the coroutine on it.
pub(super) const LABEL: usize = 16;

/// Number of regions that the handler can know at once; an overflow in any further one
/// ends the process without naming the coroutine. A pool's regions double in size, so
/// this is enough for many pools.
const REGIONS: usize = 1024;

/// A region of stacks, in the form that the signal handler reads.
#[derive(Debug)]
pub(super) struct Watched {
    /// The address of the region, or zero if the entry is free.
    start: AtomicUsize,
    bytes: AtomicUsize,
    /// The distance in bytes from one stack's guard to the next one's.
    slot: AtomicUsize,
    /// The size in bytes of the guard, which is at the lower end of a slot.
    guard: AtomicUsize,
}

static WATCHED: [Watched; REGIONS] = [const { Watched::free() }; REGIONS];

/// Registers a region, so that a fault in one of its guards is reported as an overflow.
/// Returns the region's entry, or `None` if all entries are taken.
pub(super) fn watch(
    start: usize,
    bytes: usize,
    slot: usize,
    guard: usize,
) -> Option<&'static Watched> {
    let entry = WATCHED.iter().find(|entry| {
        // The value 1, which is no region's address, hides the entry from the handler and
        // other threads until it is complete.
        entry.start.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    })?;
    entry.bytes.store(bytes, Ordering::Relaxed);
    entry.slot.store(slot, Ordering::Relaxed);
    entry.guard.store(guard, Ordering::Relaxed);
    entry.start.store(start, Ordering::Release);
    Some(entry)
}

impl Watched {
    const fn free() -> Watched {
        let [start, bytes, slot, guard] = [const { AtomicUsize::new(0) }; 4];
        Watched { start, bytes, slot, guard }
    }

    /// Removes the region from the signal handler's list, because the region is about to be
    /// unmapped.
    pub(super) fn forget(&self) {
        self.start.store(0, Ordering::Release);
    }

    /// Returns the address of the label, and the size in bytes, of the stack whose guard contains
    /// `address`; `None` if no guard of this region contains it.
    ///
    /// If another thread unmaps this region meanwhile, and the entry is reused for another region,
    /// the result may mix the values of both. The stack that has overflowed is in neither region,
    /// and the process ends in any case; only the message can be wrong.
    fn overflowed(&self, address: usize) -> Option<(*const u64, usize)> {
        let start = self.start.load(Ordering::Acquire);
        let slot = self.slot.load(Ordering::Relaxed);
        let guard = self.guard.load(Ordering::Relaxed);
        let offset = address.checked_sub(start)?;
        if start <= 1 || offset >= self.bytes.load(Ordering::Relaxed) {
            return None;
        }
        let top = start + (offset / slot + 1) * slot;
        let label = ptr::with_exposed_provenance(top - LABEL);
        (offset % slot < guard).then_some((label, slot - guard))
    }
}

/// The handlers of SIGSEGV and SIGBUS that were installed before this module's, or the error of
/// installing this module's.
static BEFORE: OnceLock<nix::Result<[SigAction; 2]>> = OnceLock::new();

/// Installs the handler of SIGSEGV and SIGBUS; further calls do nothing.
///
/// Rust gives each of its threads an alternate stack, on which the handler runs. A thread that C
/// code has created has no alternate stack; there, an overflow ends the process without the
/// message.
pub(super) fn install() -> io::Result<()> {
    (*BEFORE.get_or_init(|| {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
        let ours = SigAction::new(SigHandler::SigAction(handle), flags, SigSet::empty());
        let install = |signal| {
            // SAFETY: `handle` does only what a signal handler may do.
            unsafe { sigaction(signal, &ours) }
        };
        Ok([install(Signal::SIGSEGV)?, install(Signal::SIGBUS)?])
    }))?;
    Ok(())
}

// ANCHOR: handle
/// Handles SIGSEGV and SIGBUS: reports a fault in the guard of a coroutine's stack, and
/// passes any other fault on to the previous handler.
extern "C" fn handle(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: with SA_SIGINFO the kernel hands over a valid siginfo_t.
    let fault = unsafe { &*info };
    // SAFETY: for SIGSEGV and SIGBUS, siginfo_t has an address. If a process has sent
    // the signal, the address is meaningless, and is not used.
    let address = unsafe { fault.si_addr() } as usize;
    let is_the_kernels = fault.si_code > 0;
    let overflowed = WATCHED.iter().find_map(|region| region.overflowed(address));
    let Some((label, size)) = overflowed.filter(|_| is_the_kernels) else {
        return chain_handler(signal, info, context);
    };
    // SAFETY: `label` points to the label of a stack in a registered region. The label
    // is the number of the coroutine that has touched the guard below its stack; if
    // other code has touched the guard, the number may be zero or stale.
    let coroutine = unsafe { label.read() };
    report(coroutine, size);
    // SAFETY: abort(3) is async-signal-safe, and does not return.
    unsafe { libc::abort() }
}
// ANCHOR_END: handle

/// Writes one line to standard error. Formatting numbers into an array allocates nothing.
fn report(coroutine: u64, size: usize) {
    let mut line = [0; 160];
    let mut rest = &mut line[..];
    let _ = writeln!(
        rest,
        "\ncoroutine {coroutine} has overflowed its stack of {} KiB; --stack SIZE gives every coroutine a larger one",
        size / 1024
    ); // cannot fail: the longest line is shorter than the array
    let length = 160 - rest.len();
    // If standard error is a full pipe, the line is dropped: a write that blocks would
    // keep the process from ending. A failure of the write cannot be reported anywhere.
    let _ = sys::write_now(io::stderr().as_fd(), &line[..length]);
}

/// Passes a fault that is not a coroutine's overflow to the previous handler: usually
/// Rust's, which reports the overflows of threads.
fn chain_handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // The previous handler is not known yet, because another thread is still installing this one.
    // Returning repeats the fault, and so calls this handler again.
    let Some(Ok([segv, bus])) = BEFORE.get() else { return };
    let before = if signal == libc::SIGBUS { bus } else { segv };
    match before.handler() {
        SigHandler::SigDfl | SigHandler::SigIgn => {
            // Returning repeats the fault; this time the default action ends the process.
            // SAFETY: signal(2) is async-signal-safe.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        SigHandler::Handler(handler) => handler(signal),
        SigHandler::SigAction(handler) => handler(signal, info, context),
    }
}
