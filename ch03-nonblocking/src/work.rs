//! The state of a connection that is not idle: its buffers, and what it waits for.
//!
//! An idle connection gives its [`Work`] back to the [`Pool`] of its loop, so an idle
//! connection owns almost no memory.

use crate::socket::IoBudget;
use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::{Progress, Timeouts, Wait};
use ch01_blocking::http::{HttpDate, Inbox, Outbox, Response, ResponseContext};
use std::time::Instant;

/// Maximum number of unused [`Work`]s that a pool keeps; further ones are freed.
const KEPT: usize = 64;

// ANCHOR: work
/// The buffers and the progress of one connection that is not idle.
#[derive(Debug)]
pub struct Work {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    /// A delayed response, its context, and the time at which it is sent; `None` if no
    /// response is delayed.
    pub(crate) later: Option<(Response, ResponseContext, Instant)>,
    /// The kind of the connection's present wait.
    pub(crate) wait: Wait,
    /// The beginning of the connection's present wait, from which the deadline counts.
    pub(crate) since: Instant,
    /// The peer's progress in acknowledging the response, for the write deadline.
    pub(crate) progress: Progress,
    /// Bytes read and discarded since the connection's last response was sent.
    pub(crate) lingered: usize,
    /// The number of bytes that the connection may still move in its present turn.
    pub(crate) budget: IoBudget,
}
// ANCHOR_END: work

impl Work {
    /// Discards requests that were not answered and responses that were not sent.
    pub(crate) fn clear(&mut self) {
        self.inbox.clear();
        self.outbox.clear();
        self.later = None;
    }
}

// ANCHOR: context
/// The state that all connections of an event loop share, and the time at which the
/// loop's present round began.
#[derive(Debug)]
pub struct LoopContext<'a> {
    /// The application, which responds to the requests.
    pub site: &'a Site,
    /// The longest duration of each kind of wait.
    pub timeouts: Timeouts,
    /// The buffers that no connection uses at the moment.
    pub pool: Pool,
    /// The number of bytes after which a connection's turn ends, usually
    /// [`IO_BUDGET`](crate::socket::IO_BUDGET).
    pub io_budget: usize,
    /// The time at which the present round of the event loop began.
    pub now: Instant,
    /// Returns the current time, from which the deadline of a new wait counts: time for
    /// which the application has kept the loop busy does not count against the client.
    /// The argument is the field `now`, so a test can stop the clock with a function
    /// that returns its argument.
    pub clock: fn(Instant) -> Instant,
    /// The second in which the present round of the event loop began, for `Date`
    /// headers.
    pub date: HttpDate,
}
// ANCHOR_END: context

impl LoopContext<'_> {
    /// Returns the current time, from which a new deadline counts.
    pub(crate) fn current_time(&self) -> Instant {
        (self.clock)(self.now)
    }
}

/// The buffers that no connection uses at the moment.
#[derive(Debug)]
pub struct Pool {
    #[allow(clippy::vec_box)] // only the boxes move in and out, never their contents
    free: Vec<Box<Work>>,
    /// The capacity of each output buffer in bytes: the option `--max-output`.
    output: usize,
}

impl Pool {
    /// Returns an empty pool, whose output buffers will hold at most `output` bytes
    /// each.
    pub fn new(output: usize) -> Pool {
        Pool { free: Vec::new(), output }
    }

    /// Returns empty buffers, from the pool or newly allocated, for a wait that begins
    /// at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Box<Work> {
        let mut work = self.free.pop().unwrap_or_else(|| {
            Box::new(Work {
                inbox: Inbox::new(),
                outbox: Outbox::new(self.output),
                later: None,
                wait: Wait::Idle,
                since: now,
                progress: Progress::default(),
                lingered: 0,
                budget: IoBudget::new(0),
            })
        });
        work.since = now;
        work
    }

    /// Returns buffers to the pool. They must be empty: the connection has become idle,
    /// or the connection has been closed and its buffers [cleared](Work::clear).
    pub(crate) fn give_back(&mut self, mut work: Box<Work>) {
        debug_assert!(work.inbox.is_pristine() && work.outbox.is_empty());
        if self.free.len() < KEPT {
            work.wait = Wait::Idle;
            work.progress = Progress::default();
            work.lingered = 0;
            self.free.push(work);
        }
    }
}
