//! Address space for many stacks: the system calls that reserve, guard and inspect it.
#![allow(unsafe_code)]

use super::overflow::{self, Watched};
use std::ptr::{self, NonNull};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{fs, io};

/// madvise(2): makes pages inaccessible without splitting the mapping (Linux 6.13).
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// Mappings that are left to the rest of the process where guards use them up.
const SPARE_MAPPINGS: usize = 2_000;

/// Bytes of the guard below each stack, at least: more than any single frame of the C code
/// that a coroutine may reasonably call. It costs address space, and no memory.
pub const GUARD: usize = 64 * 1024;

/// How the pages of a guard are made inaccessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Marks in the page table (`MADV_GUARD_INSTALL`, Linux 6.13): no mapping of its own.
    Marked,
    /// mprotect(2): splits the mapping, and the system limits the number of mappings.
    Protected,
}

/// A stack from a [`StackPool`](super::StackPool), with a single owner.
#[derive(Debug)]
pub struct Stack {
    /// Just above its highest byte; a multiple of the page size.
    top: NonNull<u8>,
    /// Bytes, without the guard.
    size: u32,
    /// The pool that it belongs to.
    pub(super) pool: u32,
}

impl Stack {
    /// Returns the address just above its highest usable byte, a multiple of 16. The
    /// [`size`](Stack::size) bytes below can be read and written by the owner. Above lies
    /// the label.
    #[inline]
    pub(crate) fn top(&self) -> NonNull<u8> {
        // SAFETY: every stack is larger than its label.
        unsafe { self.top.sub(overflow::LABEL) }
    }

    /// Returns the number of usable bytes.
    #[inline]
    pub fn size(&self) -> usize {
        self.size as usize - overflow::LABEL
    }

    /// Labels the stack with the number by which a message about an overflow names its
    /// coroutine.
    #[inline]
    pub(crate) fn set_label(&mut self, label: u64) {
        // SAFETY: reserved for the label, aligned, and owned.
        unsafe { self.top().cast::<u64>().write(label) }
    }

    /// Returns the label.
    pub(crate) fn label(&self) -> u64 {
        // SAFETY: as above; written before a coroutine is on the stack.
        unsafe { self.top().cast::<u64>().read() }
    }
}

/// A mapping with room for `stacks` stacks, each with its guard below it.
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    pub(super) stacks: usize,
    /// Bytes of a stack.
    size: usize,
    /// Bytes of the guard below each.
    gap: usize,
    guard: Guard,
    /// Stacks that were handed out at least once, and have their guards.
    pub(super) used: usize,
    watched: Option<&'static Watched>,
}

impl Region {
    /// Reserves the addresses of `stacks` stacks of `size` bytes.
    ///
    /// # Errors
    ///
    /// Those of mmap(2), usually that the address space is exhausted.
    pub(super) fn reserve(
        size: usize,
        stacks: usize,
        guard: Guard,
    ) -> io::Result<Region> {
        let gap = GUARD.next_multiple_of(page_size());
        let slot = size + gap;
        let start = map(slot * stacks).map_err(|error| {
            io::Error::new(error.kind(), format!("no room for {stacks} stacks: {error}"))
        })?;
        // Exposed, since the handler of overflows makes a pointer of an address.
        let address = start.as_ptr().expose_provenance();
        let watched = overflow::watch(address, slot * stacks, slot, gap);
        Ok(Region { start, stacks, size, gap, guard, used: 0, watched })
    }

    /// Returns a stack that was never used, for the pool of this id, and installs its guard.
    pub(super) fn next(&mut self, pool: u32) -> io::Result<Stack> {
        assert!(self.used < self.stacks);
        let slot = self.size + self.gap;
        // SAFETY: the slot is one of this region's, as was checked.
        let guard = unsafe { self.start.add(self.used * slot) };
        protect(guard, self.gap, self.guard)?;
        self.used += 1;
        // SAFETY: the end of the same slot.
        let top = unsafe { guard.add(slot) };
        Ok(Stack { top, size: self.size as u32, pool })
    }

    /// Returns what [`pages`] says of each stack that was handed out at least once.
    pub(super) fn usage(&self) -> impl Iterator<Item = (usize, usize)> {
        let slot = self.size + self.gap;
        // SAFETY: at most the end of the region, because `used` is at most its number of stacks.
        let tops =
            (1..=self.used).map(move |slots| unsafe { self.start.add(slots * slot) });
        tops.map(|top| pages(top, self.size))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(watched) = self.watched {
            watched.forget();
        }
        if self.guard == Guard::Protected {
            PROTECTED.fetch_sub(self.used, Relaxed);
        }
        let bytes = (self.size + self.gap) * self.stacks;
        // SAFETY: this region's mapping. The pool drops it only when all of its stacks were
        // given back, so there is no reference into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}

/// Gives the pages of a stack back to the system. Returns how deep it was used.
pub(super) fn discard_pages(stack: &Stack) -> usize {
    let (top, size) = (stack.top, stack.size as usize);
    let (depth, _) = pages(top, size);
    // SAFETY: the whole of this stack, which begins `size` bytes below its top.
    let bottom = unsafe { top.sub(size) };
    // SAFETY: the stack is in the pool, so nothing on it is needed; what it reads as
    // afterwards does not matter. A failure changes nothing: the pages stay.
    unsafe { libc::madvise(bottom.as_ptr().cast(), size, libc::MADV_DONTNEED) };
    depth
}

/// Returns, of a stack with this top, the bytes down to the lowest page that is in memory,
/// and the bytes of all pages that are (mincore(2)).
fn pages(top: NonNull<u8>, size: usize) -> (usize, usize) {
    let page = page_size();
    // SAFETY: the whole of a stack, which begins `size` bytes below its top.
    let bottom = unsafe { top.sub(size) };
    let mut pages = vec![0u8; size / page];
    // SAFETY: it writes a byte for each page of the range, for which there is room, and
    // only inspects the pages.
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

/// How many guards of mprotect(2) leave enough mappings to the rest of the process. When the
/// mappings have run out, even malloc fails.
static MOST_PROTECTED: LazyLock<usize> = LazyLock::new(|| {
    let granted = fs::read_to_string("/proc/sys/vm/max_map_count");
    let granted = granted.ok().and_then(|granted| granted.trim().parse().ok());
    granted.unwrap_or(65_530_usize).saturating_sub(SPARE_MAPPINGS) / 2 // Linux's default
});

/// Guards of mprotect(2) in this process.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);

/// Reserves address space: no memory yet, and none is promised.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // FreeBSD has no MAP_NORESERVE: it promises no memory anyway. OpenBSD kills a process whose
    // stack pointer is not in a MAP_STACK (which means something else on FreeBSD).
    #[cfg(target_os = "freebsd")]
    const MORE: libc::c_int = 0;
    #[cfg(target_os = "openbsd")]
    const MORE: libc::c_int = libc::MAP_NORESERVE | libc::MAP_STACK;
    #[cfg(not(any(target_os = "freebsd", target_os = "openbsd")))]
    const MORE: libc::c_int = libc::MAP_NORESERVE;
    // SAFETY: a new mapping, wherever the kernel likes; nothing is replaced.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | MORE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A huge page would make the first touch of a stack cost two megabytes.
    #[cfg(target_os = "linux")]
    // SAFETY: advice about our own mapping; a refusal changes nothing.
    unsafe {
        libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE)
    };
    NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap at address zero"))
}

/// Makes the `size` bytes at `pages` inaccessible.
fn protect(pages: NonNull<u8>, size: usize, guard: Guard) -> io::Result<()> {
    match guard {
        #[cfg(target_os = "linux")]
        Guard::Marked => {
            // SAFETY: pages of a region that no stack uses.
            done(unsafe {
                libc::madvise(pages.as_ptr().cast(), size, MADV_GUARD_INSTALL)
            })
        }
        #[cfg(not(target_os = "linux"))]
        Guard::Marked => Err(io::ErrorKind::Unsupported.into()),
        Guard::Protected => {
            let guards = PROTECTED.load(Relaxed);
            if guards >= *MOST_PROTECTED {
                return Err(io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    format!(
                        "no more than {guards} stacks: each guard takes two mappings, and the \
                         system limits those of a process (vm.max_map_count); Linux 6.13 has \
                         guards that take none"
                    ),
                ));
            }
            // SAFETY: pages of a region that no stack uses.
            done(unsafe {
                libc::mprotect(pages.as_ptr().cast(), size, libc::PROT_NONE)
            })?;
            PROTECTED.fetch_add(1, Relaxed);
            Ok(())
        }
    }
}

/// Returns the best kind of guard that this system has.
pub(super) fn best_guard() -> io::Result<Guard> {
    #[cfg(target_os = "linux")]
    {
        let size = page_size();
        let page = map(size)?;
        let marked = protect(page, size, Guard::Marked).is_ok() && is_inaccessible(page);
        // SAFETY: the mapping of three lines above, to which there is no reference.
        unsafe { libc::munmap(page.as_ptr().cast(), size) };
        if marked {
            return Ok(Guard::Marked);
        }
    }
    Ok(Guard::Protected)
}

/// Returns whether the kernel refuses to write there. An emulator may accept advice that it
/// does not know, since advice need not be followed; but a guard has to be one.
#[cfg(target_os = "linux")]
fn is_inaccessible(page: NonNull<u8>) -> bool {
    // SAFETY: one byte into an unused page of ours; or EFAULT.
    unsafe { libc::getrandom(page.as_ptr().cast(), 1, 0) == -1 }
}

pub(super) fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions, and every system has pages.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn done(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
