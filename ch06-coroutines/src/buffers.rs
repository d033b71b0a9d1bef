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
    #[allow(clippy::vec_box)] // boxes go in and out; what is in them never moves
    free: RefCell<Vec<Box<Work>>>,
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

    /// The buffers that were given back last.
    pub(crate) fn take(&self) -> Box<Work> {
        self.free.borrow_mut().pop().unwrap_or_else(|| {
            Box::new(Work { inbox: Inbox::new(), outbox: Outbox::new(self.output) })
        })
    }

    pub(crate) fn give_back(&self, mut work: Box<Work>) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT {
            work.inbox.clear();
            work.outbox.clear();
            free.push(work);
        }
    }
}

// ANCHOR: desk
/// A connection's buffers, if it has any: it takes some when it needs them.
#[derive(Debug)]
pub(crate) struct Desk<'b> {
    buffers: &'b Buffers,
    work: Option<Box<Work>>,
}

impl<'b> Desk<'b> {
    pub(crate) fn new(buffers: &'b Buffers) -> Desk<'b> {
        Desk { buffers, work: None }
    }

    /// The buffers.
    pub(crate) fn work(&mut self) -> &mut Work {
        self.work.get_or_insert_with(|| self.buffers.take())
    }

    /// Gives them back, if there is nothing in them that is still needed.
    pub(crate) fn clear(&mut self) {
        if let Some(work) =
            self.work.take_if(|work| work.inbox.is_pristine() && work.outbox.is_empty())
        {
            self.buffers.give_back(work);
        }
    }
}

impl Drop for Desk<'_> {
    /// However its conversation ends, and be it by being dropped.
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.buffers.give_back(work);
        }
    }
}
// ANCHOR_END: desk
