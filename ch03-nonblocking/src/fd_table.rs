//! A table of the registered descriptors, for polling mechanisms in which the kernel
//! keeps no such table.
//!
//! ```
//! use ch03_nonblocking::fd_table::FdTable;
//! use ch03_nonblocking::poller::{Interest, Token};
//! use std::os::fd::AsFd;
//!
//! let stdin = std::io::stdin();
//! let mut table = FdTable::default();
//! let token = Token { index: 3, generation: 0 };
//! table.set(stdin.as_fd(), token, Interest::READ);
//! assert_eq!(table.get(0), Some((token, Interest::READ)));
//! table.remove(stdin.as_fd());
//! assert_eq!(table.get(0), None);
//! ```

use crate::poller::{Interest, Ready, Token};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// The token and the interest of each registered descriptor.
///
/// The index of an entry is the descriptor's number. The kernel always hands out the
/// smallest free number, so the table has few gaps.
#[derive(Debug, Default)]
pub struct FdTable {
    entries: Vec<Option<(Token, Interest)>>,
}

impl FdTable {
    /// Adds a descriptor, or changes its token and interest.
    pub fn set(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) {
        let index = fd.as_raw_fd() as usize; // a borrowed descriptor is not negative
        if self.entries.len() <= index {
            self.entries.resize(index + 1, None);
        }
        self.entries[index] = Some((token, interest));
    }

    /// Removes a descriptor, if the table has it.
    pub fn remove(&mut self, fd: BorrowedFd<'_>) {
        if let Some(entry) = self.entries.get_mut(fd.as_raw_fd() as usize) {
            *entry = None;
        }
        while self.entries.pop_if(|entry| entry.is_none()).is_some() {}
    }

    /// Returns a descriptor's token and interest, or `None` if the descriptor is not in
    /// the table.
    pub fn get(&self, fd: RawFd) -> Option<(Token, Interest)> {
        *self.entries.get(usize::try_from(fd).ok()?)?
    }

    /// Returns one more than the largest descriptor in the table, or 0 if the table is
    /// empty.
    pub fn end(&self) -> RawFd {
        self.entries.len() as RawFd
    }

    // ANCHOR: maybe
    /// Returns an event for each descriptor, with every readiness that its interest
    /// includes, for a mechanism that does not know which descriptors are ready.
    pub fn maybe_ready(&self) -> impl Iterator<Item = Ready> {
        self.entries
            .iter()
            .flatten()
            .map(|&(token, interest)| Ready::maybe(token, interest))
    }
    // ANCHOR_END: maybe
}
