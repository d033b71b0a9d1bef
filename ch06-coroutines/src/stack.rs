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

mod region;

use crate::{context, overflow};
use region::Region;
use std::io;
use std::mem;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Stacks in the first region. Each further region has twice as many as the one before.
const FIRST: usize = 64;
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
    guard: Guard,
    id: u32,
    regions: Vec<Region>,
    /// Given back, with the pages that they have touched; the last one first.
    warm: Vec<Stack>,
    /// Given back, and their pages with them.
    cold: Vec<Stack>,
    /// Stacks that are with somebody.
    out: usize,
    /// How deep any was that has become cold.
    deepest: usize,
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
    /// No stack is smaller than this: a panic has to find room on it. (Not its backtrace,
    /// which takes more than that by itself.)
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
        Stacks::guarded(size, region::best_guard()?)
    }

    /// The same, with a certain kind of guard. For comparing them.
    ///
    /// # Errors
    /// As [`new`](Stacks::new); a guard that this system does not have (`Unsupported`).
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
        if guard == Guard::Marked && region::best_guard()? != guard {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system cannot mark a page as a guard",
            ));
        }
        overflow::prepare_thread()?;
        // No number is given twice: by it a stack is known to be of its pool, which
        // unmaps it.
        let id = POOLS.fetch_update(Relaxed, Relaxed, |id| id.checked_add(1));
        Ok(Stacks {
            size: size.next_multiple_of(region::page_size()?),
            guard,
            id: id.map_err(|_| io::Error::other("no more pools of stacks"))?,
            regions: Vec::new(),
            warm: Vec::new(),
            cold: Vec::new(),
            out: 0,
            deepest: 0,
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
        self.regions.iter().map(Region::depth).max().unwrap_or(0).max(self.deepest)
    }

    /// How much memory the stacks of this pool have now, in bytes. Asks the kernel likewise.
    pub fn resident(&self) -> usize {
        self.regions.iter().map(Region::resident).sum()
    }

    /// How many stacks have been used at once, at most.
    pub fn most_used(&self) -> usize {
        self.regions.iter().map(Region::used).sum()
    }

    fn take_cold(&mut self) -> io::Result<Stack> {
        match self.cold.pop() {
            Some(stack) => Ok(stack),
            None => self.fresh(),
        }
    }

    /// One that was never used: it gets its guard now.
    fn fresh(&mut self) -> io::Result<Stack> {
        let stacks = match self.regions.last() {
            Some(region) if region.used() < region.stacks() => None,
            Some(region) => Some(region.stacks() * 2),
            None => Some(FIRST),
        };
        if let Some(stacks) = stacks {
            self.regions.push(Region::reserve(self.size, stacks, self.guard)?);
        }
        let Some(region) = self.regions.last_mut() else { unreachable!("there is one") };
        Ok(Stack { top: region.next()?, size: self.size as u32, pool: self.id })
    }

    /// Gives the pages of a stack back to the system, but not its addresses.
    #[cold]
    fn cool(&mut self, stack: Stack) {
        let depth = region::cool(&stack);
        self.deepest = self.deepest.max(depth);
        self.cold.push(stack);
    }
}

impl Drop for Stacks {
    /// Gives the regions back, unless a stack is still with somebody, or was lost: then
    /// they stay for ever. Somebody may still refer to what lies on that stack.
    fn drop(&mut self) {
        if self.out > 0 {
            mem::forget(mem::take(&mut self.regions));
        }
    }
}
