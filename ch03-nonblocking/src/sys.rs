//! What the libraries leave out: signals that tell of descriptors.
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

/// `struct f_owner_ex` of fcntl(2).
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    id: libc::pid_t,
}
const F_OWNER_TID: libc::c_int = 0;

/// What a queued signal tells of a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// The signal's number.
    pub(crate) signal: libc::c_int,
    /// Whom it is about.
    pub(crate) fd: RawFd,
    /// What happened, in the bits of poll(2).
    pub(crate) band: libc::c_short,
}

/// A set of signals that this thread blocks and takes from the queue by itself.
#[derive(Clone, Copy)]
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks these signals in this thread, for good: a real-time signal that nobody
    /// blocks or handles ends the process (signal(7)).
    pub(crate) fn block(signals: &[libc::c_int]) -> io::Result<Signals> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set that the pointer points to.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for &signal in signals {
            // SAFETY: the set is initialised; a number that is no signal is an error,
            // and nothing happens.
            unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
        }
        // SAFETY: initialised above.
        let set = unsafe { set.assume_init() };
        // SAFETY: the set is initialised, and the old mask is not asked for.
        match unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut())
        } {
            0 => Ok(Signals(set)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Takes the next of these signals from the queue; waits for one as long as this,
    /// for ever without a time (sigtimedwait(2)). None: it took too long, or another
    /// signal came.
    pub(crate) fn take(&self, within: Option<Duration>) -> io::Result<Option<Told>> {
        let within = within.map(|within| libc::timespec {
            tv_sec: within.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: within.subsec_nanos().into(),
        });
        let within = within.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: set and time are valid for the call, or the time is null, which means
        // for ever; the kernel writes one siginfo_t.
        let signal =
            unsafe { libc::sigtimedwait(&raw const self.0, info.as_mut_ptr(), within) };
        if signal < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
                error => Err(error),
            };
        }
        // SAFETY: zeroed, a valid siginfo_t, and then written by the kernel.
        let info = unsafe { info.assume_init() };
        // SAFETY: a union's field that is an integer, valid whatever it holds. For a
        // signal that no descriptor has caused it means nothing, and who asks about a
        // descriptor that is not watched finds nothing.
        let fd = unsafe { info.si_fd() };
        // SAFETY: as above.
        let band = unsafe { info.si_band() };
        Ok(Some(Told { signal, fd, band: band as libc::c_short }))
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

// ANCHOR: tell
/// From now on the kernel queues `signal` for this thread when something happens to
/// the descriptor (fcntl(2): F_SETOWN_EX, F_SETSIG, O_ASYNC; TLPI 63.3).
pub(crate) fn tell_by_signal(fd: BorrowedFd<'_>, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: gettid has no preconditions.
    let owner = Owner { kind: F_OWNER_TID, id: unsafe { libc::gettid() } };
    // SAFETY: F_SETOWN_EX reads one `f_owner_ex` through the pointer, which is valid.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, &raw const owner) })?;
    // SAFETY: F_SETSIG takes a number.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, signal) })?;
    // SAFETY: F_SETFL takes flags. The descriptor's others are kept: all that is
    // watched is non-blocking.
    check(unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC)
    })
}
// ANCHOR_END: tell

/// Undoes it.
pub(crate) fn tell_no_more(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })
}

/// Whether the descriptor of this number is broken now (poll(2)).
pub(crate) fn is_broken(fd: RawFd) -> bool {
    let mut asked = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: one pollfd, valid and ours alone during the call. A number that is no open
    // descriptor is reported as such (POLLNVAL).
    unsafe { libc::poll(&raw mut asked, 1, 0) == 1 }
}

fn check(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
