//! What a connection needs while it is in the middle of something, and not while it
//! is idle: its buffers. So an idle connection owns next to nothing.

use crate::socket::Share;
use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::{Progress, Timeouts, Wait};
use ch01_blocking::http::{Inbox, Outbox, Response, ResponseContext};
use std::time::{Instant, SystemTime};

/// At most so many are kept for the next ones who need them.
const KEPT: usize = 64;

/// The buffers of one connection, and where it stands.
#[derive(Debug)]
pub struct Work {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    /// An answer that is to come later, and when.
    pub(crate) later: Option<(Response, ResponseContext, Instant)>,
    /// What it waits for, and since when.
    pub(crate) wait: Wait,
    pub(crate) since: Instant,
    /// Whether the client takes what it is sent.
    pub(crate) progress: Progress,
    /// Bytes read since the last answer, to be thrown away.
    pub(crate) lingered: usize,
    /// What it may move in this turn.
    pub(crate) share: Share,
}

impl Work {
    /// Drops everything that was received and not answered, or answered and not sent.
    pub(crate) fn clear(&mut self) {
        self.inbox.clear();
        self.outbox.clear();
        self.later = None;
    }
}

/// What all connections of a loop share, and what time it is.
#[derive(Debug)]
pub struct Shared<'a> {
    /// The application.
    pub site: &'a Site,
    /// How long each wait may last.
    pub timeouts: Timeouts,
    /// Buffers.
    pub pool: Pool,
    /// What a connection may move in one turn, in bytes: see [`SHARE`](crate::socket::SHARE).
    pub share: usize,
    /// When this round began: now, if nobody has kept the loop since.
    pub now: Instant,
    /// Looks at the clock again, for who begins to wait: if the application has kept the
    /// loop for a second, that second is not the client's. Is given `now`, for a world in
    /// which no time passes meanwhile.
    pub clock: fn(Instant) -> Instant,
    /// The same for people.
    pub date: SystemTime,
}

impl Shared<'_> {
    /// Now, for whose time begins now.
    pub(crate) fn look(&self) -> Instant {
        (self.clock)(self.now)
    }
}

/// Buffers that nobody uses at the moment.
#[derive(Debug)]
pub struct Pool {
    #[allow(clippy::vec_box)] // boxes go in and out; what is in them never moves
    free: Vec<Box<Work>>,
    /// `--max-output`
    output: usize,
}

impl Pool {
    /// An empty pool of buffers that hold so many bytes of answers.
    pub fn new(output: usize) -> Pool {
        Pool { free: Vec::new(), output }
    }

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
                share: Share::new(0),
            })
        });
        work.since = now;
        work
    }

    /// Takes back the buffers of a connection that has become idle, or has been closed and
    /// its buffers [cleared](Work::clear).
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
