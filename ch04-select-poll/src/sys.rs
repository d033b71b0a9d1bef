//! poll(2) and select(2) on lists that are kept between the calls, and a set of
//! descriptors that cannot be written beyond its end.
//!
//! nix has both calls, but its lists borrow every descriptor on them. A poller keeps
//! its list for longer than it may borrow a descriptor.
#![allow(unsafe_code)]

use ch01_blocking::deadlines::milliseconds;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

/// Calls poll(2), and returns the number of ready descriptors. Without a timeout the
/// call blocks until a descriptor is ready or a signal arrives.
pub(crate) fn poll(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let timeout = timeout.map_or(-1, |timeout| {
        milliseconds(timeout).try_into().unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: pointer and length are those of a slice that is borrowed mutably during the
    // call. A number that is not an open descriptor is reported as such (POLLNVAL).
    ready_count(unsafe {
        libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout)
    })
}

// ANCHOR: fd_set
/// A set of descriptors below [`FdSet::SIZE`], in the form that select(2) takes.
#[derive(Clone, Copy)]
pub(crate) struct FdSet(libc::fd_set);

impl FdSet {
    /// The number of bits in a set, `FD_SETSIZE`. C's `FD_SET` does not check its
    /// argument: for a larger descriptor it changes whatever memory lies beyond the
    /// set.
    pub(crate) const SIZE: usize = libc::FD_SETSIZE;

    pub(crate) fn new() -> FdSet {
        let mut set = MaybeUninit::uninit();
        // SAFETY: FD_ZERO initializes the set that the pointer points to.
        unsafe { libc::FD_ZERO(set.as_mut_ptr()) };
        // SAFETY: FD_ZERO has initialized the set.
        FdSet(unsafe { set.assume_init() })
    }

    /// Returns whether the set has a bit for this descriptor.
    pub(crate) fn fits(fd: RawFd) -> bool {
        usize::try_from(fd).is_ok_and(|fd| fd < FdSet::SIZE)
    }

    /// Adds a descriptor to the set if `included`, otherwise removes it. Does nothing
    /// if the set has no bit for the descriptor.
    pub(crate) fn set(&mut self, fd: RawFd, included: bool) {
        if FdSet::fits(fd) {
            if included {
                // SAFETY: the set has a bit for `fd`, as `fits` has checked.
                unsafe { libc::FD_SET(fd, &raw mut self.0) };
            } else {
                // SAFETY: the set has a bit for `fd`, as `fits` has checked.
                unsafe { libc::FD_CLR(fd, &raw mut self.0) };
            }
        }
    }

    /// Returns whether the descriptor is in the set.
    pub(crate) fn has(&self, fd: RawFd) -> bool {
        // SAFETY: the set has a bit for `fd`, as `fits` checks first.
        FdSet::fits(fd) && unsafe { libc::FD_ISSET(fd, &raw const self.0) }
    }
}
// ANCHOR_END: fd_set

impl std::fmt::Debug for FdSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries((0..FdSet::SIZE as RawFd).filter(|&fd| self.has(fd)))
            .finish()
    }
}

// ANCHOR: select
/// Calls select(2) for the descriptors below `end`. Leaves only ready descriptors in
/// the sets, and returns how many bits are set in both sets together. Without a timeout
/// the call blocks until a descriptor is ready or a signal arrives.
pub(crate) fn select(
    end: RawFd,
    read: &mut FdSet,
    write: &mut FdSet,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let mut timeout = timeout.map(|timeout| {
        let microseconds = timeout.as_nanos().div_ceil(1_000);
        libc::timeval {
            tv_sec: (microseconds / 1_000_000).try_into().unwrap_or(libc::time_t::MAX),
            tv_usec: (microseconds % 1_000_000) as libc::suseconds_t,
        }
    });
    let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let end = end.min(FdSet::SIZE as RawFd);
    // SAFETY: the sets have at least `end` bits and are borrowed mutably, the third set is
    // null, which means empty, and the timeout is valid or null.
    ready_count(unsafe {
        libc::select(end, &raw mut read.0, &raw mut write.0, ptr::null_mut(), timeout)
    })
}
// ANCHOR_END: select

/// Converts the return value of poll(2) or select(2) to a `Result`: the number of ready
/// descriptors (poll) or of bits that are set (select), or the error. If a signal has
/// interrupted the call, the number is 0.
fn ready_count(n: libc::c_int) -> io::Result<usize> {
    match usize::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}
