//! The state of a connection that is not idle: its buffers, and the wait that it is in.
//!
//! An idle connection gives its [`Work`] back to the [`Pool`] of its loop, so that it
//! owns almost no memory.

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
    /// A response that is delayed, and the time at which it is sent.
    pub(crate) later: Option<(Response, ResponseContext, Instant)>,
    /// The kind of wait that the connection is in.
    pub(crate) wait: Wait,
    /// The time at which this kind of wait began.
    pub(crate) since: Instant,
    /// The peer's progress in acknowledging the response, for the write deadline.
    pub(crate) progress: Progress,
    /// Bytes read and discarded since the last response.
    pub(crate) lingered: usize,
    /// The number of bytes that the connection may still move in this turn.
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
/// The state that all connections of an event loop share, and the loop's time.
#[derive(Debug)]
pub struct LoopContext<'a> {
    /// The application, which responds to the requests.
    pub site: &'a Site,
    /// The longest duration of each kind of wait.
    pub timeouts: Timeouts,
    /// The buffers that no connection uses at the moment.
    pub pool: Pool,
    /// Maximum number of bytes that a connection may move in one turn: see
    /// [`IO_BUDGET`](crate::socket::IO_BUDGET).
    pub io_budget: usize,
    /// The time at which this round of the loop began.
    pub now: Instant,
    /// Reads the clock, for a connection that begins to wait: if the application has
    /// kept the loop busy for a second, that second does not count against the client.
    /// The argument is the field `now`: a test stops the clock by a function that
    /// returns its argument.
    pub clock: fn(Instant) -> Instant,
    /// The second in which this round began, for `Date` headers.
    pub date: HttpDate,
}
// ANCHOR_END: context

impl LoopContext<'_> {
    /// Returns the current time, from which a deadline that is set now counts.
    pub(crate) fn current_time(&self) -> Instant {
        (self.clock)(self.now)
    }
}

/// Buffers that no connection uses at the moment.
#[derive(Debug)]
pub struct Pool {
    #[allow(clippy::vec_box)] // only the boxes move in and out, never their contents
    free: Vec<Box<Work>>,
    /// Bytes of each output buffer: `--max-output`.
    output: usize,
}

impl Pool {
    /// Returns an empty pool, whose output buffers hold at most `output` bytes.
    pub fn new(output: usize) -> Pool {
        Pool { free: Vec::new(), output }
    }

    /// Returns cleared buffers, from the pool or new ones.
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
    /// or has been closed and its buffers [cleared](Work::clear).
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
