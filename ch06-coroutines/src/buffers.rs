//! What the connections of one thread share, since only one of them runs at a time.

use ch01_blocking::http::{Inbox, Outbox};
use std::cell::RefCell;

/// At most so many pairs of buffers are kept for the next who need them.
const KEPT: usize = 64;
/// So much is received at once.
const SCRATCH: usize = 64 * 1024;

/// What a connection needs while it is in the middle of something.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
}

/// A thread's buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: RefCell<Vec<Work>>,
    /// Where bytes arrive, before they are copied to whom they belong.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// `--max-output`
    output: usize,
}

impl Buffers {
    /// For connections that may have so many bytes of answers waiting.
    pub(crate) fn new(output: usize) -> Buffers {
        Buffers {
            free: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH]),
            output,
        }
    }

    /// To be put on the coroutine's stack, where there is room.
    pub(crate) fn take(&self) -> Work {
        self.free.borrow_mut().pop().unwrap_or_else(|| Work {
            inbox: Inbox::new(),
            outbox: Outbox::new(self.output),
        })
    }

    pub(crate) fn give_back(&self, mut work: Work) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT {
            work.inbox.clear();
            work.outbox.clear();
            free.push(work);
        }
    }
}
