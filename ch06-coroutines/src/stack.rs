//! Stacks for coroutines: reserved many at once, guarded, and used again.
//!
//! ```text
//!   a region:  ║ guard │ stack ║ guard │ stack ║ guard │ stack ║ …
//!                        ◄── grows downwards, into its guard
//! ```
//!
//! A region is address space and nothing else. A page of it becomes memory when it is
//! first touched, so a large stack costs no more than what is used of it. Below each
//! stack lies a page that nobody may touch: who overflows his stack meets it before he
//! meets his neighbour.
#![allow(unsafe_code)]

use crate::context;
use crate::overflow::{self, Watched};
use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Stacks in the first region. Each further region has twice as many as the one before.
const FIRST: usize = 64;
/// madvise(2): a page that nobody may touch, without splitting the mapping (Linux 6.13).
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// Mappings that are left to everybody else, where guards use them up.
#[cfg(target_os = "linux")]
const SPARE_MAPPINGS: usize = 2_000;

/// A stack that nobody else has.
#[derive(Debug)]
pub struct Stack {
    /// Just above its highest byte; a multiple of the page size.
    top: NonNull<u8>,
    /// Bytes, without the guard.
    size: u32,
    /// The pool that it belongs to.
    pool: u32,
}

impl Stack {
    /// The address just above its highest byte, a multiple of 16. All of the
    /// [`size`](Stack::size) bytes below can be read and written by whoever owns this.
    #[inline]
    pub(crate) fn top(&self) -> NonNull<u8> {
        self.top
    }

    /// Bytes that can be used.
    #[inline]
    pub fn size(&self) -> usize {
        self.size as usize
    }
}

/// A pool of stacks of one size, for one thread.
#[derive(Debug)]
pub struct Stacks {
    size: usize,
    page: usize,
    guard: Guard,
    id: u32,
    regions: Vec<Region>,
    /// Stacks of the newest region that were handed out at least once.
    used: usize,
    /// Given back, with the pages that they have touched; the last one first.
    warm: Vec<Stack>,
    /// Given back, and their pages with them.
    cold: Vec<Stack>,
    /// Stacks that are with somebody.
    out: usize,
    /// How deep any was that has become cold.
    deepest: Cell<usize>,
}

#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    stacks: usize,
    watched: &'static Watched,
}

/// By what means a page is made untouchable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A mark in the page table (`MADV_GUARD_INSTALL`, Linux 6.13): costs no mapping.
    Marked,
    /// mprotect(2): splits the mapping, and the system bounds how many there are.
    Protected,
}

impl Stacks {
    /// Enough for a connection of this book's servers, many times over.
    pub const DEFAULT_SIZE: usize = 64 * 1024;
    /// No stack is smaller than this: a panic has to find room on it.
    pub const LEAST_SIZE: usize = 16 * 1024;
    /// Nor larger.
    pub const MOST_SIZE: usize = 1 << 30;

    /// Returned stacks that keep the pages they have touched. More would be faster after
    /// a crowd, and hold more memory after it.
    pub const WARM: usize = 256;

    /// An empty pool of stacks of this many bytes, rounded up to pages. Reserves nothing yet.
    ///
    /// From now on an overflow of any of them ends the process with a message that names
    /// the coroutine. Other faults are handed to whoever handled them before.
    ///
    /// # Errors
    /// A size that is too small or too large (`InvalidInput`); a processor for which
    /// there is no switch (`Unsupported`); whatever sigaltstack(2) and sigaction(2) have.
    pub fn new(size: usize) -> io::Result<Stacks> {
        Stacks::guarded(size, best_guard()?)
    }

    /// The same, with a certain kind of guard. For comparing them.
    ///
    /// # Errors
    /// As [`new`](Stacks::new).
    pub fn guarded(size: usize, guard: Guard) -> io::Result<Stacks> {
        static POOLS: AtomicU32 = AtomicU32::new(0);
        if !(Stacks::LEAST_SIZE..=Stacks::MOST_SIZE).contains(&size) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a stack of {size} bytes: it takes {} to {}",
                    Stacks::LEAST_SIZE,
                    Stacks::MOST_SIZE
                ),
            ));
        }
        if !context::SUPPORTED {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "coroutines need a switch written for the processor: there is one for x86-64 and one for 64-bit ARM",
            ));
        }
        overflow::prepare_thread()?;
        let page = page_size()?;
        Ok(Stacks {
            size: size.next_multiple_of(page),
            page,
            guard,
            id: POOLS.fetch_add(1, Relaxed),
            regions: Vec::new(),
            used: 0,
            warm: Vec::new(),
            cold: Vec::new(),
            out: 0,
            deepest: Cell::new(0),
        })
    }

    /// Bytes of each stack, without its guard.
    pub fn size(&self) -> usize {
        self.size
    }

    /// A stack: the one that was given back last, or a fresh one.
    ///
    /// # Errors
    /// When there is no more address space, or no more guards (only [`Guard::Protected`]).
    #[inline]
    pub fn take(&mut self) -> io::Result<Stack> {
        let stack = match self.warm.pop() {
            Some(stack) => stack,
            None => self.take_cold()?,
        };
        self.out += 1;
        Ok(stack)
    }

    /// Takes a stack back. Some keep the pages that they have touched, because they will be
    /// used again soon; the pages of more than that go back to the system.
    ///
    /// # Panics
    /// When it is another pool's.
    #[inline]
    pub fn give_back(&mut self, stack: Stack) {
        assert_eq!(stack.pool, self.id, "a stack was given to a pool that it is not of");
        self.out -= 1;
        if self.warm.len() < Stacks::WARM {
            self.warm.push(stack);
        } else {
            self.cool(stack);
        }
    }

    /// How deep any stack of this pool has been used, in bytes, as far as whole pages
    /// tell. Asks the kernel about each stack that was ever used (mincore(2)), so it
    /// costs something, but only those who ask.
    pub fn high_water(&self) -> usize {
        let depths = self.ever_used().map(|top| self.touched(top).0);
        depths.max().unwrap_or(0).max(self.deepest.get())
    }

    /// How much memory the stacks of this pool have now, in bytes. Asks the kernel likewise.
    pub fn resident(&self) -> usize {
        self.ever_used().map(|top| self.touched(top).1).sum()
    }

    /// How many stacks have been used at once, at most.
    pub fn most_used(&self) -> usize {
        let older = self.regions.iter().rev().skip(1).map(|region| region.stacks);
        older.sum::<usize>() + self.used
    }

    fn take_cold(&mut self) -> io::Result<Stack> {
        match self.cold.pop() {
            Some(stack) => Ok(stack),
            None => self.fresh(),
        }
    }

    /// One that was never used: it gets its guard now.
    fn fresh(&mut self) -> io::Result<Stack> {
        if self.regions.last().is_none_or(|region| self.used == region.stacks) {
            self.reserve()?;
        }
        let Some(region) = self.regions.last() else { unreachable!("one was reserved") };
        let top = self.top_of(region, self.used);
        // SAFETY: the guard page of this slot, which begins a page and a stack below its
        // top, inside of the region.
        let guard = unsafe { top.sub(self.size + self.page) };
        protect(guard, self.page, self.guard)?;
        self.used += 1;
        Ok(Stack { top, size: self.size as u32, pool: self.id })
    }

    /// Reserves another region.
    fn reserve(&mut self) -> io::Result<()> {
        let stacks = self.regions.last().map_or(FIRST, |region| region.stacks * 2);
        let slot = self.size + self.page;
        let bytes = slot * stacks;
        let start = map(bytes).map_err(|error| {
            io::Error::new(error.kind(), format!("no room for {stacks} stacks: {error}"))
        })?;
        let watched =
            overflow::watch(start.as_ptr().expose_provenance(), bytes, slot, self.page);
        self.regions.push(Region { start, stacks, watched });
        self.used = 0;
        Ok(())
    }

    /// Gives the pages of a stack back to the system, but not its addresses.
    #[cold]
    fn cool(&mut self, stack: Stack) {
        self.deepest.set(self.deepest.get().max(self.touched(stack.top).0));
        // SAFETY: the whole of this stack, which begins so far below its top.
        let bottom = unsafe { stack.top.sub(self.size) };
        // SAFETY: the stack is ours alone and nothing on it is needed. It reads as zero
        // afterwards. If it fails, nothing has happened: the pages stay.
        unsafe { libc::madvise(bottom.as_ptr().cast(), self.size, libc::MADV_DONTNEED) };
        self.cold.push(stack);
    }

    /// Just above the highest byte of a region's slot.
    fn top_of(&self, region: &Region, slot: usize) -> NonNull<u8> {
        debug_assert!(slot < region.stacks);
        // SAFETY: at most the end of the region, of which the slot is one.
        unsafe { region.start.add((slot + 1) * (self.size + self.page)) }
    }

    /// The tops of all stacks that were handed out at least once.
    fn ever_used(&self) -> impl Iterator<Item = NonNull<u8>> {
        let newest = self.regions.len().saturating_sub(1);
        self.regions.iter().enumerate().flat_map(move |(at, region)| {
            let used = if at == newest { self.used } else { region.stacks };
            (0..used).map(|slot| self.top_of(region, slot))
        })
    }

    /// From the top of a stack to the lowest of its pages that is in memory, in bytes;
    /// and how much of it is.
    fn touched(&self, top: NonNull<u8>) -> (usize, usize) {
        // SAFETY: the whole of this stack, which begins so far below its top.
        let bottom = unsafe { top.sub(self.size) };
        let mut pages = vec![0u8; self.size / self.page];
        // SAFETY: it writes a byte for each page of the range, for which there is room,
        // and only asks about the pages.
        let asked = unsafe {
            libc::mincore(bottom.as_ptr().cast(), self.size, pages.as_mut_ptr().cast())
        };
        if asked != 0 {
            return (0, 0);
        }
        let is_there = |page: &&u8| **page & 1 == 1;
        let lowest = pages.iter().position(|page| is_there(&page)).unwrap_or(pages.len());
        let resident = pages.iter().filter(is_there).count();
        ((pages.len() - lowest) * self.page, resident * self.page)
    }
}

impl Drop for Stacks {
    /// Gives the regions back, unless a stack is still with somebody, or was lost: then
    /// they stay for ever. Somebody may still refer to what lies on that stack.
    fn drop(&mut self) {
        if self.out > 0 {
            return;
        }
        for region in &self.regions {
            region.watched.forget();
            if self.guard == Guard::Protected {
                PROTECTED.fetch_sub(region.stacks.min(PROTECTED.load(Relaxed)), Relaxed);
            }
            let bytes = (self.size + self.page) * region.stacks;
            // SAFETY: a mapping of this pool, and all its stacks are in this pool: nobody
            // has a reference into it.
            unsafe { libc::munmap(region.start.as_ptr().cast(), bytes) };
        }
    }
}

/// Pages that mprotect(2) guards in this process.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);

/// Reserves address space. No memory yet, and none is promised (`MAP_NORESERVE`).
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a new mapping, wherever the kernel likes; nothing is replaced.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
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
fn best_guard() -> io::Result<Guard> {
    #[cfg(target_os = "linux")]
    {
        let size = page_size()?;
        let page = map(size)?;
        let marked = protect(page, size, Guard::Marked).is_ok();
        // SAFETY: the mapping of three lines above, which nobody has.
        unsafe { libc::munmap(page.as_ptr().cast(), size) };
        if marked {
            return Ok(Guard::Marked);
        }
    }
    Ok(Guard::Protected)
}

fn page_size() -> io::Result<usize> {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).map_err(|_| io::Error::last_os_error())
}

fn done(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
