//! The list that a mechanism keeps where the kernel keeps none: which descriptors are
//! watched, by whom, and for what.
//!
//! ```
//! use ch03_nonblocking::poller::{Interest, Token};
//! use ch03_nonblocking::watched::Watched;
//! use std::os::fd::AsFd;
//!
//! let stdin = std::io::stdin();
//! let mut watched = Watched::default();
//! let token = Token { index: 3, generation: 0 };
//! watched.set(stdin.as_fd(), token, Interest::READ);
//! assert_eq!(watched.get(0), Some((token, Interest::READ)));
//! watched.remove(stdin.as_fd());
//! assert_eq!(watched.get(0), None);
//! ```

use crate::poller::{Interest, Ready, Token};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Descriptors, by their numbers. The kernel gives out the smallest number that is free,
/// so a list with a place for each has few gaps.
#[derive(Debug, Default)]
pub struct Watched {
    places: Vec<Option<(Token, Interest)>>,
}

impl Watched {
    /// Watches a descriptor, or watches it for something else.
    pub fn set(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) {
        let at = fd.as_raw_fd() as usize; // a borrowed descriptor is not negative
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        self.places[at] = Some((token, interest));
    }

    /// Watches it no longer.
    pub fn remove(&mut self, fd: BorrowedFd<'_>) {
        if let Some(place) = self.places.get_mut(fd.as_raw_fd() as usize) {
            *place = None;
        }
        while self.places.pop_if(|place| place.is_none()).is_some() {}
    }

    /// By whom a descriptor is watched, and for what.
    pub fn get(&self, fd: RawFd) -> Option<(Token, Interest)> {
        *self.places.get(usize::try_from(fd).ok()?)?
    }

    /// One more than the largest descriptor that is watched; 0 if none is.
    pub fn end(&self) -> RawFd {
        self.places.len() as RawFd
    }

    /// All that might be ready, for all that is known.
    pub fn all(&self) -> impl Iterator<Item = Ready> {
        self.places
            .iter()
            .flatten()
            .map(|&(token, interest)| Ready::maybe(token, interest))
    }
}
