//! poll(2) and select(2) on descriptors that are kept between the calls, and a set of
//! descriptors that cannot be written beyond its end.
//!
//! nix has both calls, but its lists borrow the descriptors for as long as they live,
//! and a poller's list outlives every borrow.
#![allow(unsafe_code)]

use ch01_blocking::deadlines::milliseconds;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

/// poll(2). Says how many of the descriptors have something to tell. Without a timeout
/// it waits for ever.
pub(crate) fn poll(
    fds: &mut [libc::pollfd],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let timeout = timeout.map_or(-1, |timeout| {
        milliseconds(timeout).try_into().unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: pointer and length are those of a slice that is ours alone during the
    // call. A number that is no open descriptor is reported as such (POLLNVAL).
    found(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) })
}

/// What select(2) can hold: descriptors below [`FdSet::SIZE`].
#[derive(Clone, Copy)]
pub(crate) struct FdSet(libc::fd_set);

impl FdSet {
    /// `FD_SETSIZE`. The set is an array of that many bits, and `FD_SET` does not look
    /// where it writes: beyond the end it changes whatever lies there.
    pub(crate) const SIZE: usize = libc::FD_SETSIZE;

    pub(crate) fn new() -> FdSet {
        let mut set = MaybeUninit::uninit();
        // SAFETY: FD_ZERO initialises the set that the pointer points to.
        unsafe { libc::FD_ZERO(set.as_mut_ptr()) };
        // SAFETY: initialised by the line above.
        FdSet(unsafe { set.assume_init() })
    }

    /// Whether the set has a bit for this descriptor.
    pub(crate) fn fits(fd: RawFd) -> bool {
        usize::try_from(fd).is_ok_and(|fd| fd < FdSet::SIZE)
    }

    /// Adds a descriptor or takes it out, if it fits.
    pub(crate) fn set(&mut self, fd: RawFd, is_in: bool) {
        if FdSet::fits(fd) {
            if is_in {
                // SAFETY: the bit is within the set, as was checked.
                unsafe { libc::FD_SET(fd, &raw mut self.0) };
            } else {
                // SAFETY: as above.
                unsafe { libc::FD_CLR(fd, &raw mut self.0) };
            }
        }
    }

    pub(crate) fn has(&self, fd: RawFd) -> bool {
        // SAFETY: as above.
        FdSet::fits(fd) && unsafe { libc::FD_ISSET(fd, &raw const self.0) }
    }
}

impl std::fmt::Debug for FdSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries((0..FdSet::SIZE as RawFd).filter(|&fd| self.has(fd)))
            .finish()
    }
}

/// select(2), of the descriptors below `end`. The sets are overwritten with those that
/// are ready. Without a timeout it waits for ever.
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
    // SAFETY: the sets have at least `end` bits and are ours alone during the call, the
    // third set is null, which means empty, and the timeout is valid or null.
    found(unsafe {
        libc::select(end, &raw mut read.0, &raw mut write.0, ptr::null_mut(), timeout)
    })
}

/// A signal that came in between has found nothing.
fn found(n: libc::c_int) -> io::Result<usize> {
    match usize::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}
