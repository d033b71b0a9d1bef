//! Address space for many stacks: what the system is asked for, and asked about.
#![allow(unsafe_code)]

use super::{Guard, Stack};
use crate::overflow::{self, Watched};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// madvise(2): a page that nobody may touch, without splitting the mapping (Linux 6.13).
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// Mappings that are left to everybody else, where guards use them up.
#[cfg(target_os = "linux")]
const SPARE_MAPPINGS: usize = 2_000;

/// A mapping with room for so many stacks, each with its guard below it.
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    stacks: usize,
    /// Bytes of a stack; of a guard below each.
    size: usize,
    page: usize,
    guard: Guard,
    /// Stacks that were handed out at least once, and have their guards.
    used: usize,
    watched: &'static Watched,
}

impl Region {
    /// Reserves the addresses.
    pub(super) fn reserve(
        size: usize,
        stacks: usize,
        guard: Guard,
    ) -> io::Result<Region> {
        let page = page_size()?;
        let slot = size + page;
        let start = map(slot * stacks).map_err(|error| {
            io::Error::new(error.kind(), format!("no room for {stacks} stacks: {error}"))
        })?;
        // Exposed, since the handler of overflows makes a pointer of an address.
        let address = start.as_ptr().expose_provenance();
        let watched = overflow::watch(address, slot * stacks, slot, page);
        Ok(Region { start, stacks, size, page, guard, used: 0, watched })
    }

    pub(super) fn stacks(&self) -> usize {
        self.stacks
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The top of a stack that was never used, below which lies a guard from now on.
    pub(super) fn next(&mut self) -> io::Result<NonNull<u8>> {
        assert!(self.used < self.stacks);
        let slot = self.size + self.page;
        // SAFETY: the slot is one of this region's, as was checked.
        let guard = unsafe { self.start.add(self.used * slot) };
        protect(guard, self.page, self.guard)?;
        self.used += 1;
        // SAFETY: the end of the same slot.
        Ok(unsafe { guard.add(slot) })
    }

    /// How deep the deepest of its stacks is, and was not cooled since.
    pub(super) fn depth(&self) -> usize {
        self.tops().map(|top| pages(top, self.size, self.page).0).max().unwrap_or(0)
    }

    /// Bytes that are in memory.
    pub(super) fn resident(&self) -> usize {
        self.tops().map(|top| pages(top, self.size, self.page).1).sum()
    }

    /// The tops of all stacks that were handed out at least once.
    fn tops(&self) -> impl Iterator<Item = NonNull<u8>> {
        let slot = self.size + self.page;
        // SAFETY: at most the end of the region, as no more stacks than it has were used.
        (1..=self.used).map(move |slots| unsafe { self.start.add(slots * slot) })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.watched.forget();
        if self.guard == Guard::Protected {
            PROTECTED.fetch_sub(self.used, Relaxed);
        }
        let bytes = (self.size + self.page) * self.stacks;
        // SAFETY: this region's mapping. The pool drops it only when all of its stacks
        // have come home, so nobody has a reference into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}

/// Gives the pages of a stack back to the system. Says how deep it was.
pub(super) fn cool(stack: &Stack) -> usize {
    let Ok(page) = page_size() else { return 0 };
    let (depth, _) = pages(stack.top, stack.size(), page);
    // SAFETY: the whole of this stack, which begins so far below its top.
    let bottom = unsafe { stack.top.sub(stack.size()) };
    // SAFETY: the stack is in the pool, so nothing on it is needed; what it reads as
    // afterwards does not matter. If it fails, nothing has happened: the pages stay.
    unsafe { libc::madvise(bottom.as_ptr().cast(), stack.size(), libc::MADV_DONTNEED) };
    depth
}

/// Of a stack with this top: the bytes down to the lowest page that is in memory, and
/// how many of them are (mincore(2)).
fn pages(top: NonNull<u8>, size: usize, page: usize) -> (usize, usize) {
    // SAFETY: the whole of a stack, which begins so far below its top.
    let bottom = unsafe { top.sub(size) };
    let mut pages = vec![0u8; size / page];
    // SAFETY: it writes a byte for each page of the range, for which there is room, and
    // only asks about the pages.
    let asked =
        unsafe { libc::mincore(bottom.as_ptr().cast(), size, pages.as_mut_ptr().cast()) };
    if asked != 0 {
        return (0, 0);
    }
    pages.iter_mut().for_each(|page| *page &= 1); // the other bits mean nothing
    let absent = pages.iter().take_while(|&&page| page == 0).count();
    let resident = pages.iter().filter(|&&page| page == 1).count();
    ((pages.len() - absent) * page, resident * page)
}

/// Pages that mprotect(2) guards in this process.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);

/// Reserves address space. No memory yet, and none is promised.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // FreeBSD has no such flag: it promises no memory anyway.
    #[cfg(target_os = "freebsd")]
    const NO_PROMISE: libc::c_int = 0;
    #[cfg(not(target_os = "freebsd"))]
    const NO_PROMISE: libc::c_int = libc::MAP_NORESERVE;
    // SAFETY: a new mapping, wherever the kernel likes; nothing is replaced.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | NO_PROMISE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A huge page would make the first touch of a stack cost two megabytes.
    #[cfg(target_os = "linux")]
    // SAFETY: advice about our own mapping; it may be refused, and then nothing has happened.
    unsafe {
        libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE)
    };
    NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap at address zero"))
}

/// Makes a page untouchable.
fn protect(page: NonNull<u8>, size: usize, guard: Guard) -> io::Result<()> {
    match guard {
        #[cfg(target_os = "linux")]
        Guard::Marked => {
            // SAFETY: a page of a region that nobody uses.
            done(unsafe { libc::madvise(page.as_ptr().cast(), size, MADV_GUARD_INSTALL) })
        }
        #[cfg(not(target_os = "linux"))]
        Guard::Marked => Err(io::ErrorKind::Unsupported.into()),
        Guard::Protected => {
            let guards = PROTECTED.load(Relaxed);
            if guards >= most_protected() {
                return Err(io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    format!(
                        "no more than {guards} stacks: each guard page takes two mappings, and \
                         the system grants so many to a process (vm.max_map_count); Linux 6.13 has guards \
                         that take none"
                    ),
                ));
            }
            // SAFETY: a page of a region that nobody uses.
            done(unsafe { libc::mprotect(page.as_ptr().cast(), size, libc::PROT_NONE) })?;
            PROTECTED.fetch_add(1, Relaxed);
            Ok(())
        }
    }
}

/// How many guards of mprotect(2) leave enough mappings for everybody else. When
/// they have run out, even malloc fails, so it is better not to come near.
#[cfg(target_os = "linux")]
fn most_protected() -> usize {
    use std::sync::LazyLock;
    static MOST: LazyLock<usize> = LazyLock::new(|| {
        let granted = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let granted = granted.ok().and_then(|granted| granted.trim().parse().ok());
        granted.unwrap_or(65_530_usize).saturating_sub(SPARE_MAPPINGS) / 2
    });
    *MOST
}

#[cfg(not(target_os = "linux"))]
fn most_protected() -> usize {
    usize::MAX
}

/// The best guard that this system has.
pub(super) fn best_guard() -> io::Result<Guard> {
    #[cfg(target_os = "linux")]
    {
        let size = page_size()?;
        let page = map(size)?;
        let marked = protect(page, size, Guard::Marked).is_ok() && is_untouchable(page);
        // SAFETY: the mapping of three lines above, which nobody has.
        unsafe { libc::munmap(page.as_ptr().cast(), size) };
        if marked {
            return Ok(Guard::Marked);
        }
    }
    Ok(Guard::Protected)
}

/// Whether the kernel refuses to write there. An emulator may accept an advice that it
/// does not know, since an advice need not be followed; but a guard has to be one.
#[cfg(target_os = "linux")]
fn is_untouchable(page: NonNull<u8>) -> bool {
    // SAFETY: one byte into a page that is ours, and that nobody uses; or EFAULT.
    unsafe { libc::getrandom(page.as_ptr().cast(), 1, 0) == -1 }
}

pub(super) fn page_size() -> io::Result<usize> {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).map_err(|_| io::Error::last_os_error())
}

fn done(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
