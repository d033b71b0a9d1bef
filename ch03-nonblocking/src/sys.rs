//! Signal-driven I/O: the fcntl(2) commands and the signal queue, for which nix and libc
//! have no safe functions.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// fcntl(2) commands that libc does not name; the numbers are those of
/// `asm-generic/fcntl.h`, and the same on every architecture that Rust runs on.
const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;

/// `struct f_owner_ex` of fcntl(2): the thread or process that gets a descriptor's
/// signals.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    id: libc::pid_t,
}
const F_OWNER_TID: libc::c_int = 0;

/// The content of a signal taken from the queue: which descriptor it is about, and what
/// has happened to the descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalEvent {
    pub(crate) signal: libc::c_int,
    /// The descriptor that the signal is about.
    pub(crate) fd: RawFd,
    /// The event, as bits of poll(2) such as POLLIN.
    pub(crate) band: libc::c_short,
}

/// A set of signals that a thread has blocked, and takes from its queue.
#[derive(Clone, Copy)]
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks `signals` in the calling thread for good, and returns them as a set. A
    /// real-time signal that is neither blocked nor handled kills the process
    /// (signal(7)).
    pub(crate) fn block(signals: &[libc::c_int]) -> io::Result<Signals> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initializes the set that the pointer points to.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for &signal in signals {
            // SAFETY: the set is initialized; an invalid signal number is an error
            // and changes nothing.
            unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
        }
        // SAFETY: sigemptyset has initialized the set.
        let set = unsafe { set.assume_init() };
        // SAFETY: the set is initialized, and the old mask is not requested.
        match unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut())
        } {
            0 => Ok(Signals(set)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    // ANCHOR: take
    /// Takes the next signal of this set from the queue, and blocks for at most
    /// `within` until such a signal arrives; `None` blocks without limit
    /// (sigtimedwait(2)).
    ///
    /// Returns `None` if no such signal arrived in time, or if another signal
    /// interrupted the wait.
    pub(crate) fn take(
        &self,
        within: Option<Duration>,
    ) -> io::Result<Option<SignalEvent>> {
        let within = within.map(|within| libc::timespec {
            tv_sec: within.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: within.subsec_nanos().into(),
        });
        let within = within.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the set is valid for the call, and the pointer to the time is valid
        // or null, which means no limit; the kernel writes one siginfo_t.
        let signal =
            unsafe { libc::sigtimedwait(&raw const self.0, info.as_mut_ptr(), within) };
        if signal < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
                error => Err(error),
            };
        }
        // SAFETY: the zeroed siginfo_t was valid, and the kernel has written it since.
        let info = unsafe { info.assume_init() };
        // SAFETY: `si_fd` reads an integer of siginfo_t's union, which is valid
        // whatever its bytes. In a signal that no descriptor has caused, the number is
        // meaningless, but it is only looked up in the table of registered descriptors.
        let fd = unsafe { info.si_fd() };
        // SAFETY: `si_band` reads an integer of siginfo_t's union, which is valid
        // whatever its bytes.
        let band = unsafe { info.si_band() };
        Ok(Some(SignalEvent { signal, fd, band: band as libc::c_short }))
    }
    // ANCHOR_END: take
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

// ANCHOR: tell
/// Makes the kernel queue `signal` for the calling thread whenever something happens to
/// the descriptor (fcntl(2): F_SETOWN_EX, F_SETSIG, O_ASYNC; TLPI 63.3).
pub(crate) fn enable_signal(fd: BorrowedFd<'_>, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: gettid has no preconditions.
    let owner = Owner { kind: F_OWNER_TID, id: unsafe { libc::gettid() } };
    // SAFETY: F_SETOWN_EX reads one `f_owner_ex` through the pointer, which is valid.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, &raw const owner) })?;
    // SAFETY: F_SETSIG takes a number, and no pointer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, signal) })?;
    // SAFETY: F_SETFL takes flags, and no pointer. O_NONBLOCK is among them, because
    // every registered descriptor is non-blocking.
    check(unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC)
    })
}
// ANCHOR_END: tell

/// Makes the kernel queue no further signals for the descriptor: undoes
/// [`enable_signal`].
pub(crate) fn disable_signal(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_SETFL takes flags, and no pointer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })
}

/// Returns whether poll(2) reports an error or a hang-up for `fd` (POLLERR, POLLHUP), or
/// that `fd` is not open (POLLNVAL).
pub(crate) fn is_broken(fd: RawFd) -> bool {
    let mut polled = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: the pointer is to one pollfd, which is valid and not shared during the
    // call. A number that is not an open descriptor is reported as such (POLLNVAL).
    unsafe { libc::poll(&raw mut polled, 1, 0) == 1 }
}

fn check(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
