//! Stacks for coroutines: reserved many at once, guarded, and reused.
//!
//! ```text
//!   a region:  ║ guard │ stack ║ guard │ stack ║ guard │ stack ║ …
//!                        ◄── grows downwards, into its guard
//! ```
//!
//! A region reserves addresses, not memory. A page becomes memory when it is first touched, so a
//! stack costs only the part of it that is used. Below each stack lies a guard of at least
//! [`GUARD`] bytes: a coroutine that overflows its stack faults there before it reaches the next
//! stack.
//!
//! Compiled Rust touches every page of a large frame in order (it is *stack-probed*), so a
//! guard of one page would be enough for Rust. C code is not stack-probed: a C function with
//! a frame larger than the guard can skip the guard without touching it. glibc's resolver,
//! for one, has frames of several pages.
//!
//! ```
//! use ch06_coroutines::StackPool;
//!
//! let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
//! let (first, second) = (stacks.take()?, stacks.take()?);
//! stacks.give_back(first);
//! let reused = stacks.take()?; // no third stack is needed
//! assert_eq!(stacks.most_used(), 2);
//! stacks.give_back(second);
//! stacks.give_back(reused);
//! # std::io::Result::Ok(())
//! ```

mod overflow;
mod region;

pub use region::{GUARD, Stack};

use crate::context::processor::SUPPORTED;
use region::{Guard, Region};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{io, mem};

/// Number of stacks in the first region. Each further region has twice as many as the last one.
const FIRST: usize = 64;
/// Minimum number of stacks in a region: two for the server's own coroutines, and some for clients.
const FEWEST: usize = 4;

/// A pool of stacks of one size, for one thread.
#[derive(Debug)]
pub struct StackPool {
    size: usize,
    guard: Guard,
    id: u32,
    regions: Vec<Region>,
    /// Returned stacks that keep the pages they have touched. The last one returned is
    /// used first.
    warm: Vec<Stack>,
    /// Returned stacks whose pages went back to the system.
    cold: Vec<Stack>,
    /// Number of stacks that were taken and not returned.
    outstanding: usize,
    /// The greatest depth, in bytes, of any stack whose pages went back to the system.
    /// The depth is measured just before, because the kernel then forgets which pages
    /// were used.
    deepest: usize,
}

impl StackPool {
    /// The default size of a stack in bytes: many times what a connection of this
    /// book's servers needs.
    pub const DEFAULT_SIZE: usize = 64 * 1024;
    /// The smallest size of a stack in bytes, which leaves room for a panic, though not
    /// always for the panic's backtrace.
    pub const LEAST_SIZE: usize = 16 * 1024;
    /// The largest size of a stack in bytes.
    pub const MOST_SIZE: usize = 1 << 30;
    /// Number of returned stacks that keep the pages they have touched. A larger number
    /// would be faster after a burst of coroutines, and would hold more memory after it.
    pub const WARM: usize = 256;

    /// Creates an empty pool of stacks of `size` bytes, rounded up to pages. Nothing is
    /// reserved yet.
    ///
    /// The first pool installs a handler for SIGSEGV and SIGBUS: the overflow of a coroutine's
    /// stack ends the process with a message that names the coroutine. Other faults are passed to
    /// the handler that was installed before the pool's.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a size below
    /// [`LEAST_SIZE`](StackPool::LEAST_SIZE) or above [`MOST_SIZE`](StackPool::MOST_SIZE);
    /// [`Unsupported`](io::ErrorKind::Unsupported) on a processor without a context switch; the
    /// error of sigaction(2).
    pub fn new(size: usize) -> io::Result<StackPool> {
        StackPool::guarded(size, region::best_guard()?)
    }

    /// Creates an empty pool whose guards are made by mprotect(2), as on a system without a cheaper
    /// kind of guard.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](StackPool::new).
    pub fn protected(size: usize) -> io::Result<StackPool> {
        StackPool::guarded(size, Guard::Protected)
    }

    fn guarded(size: usize, guard: Guard) -> io::Result<StackPool> {
        static POOLS: AtomicU32 = AtomicU32::new(0);
        if !(StackPool::LEAST_SIZE..=StackPool::MOST_SIZE).contains(&size) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a stack of {size} bytes: it takes {} to {}",
                    StackPool::LEAST_SIZE,
                    StackPool::MOST_SIZE
                ),
            ));
        }
        if !SUPPORTED {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "coroutines need a switch written for the processor: there is one for x86-64 and one for 64-bit ARM",
            ));
        }
        overflow::install()?;
        // A pool's number is never reused: it identifies the pool to which a stack belongs.
        let id = POOLS.fetch_update(Relaxed, Relaxed, |id| id.checked_add(1));
        Ok(StackPool {
            size: size.next_multiple_of(region::page_size()),
            guard,
            id: id.map_err(|_| io::Error::other("no more pools of stacks"))?,
            regions: Vec::new(),
            warm: Vec::new(),
            cold: Vec::new(),
            outstanding: 0,
            deepest: 0,
        })
    }

    /// Returns the size of each stack in bytes, without its guard.
    pub fn size(&self) -> usize {
        self.size
    }

    // ANCHOR: take
    /// Takes a stack: the one that was returned last, or a fresh one.
    ///
    /// # Errors
    ///
    /// The error of mmap(2), or of the call that makes the guards, madvise(2) or
    /// mprotect(2): the address space is exhausted, or, with mprotect(2), the number of
    /// mappings.
    #[inline]
    pub fn take(&mut self) -> io::Result<Stack> {
        let stack = match self.warm.pop() {
            Some(stack) => stack,
            None => self.cold.pop().map_or_else(|| self.take_fresh(), Ok)?,
        };
        self.outstanding += 1;
        Ok(stack)
    }

    /// Takes a stack back. Up to [`WARM`](StackPool::WARM) returned stacks keep the
    /// pages that they have touched, because they will be used again soon; the pages of
    /// the others return to the system.
    ///
    /// # Panics
    ///
    /// If the stack belongs to another pool.
    #[inline]
    pub fn give_back(&mut self, stack: Stack) {
        assert_eq!(stack.pool, self.id, "a stack was given to a pool that it is not of");
        self.outstanding -= 1;
        if self.warm.len() < StackPool::WARM {
            self.warm.push(stack);
        } else {
            self.discard_pages(stack);
        }
    }
    // ANCHOR_END: take

    /// Gives the pages of all returned stacks back to the system, and keeps their addresses
    /// reserved.
    pub fn release_pages(&mut self) {
        while let Some(stack) = self.warm.pop() {
            self.discard_pages(stack);
        }
    }

    /// Returns the greatest depth, in bytes rounded up to pages, to which a stack of this pool has
    /// been used. Asks the kernel about each stack that was ever used (mincore(2)).
    pub fn high_water(&self) -> usize {
        let usage = self.regions.iter().flat_map(Region::usage);
        usage.map(|(depth, _)| depth).max().unwrap_or(0).max(self.deepest)
    }

    /// Returns the bytes of memory that the stacks of this pool occupy now. Asks the kernel about
    /// each stack that was ever used (mincore(2)).
    pub fn resident(&self) -> usize {
        self.regions.iter().flat_map(Region::usage).map(|(_, resident)| resident).sum()
    }

    /// Returns the largest number of stacks that were in use at once.
    pub fn most_used(&self) -> usize {
        self.regions.iter().map(|region| region.used).sum()
    }

    /// Returns a stack that was never used, and installs its guard. Reserves a further
    /// region if necessary.
    fn take_fresh(&mut self) -> io::Result<Stack> {
        if self.regions.last().is_none_or(|region| region.used == region.stacks) {
            let region = self.reserve_region()?;
            self.regions.push(region);
        }
        let Some(region) = self.regions.last_mut() else { unreachable!("there is one") };
        region.next(self.id)
    }

    /// Reserves a region with twice as many stacks as the last region, or with fewer if the address
    /// space is short.
    fn reserve_region(&self) -> io::Result<Region> {
        let mut stacks = self.regions.last().map_or(FIRST, |last| last.stacks * 2);
        loop {
            match Region::reserve(self.size, stacks, self.guard) {
                Err(_) if stacks > FEWEST => stacks /= 2,
                reserved => return reserved,
            }
        }
    }

    /// Gives the pages of a returned stack back to the system, and keeps their addresses reserved.
    #[cold]
    fn discard_pages(&mut self, stack: Stack) {
        let depth = region::discard_pages(&stack);
        self.deepest = self.deepest.max(depth);
        self.cold.push(stack);
    }
}

impl Drop for StackPool {
    /// Unmaps the regions. If a stack is still taken, or was leaked, all regions stay mapped
    /// forever, because references into that stack may exist.
    fn drop(&mut self) {
        if self.outstanding > 0 {
            mem::forget(mem::take(&mut self.regions));
        }
    }
}
