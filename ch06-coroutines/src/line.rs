//! The line to a client, as far as it does not wait: what may be moved now, and until when
//! one would have to wait. Whoever waits, a coroutine or a future, has nothing else to do.

use crate::guest::Guest;
use crate::reactor::{self, Watch};
use crate::source::Until;
use ch01_blocking::deadlines::{Describe, Progress, Wait};
use ch01_blocking::http::{BodyStream, Inbox};
use ch01_blocking::server::trace::trace;
use ch01_blocking::stream::Transport;
use ch03_nonblocking::socket::{SHARE, Share, Socket, Turn};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// A client, and where its conversation stands.
pub(crate) struct Line<'a, H: Watch> {
    pub(crate) guest: Guest<'a, H>,
    wait: Wait,
    /// Since when.
    began: Instant,
    /// Whether the client takes what it is sent.
    progress: Progress,
    /// When to look at that next, if it had no room lately.
    look: Option<Instant>,
    /// What may be moved before it is the others' turn.
    share: Share,
    /// The client has said its last word, and was asked whether it still listens.
    parted: bool,
}

/// What came of an attempt.
pub(crate) enum Tried {
    /// So many bytes, or nothing more ever.
    Received(usize),
    /// Nothing yet: wait until then.
    Wait(Instant),
}

impl<'a, H: Watch<Resting: From<Guest<'a, H>>>> Line<'a, H> {
    /// Goes back to rest, with a new deadline if it has spoken.
    pub(crate) fn rest(self, spoke: bool) {
        let mut guest = self.guest;
        let handle = guest.descriptor.handle().clone();
        if spoke {
            let draining = guest.house.site.is_draining();
            let idle = if draining { Duration::ZERO } else { guest.house.timeouts.idle };
            guest.due = Instant::now() + idle; // the round may have begun a while ago
            trace!("rest", "{}, and owns next to nothing", Describe(Wait::Idle, idle));
        }
        let due = guest.due;
        if let Err(error) = reactor::rest(&handle, guest.into(), due) {
            trace!("close", "{error}");
        }
    }
}

impl<'a, H: Watch> Line<'a, H> {
    pub(crate) fn new(guest: Guest<'a, H>) -> Line<'a, H> {
        Line {
            began: guest.descriptor.handle().now(),
            guest,
            wait: Wait::Idle,
            progress: Progress::default(),
            look: None,
            share: Share::new(SHARE),
            parted: false,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.guest.descriptor.handle().now()
    }

    /// Whether it has moved its share, and it is the others' turn.
    pub(crate) fn has_had_its_turn(&self) -> bool {
        self.share.is_used_up()
    }

    /// The others have had theirs.
    pub(crate) fn new_turn(&mut self) {
        self.share = Share::new(SHARE);
    }

    /// Says what the next [`receive`](Line::receive) waits for.
    pub(crate) fn deadline(&mut self, wait: Wait) {
        self.sent();
        if discriminant(&wait) != discriminant(&self.wait) && wait != Wait::Idle {
            self.began = Instant::now();
        }
        self.wait = wait;
    }

    /// Whether it may not even begin to wait: it is between requests, and its time is over.
    pub(crate) fn is_late(&mut self) -> bool {
        self.sent();
        self.wait == Wait::Idle && !self.guest.may_rest()
    }

    // ANCHOR: try_fill
    /// Receives, if there may be something. If its time is over, it tries all the same: if
    /// the thread was kept, it may be here and not yet told.
    pub(crate) fn try_fill(
        &mut self,
        inbox: &mut Inbox,
        late: bool,
    ) -> io::Result<Tried> {
        if late || self.guest.descriptor.is_readable() {
            match self.receive(inbox) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => return received.map(Tried::Received),
            }
        }
        if self.wait == Wait::Idle {
            return self.nothing_yet();
        }
        if late {
            trace!("timeout", "{}", Describe(self.wait, Duration::ZERO));
            return Err(ErrorKind::TimedOut.into());
        }
        inbox.shrink();
        let due = self.guest.house.timeouts.due(self.wait, self.began);
        let within = due.saturating_duration_since(self.now().max(self.began));
        trace!("park", "{}", Describe(self.wait, within));
        Ok(Tried::Wait(due))
    }
    // ANCHOR_END: try_fill

    // ANCHOR: receive
    /// What has come, by way of the thread's scratch: who waits holds no empty buffer.
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let Guest { descriptor, house, .. } = &mut self.guest;
        let scratch = &mut *house.buffers.scratch.borrow_mut();
        let space = scratch.len().min(inbox.room());
        let socket = &mut descriptor.get_mut().0;
        match self.share.take(|_| again(|| socket.read(&mut scratch[..space]))) {
            Ok(n) => {
                trace!("read", "{}", said(n));
                if n < space {
                    descriptor.read_short();
                }
                inbox.receive(&scratch[..n]);
                Ok(n)
            }
            Err(error) => {
                if error.kind() == ErrorKind::WouldBlock {
                    descriptor.read_would_block();
                }
                Err(error)
            }
        }
    }
    // ANCHOR_END: receive

    /// Nothing has come, and it is between requests: nobody is kept for that.
    fn nothing_yet(&self) -> io::Result<Tried> {
        let Guest { house, due, .. } = &self.guest;
        match () {
            // As if the client had said goodbye: what it has sent before is answered.
            () if house.site.is_draining() => Ok(Tried::Received(0)),
            () if *due <= self.now() => {
                trace!("timeout", "{}", Describe(self.wait, Duration::ZERO));
                Err(ErrorKind::TimedOut.into())
            }
            () => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write_with(
        &mut self,
        write: impl FnOnce(&mut Turn<'_, Socket>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let descriptor = &mut self.guest.descriptor;
        if !descriptor.is_writable() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let wrote = write(&mut Turn(descriptor.get_mut(), &mut self.share));
        match &wrote {
            // Or it has had its turn.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !self.share.is_used_up() {
                    descriptor.write_would_block();
                }
            }
            wrote => self.progress.wrote(*wrote.as_ref().unwrap_or(&0)),
        }
        wrote
    }

    // ANCHOR: room
    /// There is no room to send: when to look whether the client takes anything.
    pub(crate) fn next_look(&mut self) -> Instant {
        let within = self.guest.house.timeouts.look();
        if self.look.is_none() {
            let unacked = self.unacked_bytes();
            self.progress.begin(|| unacked);
        }
        trace!("park", "{}", Describe(Wait::Write, within));
        *self.look.get_or_insert_with(|| Instant::now() + within)
    }

    /// It is time to look. An error means that it has taken too little for too long.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        if !self.progress.is_enough(self.unacked_bytes()) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.look = None;
        Ok(())
    }
    // ANCHOR_END: room

    // ANCHOR: leaving
    /// What to wait for to notice that a client leaves who is only listening; `None` if it
    /// has said its last word just now. That may be half a goodbye: it may still listen. So
    /// it is to be sent something, and if nobody is there, its kernel says so by a reset.
    pub(crate) fn until_it_leaves(&mut self) -> io::Result<Option<Until>> {
        let descriptor = &mut self.guest.descriptor;
        if descriptor.is_broken() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if !descriptor.is_readable() {
            return Ok(Some(Until::Readable));
        }
        match descriptor.get().0.peek(&mut [0]) {
            Ok(0) if !self.parted => {
                self.parted = true;
                Ok(None)
            }
            Ok(_) => Ok(Some(Until::Over)), // or it asks for something already: that has time
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                descriptor.read_would_block();
                Ok(Some(Until::Readable))
            }
            Err(error) => Err(error),
        }
    }
    // ANCHOR_END: leaving

    /// All was sent: there is nothing to look at any more.
    pub(crate) fn sent(&mut self) {
        if self.look.take().is_some() {
            self.progress = Progress::default();
        }
    }
}

/// Moves what can be moved now, and fails with [`ErrorKind::WouldBlock`] where it would have
/// to wait, or has had its turn.
impl<H: Watch> Transport for Line<'_, H> {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        self.receive(inbox)
    }

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.write_with(|turn| turn.send_file(file, at, len))
    }

    /// Whoever waits has to wait for this, too.
    fn more(&mut self, _: &mut dyn BodyStream, _: &mut Vec<u8>) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.sent();
        self.guest.descriptor.get_mut().shutdown_write()
    }

    fn unacked_bytes(&self) -> usize {
        self.guest.descriptor.get().unacked_bytes()
    }
}

impl<H: Watch> Write for Line<'_, H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|turn| turn.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does it again if a signal came in between.
fn again(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn said(n: usize) -> String {
    if n > 0 { format!("{n} bytes") } else { "the end".into() }
}
