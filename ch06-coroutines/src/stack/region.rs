//! Address space for many stacks: the system calls that reserve it, guard it, and inspect
//! it.
#![allow(unsafe_code)]

use super::overflow::{self, Watched};
use ch01_blocking::server::sys::claim_memory;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{fs, io};

/// The advice of madvise(2) that makes pages inaccessible without splitting the mapping
/// (Linux 6.13).
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// Number of memory mappings that the pool leaves to the rest of the process, on a system where
/// each guard splits a mapping.
const SPARE_MAPPINGS: usize = 2_000;

/// Minimum size of the guard below each stack, in bytes: more than any single frame of the C code
/// that a coroutine may reasonably call. A guard costs address space, and no memory.
pub const GUARD: usize = 64 * 1024;

/// The means by which the pages of a guard are made inaccessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Marks in the page table (`MADV_GUARD_INSTALL`, Linux 6.13), which split no mapping.
    #[cfg(target_os = "linux")]
    Marked,
    /// mprotect(2), which splits the mapping; the system limits the number of mappings.
    Protected,
}

/// A stack from a [`StackPool`](super::StackPool), with a single owner.
#[derive(Debug)]
pub struct Stack {
    /// The address just above the stack's highest byte; a multiple of the page size.
    top: NonNull<u8>,
    /// The size of the stack in bytes, without its guard.
    size: u32,
    /// The number of the pool that the stack belongs to.
    pub(super) pool: u32,
}

impl Stack {
    /// Returns the address just above the highest usable byte, a multiple of 16. The owner may read
    /// and write the [`size`](Stack::size) bytes below this address. The number that
    /// [`set_label`](Stack::set_label) stores lies above it.
    #[inline]
    pub(crate) fn top(&self) -> NonNull<u8> {
        // SAFETY: every stack is larger than its label.
        unsafe { self.top.sub(overflow::LABEL) }
    }

    /// Returns the number of usable bytes of the stack.
    #[inline]
    pub fn size(&self) -> usize {
        self.size as usize - overflow::LABEL
    }

    /// Stores the number of the coroutine that uses the stack, above the usable bytes. If the stack
    /// overflows, the message names the coroutine by this number.
    #[inline]
    pub(crate) fn set_label(&mut self, label: u64) {
        // SAFETY: the bytes above `top` are reserved for the label, aligned, and owned.
        unsafe { self.top().cast::<u64>().write(label) }
    }

    /// Returns the number that [`set_label`](Stack::set_label) stored last.
    pub(crate) fn label(&self) -> u64 {
        // SAFETY: the bytes above `top` are reserved for the label and aligned, and the label is
        // written before a coroutine uses the stack.
        unsafe { self.top().cast::<u64>().read() }
    }
}

/// A mapping with room for `stacks` stacks, each with its guard below it.
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    pub(super) stacks: usize,
    /// The size of each stack, in bytes.
    size: usize,
    /// The size of the guard below each stack, in bytes.
    gap: usize,
    guard: Guard,
    /// Number of stacks that were handed out at least once, and have their guards.
    pub(super) used: usize,
    watched: Option<&'static Watched>,
}

impl Region {
    /// Reserves address space for `stacks` stacks of `size` bytes each. Some address space is left
    /// free, because an allocation that failed would end the process.
    ///
    /// # Errors
    ///
    /// The error of mmap(2) or of [`claim_memory`], usually that the address space is exhausted.
    pub(super) fn reserve(
        size: usize,
        stacks: usize,
        guard: Guard,
    ) -> io::Result<Region> {
        let gap = GUARD.next_multiple_of(page_size());
        let slot = size + gap;
        let bytes = slot * stacks;
        let start =
            claim_memory(bytes).and_then(|_claim| map(bytes)).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("no room for {stacks} stacks: {error}"),
                )
            })?;
        // The address is exposed, because the overflow handler makes a pointer from the number.
        let address = start.as_ptr().expose_provenance();
        let watched = overflow::watch(address, bytes, slot, gap);
        Ok(Region { start, stacks, size, gap, guard, used: 0, watched })
    }

    /// Returns a stack that was never used, for the pool with the number `pool`, and installs its
    /// guard.
    pub(super) fn next(&mut self, pool: u32) -> io::Result<Stack> {
        assert!(self.used < self.stacks);
        let slot = self.size + self.gap;
        // SAFETY: the slot is one of this region's, as the assertion has checked.
        let guard = unsafe { self.start.add(self.used * slot) };
        protect(guard, self.gap, self.guard)?;
        self.used += 1;
        // SAFETY: the resulting address is the end of the slot at `guard`, and so within the
        // region.
        let top = unsafe { guard.add(slot) };
        Ok(Stack { top, size: self.size as u32, pool })
    }

    /// Returns, for each stack that was handed out at least once, the two sizes that [`pages`]
    /// returns.
    pub(super) fn usage(&self) -> impl Iterator<Item = (usize, usize)> {
        let slot = self.size + self.gap;
        // SAFETY: the address is at most the end of the region, because `used` is at most its
        // number of stacks.
        let tops = (1..=self.used).map(move |n| unsafe { self.start.add(n * slot) });
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
        // SAFETY: this is the region's own mapping. The pool drops a region only after all of its
        // stacks were returned, so no reference into it exists.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}

/// Gives the pages of a stack back to the system. Returns the greatest depth to which the stack was
/// used, in bytes.
pub(super) fn discard_pages(stack: &Stack) -> usize {
    let (top, size) = (stack.top, stack.size as usize);
    let (depth, _) = pages(top, size);
    // SAFETY: the stack begins `size` bytes below its top, so `bottom` is in the
    // stack's mapping.
    let bottom = unsafe { top.sub(size) };
    // SAFETY: the stack has been returned to the pool, so the content of its pages, which the call
    // discards, is not needed any longer. If the call fails, the pages only stay in memory.
    unsafe { libc::madvise(bottom.as_ptr().cast(), size, libc::MADV_DONTNEED) };
    depth
}

/// Returns two sizes of the stack with the top `top`, in bytes: the distance from the top to the
/// lowest page that is in memory, and the total size of the pages that are in memory. Both are 0 if
/// mincore(2) fails.
fn pages(top: NonNull<u8>, size: usize) -> (usize, usize) {
    let page = page_size();
    // SAFETY: a stack begins `size` bytes below its top, so `bottom` is in the stack's
    // mapping.
    let bottom = unsafe { top.sub(size) };
    let mut pages = vec![0u8; size / page];
    // SAFETY: mincore writes a byte for each page of the range, for which there is room,
    // and only inspects the pages.
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

/// Maximum number of mprotect(2) guards, which leaves enough memory mappings to the rest of the
/// process. When the mappings have run out, even malloc fails.
static MOST_PROTECTED: LazyLock<usize> = LazyLock::new(|| {
    let granted = fs::read_to_string("/proc/sys/vm/max_map_count");
    let granted = granted.ok().and_then(|granted| granted.trim().parse().ok());
    granted.unwrap_or(65_530_usize).saturating_sub(SPARE_MAPPINGS) / 2 // Linux's default
});

/// Number of mprotect(2) guards in this process.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);

/// Reserves `bytes` of address space, for which the kernel need not promise any memory.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // FreeBSD has no MAP_NORESERVE, because it promises no memory to a mapping anyway. OpenBSD
    // kills a process whose stack pointer does not point into a mapping with the flag MAP_STACK. On
    // FreeBSD this flag has another meaning, so it is not set there.
    #[cfg(target_os = "freebsd")]
    const MORE: libc::c_int = 0;
    #[cfg(target_os = "openbsd")]
    const MORE: libc::c_int = libc::MAP_NORESERVE | libc::MAP_STACK;
    #[cfg(not(any(target_os = "freebsd", target_os = "openbsd")))]
    const MORE: libc::c_int = libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces no other.
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
    // A huge page would make the first touch of a stack cost 2 MiB.
    #[cfg(target_os = "linux")]
    // SAFETY: the advice concerns the new mapping only, and changes no content. If the kernel
    // refuses the advice, nothing happens.
    unsafe {
        libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE)
    };
    NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap at address zero"))
}

/// Makes the `size` bytes at `pages` inaccessible, by the system call that `guard` stands for.
fn protect(pages: NonNull<u8>, size: usize, guard: Guard) -> io::Result<()> {
    let start = pages.as_ptr().cast();
    match guard {
        #[cfg(target_os = "linux")]
        // SAFETY: the pages are in a mapping of this module, and no stack contains them.
        Guard::Marked => done(unsafe { libc::madvise(start, size, MADV_GUARD_INSTALL) }),
        Guard::Protected => {
            let guards = PROTECTED.load(Relaxed);
            if guards >= *MOST_PROTECTED {
                // Where `Guard::Marked` works (Linux 6.13 and later), only a pool from
                // `StackPool::protected` meets this error: other guards take no mapping.
                let why = format!("{guards} guards use all mappings: vm.max_map_count");
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, why));
            }
            // SAFETY: the pages are in a mapping of this module, and no stack contains them.
            done(unsafe { libc::mprotect(start, size, libc::PROT_NONE) })?;
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
        // SAFETY: `map` has just made this mapping of one page, and no reference to it exists.
        unsafe { libc::munmap(page.as_ptr().cast(), size) };
        if marked {
            return Ok(Guard::Marked);
        }
    }
    Ok(Guard::Protected)
}

/// Returns whether the kernel refuses to write to a page, as it must for a guard. An emulator may
/// accept the advice for a guard without following it, because it does not know the advice.
#[cfg(target_os = "linux")]
fn is_inaccessible(page: NonNull<u8>) -> bool {
    // SAFETY: getrandom(2) writes one byte into an unused page of this module, or fails
    // with EFAULT.
    unsafe { libc::getrandom(page.as_ptr().cast(), 1, 0) == -1 }
}

pub(super) fn page_size() -> usize {
    // SAFETY: sysconf(3) has no preconditions. The page size is defined on every system.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn done(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
