//! [`FreeMemory`] returns the memory of many closed connections to the system.
//!
//! free(3) keeps memory for the next malloc(3): a heap shrinks at its top only, and one
//! small allocation at the top keeps everything below it. So the memory of thousands of
//! connections would stay with the server for good. malloc_trim(3) returns free pages
//! anywhere in the heap. That call takes a millisecond or two, during which an event
//! loop serves no connection, and later connections must obtain the pages again. So
//! malloc_trim(3) is called once, after 1024 connections were closed and then none for
//! a second.
//!
//! ```
//! use ch01_blocking::server::free_memory::FreeMemory;
//! use std::time::Instant;
//!
//! let (mut memory, now) = (FreeMemory::default(), Instant::now());
//! assert_eq!(memory.due(), None);
//! (0..1024).for_each(|_| memory.connection_closed(now));
//! let due = memory.due().expect("many connections were closed");
//! assert!(!memory.release(now) && memory.release(due));
//! ```

use crate::server::sys;
use crate::server::trace::{self, trace};
use std::time::{Duration, Instant};

/// The number of closed connections from which a call to malloc_trim(3) is worth the
/// time it takes.
const CROWD: usize = 1024;
/// The time since the last close of a connection after which malloc_trim(3) is called.
const CALM: Duration = Duration::from_secs(1);

/// Counts closed connections, and calls malloc_trim(3) when the call is due.
#[derive(Debug, Default)]
pub struct FreeMemory {
    closed: usize,
    due: Option<Instant>,
}

impl FreeMemory {
    /// Counts a closed connection.
    pub fn connection_closed(&mut self, now: Instant) {
        self.closed += 1;
        if self.closed >= CROWD {
            self.due = Some(now + CALM);
        }
    }

    /// Returns the time at which to call [`release`](FreeMemory::release); `None` while too
    /// few connections have closed.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns free memory to the system if the [due](FreeMemory::due) time has come;
    /// otherwise does nothing. The result is `true` if the time has come.
    pub fn release(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            *self = FreeMemory::default();
            trace::set_connection(0);
            trace!("memory", "free pages are returned to the system");
            sys::release_free_memory();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_for_each_crowd_and_not_before_it_is_calm() {
        let start = Instant::now();
        let mut memory = FreeMemory::default();
        (1..CROWD).for_each(|_| memory.connection_closed(start));
        assert_eq!(memory.due(), None);
        memory.connection_closed(start);
        memory.connection_closed(start + CALM);
        assert!(!memory.release(start + CALM));
        assert_eq!(
            memory.due(),
            Some(start + 2 * CALM),
            "the last one was closed just now"
        );
        assert!(memory.release(start + 2 * CALM));
        assert_eq!(memory.due(), None);
        memory.connection_closed(start + 3 * CALM);
        assert_eq!(memory.due(), None);
    }
}
