//! An emulation of the part of kqueue(2) that `kqueue.rs` uses, for Linux.
//!
//! The emulation follows FreeBSD's `filt_soread` and `filt_sowrite` (sys/kern/uipc_socket.c), which
//! are nearly the same in XNU. Each filter is a separate, edge-triggered epoll instance. Like a
//! knote with `EV_CLEAR`, a descriptor in an instance is activated only by events that wake the
//! filter's side of the socket, and its condition is evaluated once more when the event is fetched.
//! The read filter does not report urgent data.
//!
//! Two differences from FreeBSD are known. First, the error in `fflags` is always `ECONNRESET`,
//! because Linux returns the error's number only by clearing the error. Second, a `recv` with
//! `MSG_PEEK` that returns the socket's error also clears it.
#![allow(non_camel_case_types, unsafe_code)]

use crate::real::errno::Errno;
use crate::real::libc;
use crate::real::poll::{PollFd, PollFlags, ppoll};
use crate::real::sys::epoll::{
    Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout,
};
use crate::real::sys::time::TimeSpec;
use std::collections::HashMap;
use std::ops::BitOr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventFilter {
    EVFILT_READ,
    EVFILT_WRITE,
}
use EventFilter::{EVFILT_READ, EVFILT_WRITE};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvFlags(u16);

impl EvFlags {
    pub const EV_ADD: EvFlags = EvFlags(0x1);
    pub const EV_DELETE: EvFlags = EvFlags(0x2);
    pub const EV_CLEAR: EvFlags = EvFlags(0x20);
    pub const EV_EOF: EvFlags = EvFlags(0x8000);

    pub fn empty() -> EvFlags {
        EvFlags(0)
    }

    pub fn contains(self, other: EvFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for EvFlags {
    type Output = EvFlags;

    fn bitor(self, other: EvFlags) -> EvFlags {
        EvFlags(self.0 | other.0)
    }
}

/// The error number that a filter reports for a socket at its end of file; 0 if there is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterFlag(u32);

impl FilterFlag {
    pub fn empty() -> FilterFlag {
        FilterFlag(0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[derive(Clone, Copy, Debug)]
pub struct KEvent {
    ident: usize,
    filter: EventFilter,
    flags: EvFlags,
    fflags: FilterFlag,
    udata: isize,
}

impl KEvent {
    pub fn new(
        ident: usize,
        filter: EventFilter,
        flags: EvFlags,
        fflags: FilterFlag,
        _data: isize,
        udata: isize,
    ) -> KEvent {
        KEvent { ident, filter, flags, fflags, udata }
    }

    pub fn filter(&self) -> Result<EventFilter, Errno> {
        Ok(self.filter)
    }

    pub fn flags(&self) -> EvFlags {
        self.flags
    }

    pub fn fflags(&self) -> FilterFlag {
        self.fflags
    }

    pub fn udata(&self) -> isize {
        self.udata
    }
}

#[derive(Debug)]
pub struct Kqueue {
    /// The epoll instance of each filter.
    filters: [(EventFilter, Epoll); 2],
    /// The value that the caller has attached to each registration, which is returned with
    /// its events.
    udata: Mutex<HashMap<(RawFd, EventFilter), isize>>,
}

impl Kqueue {
    pub fn new() -> Result<Kqueue, Errno> {
        let epoll = || Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let filters = [(EVFILT_READ, epoll()?), (EVFILT_WRITE, epoll()?)];
        Ok(Kqueue { filters, udata: Mutex::default() })
    }

    pub fn kevent(
        &self,
        changes: &[KEvent],
        events: &mut [KEvent],
        timeout: Option<libc::timespec>,
    ) -> Result<usize, Errno> {
        changes.iter().try_for_each(|change| self.change(change))?;
        if events.is_empty() {
            return Ok(0);
        }
        let mut polled = self
            .filters
            .each_ref()
            .map(|(_, epoll)| PollFd::new(fd_of(epoll), PollFlags::POLLIN));
        ppoll(&mut polled, timeout.map(TimeSpec::from), None)?;
        let mut found = 0;
        let half = events.len().div_ceil(2);
        for (filter, epoll) in &self.filters {
            let room = half.min(events.len() - found);
            let mut ready = vec![EpollEvent::empty(); room];
            if room == 0 {
                break;
            }
            let n = epoll.wait(&mut ready, EpollTimeout::ZERO)?;
            for event in &ready[..n] {
                if let Some(event) = self.fetch(*filter, event) {
                    events[found] = event;
                    found += 1;
                }
            }
        }
        Ok(found)
    }

    fn change(&self, change: &KEvent) -> Result<(), Errno> {
        let fd = change.ident as RawFd;
        // SAFETY: the borrow ends with this function, and the kernel refuses a number that is no
        // open descriptor (EBADF).
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let (wanted, epoll) = match change.filter {
            EVFILT_READ => {
                (EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, &self.filters[0].1)
            }
            EVFILT_WRITE => (EpollFlags::EPOLLOUT, &self.filters[1].1),
        };
        let mut udata = self.udata.lock().expect("no panic");
        if change.flags.contains(EvFlags::EV_DELETE) {
            udata.remove(&(fd, change.filter)).ok_or(Errno::ENOENT)?;
            return epoll.delete(borrowed);
        }
        assert!(change.flags.contains(EvFlags::EV_ADD | EvFlags::EV_CLEAR), "{change:?}");
        let mut event = EpollEvent::new(wanted | EpollFlags::EPOLLET, fd as u64);
        udata.insert((fd, change.filter), change.udata);
        match epoll.add(borrowed, event) {
            Err(Errno::EEXIST) => epoll.modify(borrowed, &mut event),
            added => added,
        }
    }

    /// Returns the event to report for an event of the filter's epoll instance, or `None` if the
    /// descriptor is no longer registered. The filter's condition is evaluated once more.
    fn fetch(&self, filter: EventFilter, event: &EpollEvent) -> Option<KEvent> {
        let fd = event.data() as RawFd;
        let udata = *self.udata.lock().expect("no panic").get(&(fd, filter))?;
        let any = |flags| event.events().intersects(flags);
        let over = any(EpollFlags::EPOLLHUP)
            || match filter {
                EVFILT_READ => any(EpollFlags::EPOLLRDHUP),
                EVFILT_WRITE => is_shut_for_writing(fd),
            };
        let flags = if over { EvFlags::EV_EOF } else { EvFlags::empty() };
        let error = over && any(EpollFlags::EPOLLERR);
        let fflags = FilterFlag(if error { libc::ECONNRESET as u32 } else { 0 });
        Some(KEvent { ident: fd as usize, filter, flags, fflags, udata })
    }
}

fn fd_of(epoll: &Epoll) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as the epoll is borrowed.
    unsafe { BorrowedFd::borrow_raw(epoll.0.as_raw_fd()) }
}

/// Returns whether the sending side of a socket is shut down (`SBS_CANTSENDMORE`), judging
/// by its TCP state.
fn is_shut_for_writing(fd: RawFd) -> bool {
    // SAFETY: a `tcp_info` is made of numbers, for which zero is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = size_of_val(&info) as libc::socklen_t;
    // SAFETY: TCP_INFO writes at most `size` bytes through the pointer (tcp(7)).
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut size,
        )
    };
    // These numbers are the TCP states FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, LAST_ACK, CLOSING.
    result == 0 && matches!(info.tcpi_state, 4..=7 | 9 | 11)
}
