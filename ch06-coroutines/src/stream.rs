//! Chapter 1's stream, by parking: where [`Blocking`](ch01_blocking::stream::Blocking)
//! makes its thread wait, this suspends its coroutine. `serve` does not notice.

use crate::guest::Guest;
use crate::source::Until;
use crate::task::Woken;
use ch01_blocking::http::{Inbox, More, Source};
use ch01_blocking::stream::{Stream, Transport};
use ch01_blocking::trace::trace;
use ch01_blocking::wait::{Describe, Progress, Wait};
use ch03_nonblocking::poller::Poller;
use ch03_nonblocking::socket::{SHARE, Share, Turn};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// A stream that makes its coroutine wait.
pub(crate) struct Parking<P: Poller + 'static> {
    guest: Guest<P>,
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

impl<P: Poller> Parking<P> {
    pub(crate) fn new(guest: Guest<P>) -> Parking<P> {
        Parking {
            began: guest.descriptor.handle().now(),
            guest,
            wait: Wait::Idle,
            progress: Progress::default(),
            look: None,
            share: Share::new(SHARE),
            parted: false,
        }
    }

    /// Goes back to rest, with a new deadline if it has spoken.
    pub(crate) fn rest(self, spoke: bool) {
        let mut guest = self.guest;
        let handle = guest.descriptor.handle().clone();
        if spoke {
            let draining = guest.house.site.is_draining();
            let idle = if draining { Duration::ZERO } else { guest.house.timeouts.idle };
            guest.due = handle.now() + idle;
            trace!("rest", "{}, without a stack", Describe(Wait::Idle, idle));
        }
        let due = guest.due;
        if let Err(error) = handle.rest(guest, due) {
            trace!("close", "{error}");
        }
    }

    fn now(&self) -> Instant {
        self.guest.descriptor.handle().now()
    }

    /// Whoever has moved its share lets the others run first.
    fn take_turns(&mut self) {
        if self.share.is_used_up() {
            self.guest.descriptor.handle().yield_now();
            self.share = Share::new(SHARE);
        }
    }

    // ANCHOR: receive
    /// What has come, by way of the thread's scratch: who waits holds no empty buffer.
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let Guest { descriptor, house, .. } = &mut self.guest;
        let scratch = &mut *house.buffers.scratch.borrow_mut();
        let space = scratch.len().min(inbox.room());
        let socket = &mut descriptor.get_mut().0;
        match self.share.take(|_| socket.read(&mut scratch[..space])) {
            Ok(n) => {
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

    /// Nothing has come, and it is between requests: no stack is kept for that.
    fn nothing_yet(&self) -> io::Result<usize> {
        let Guest { house, due, .. } = &self.guest;
        match () {
            // As if the client had said goodbye: what it has sent before is answered.
            () if house.site.is_draining() => Ok(0),
            () if *due <= self.now() => {
                trace!("timeout", "{}", Describe(self.wait, Duration::ZERO));
                Err(ErrorKind::TimedOut.into())
            }
            () => Err(ErrorKind::WouldBlock.into()),
        }
    }

    // ANCHOR: write
    /// Writes until the client has taken some, or has taken too little for too long.
    fn write_with(
        &mut self,
        mut write: impl FnMut(
            &mut Turn<'_, ch03_nonblocking::socket::Socket>,
        ) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.take_turns();
            let descriptor = &mut self.guest.descriptor;
            if descriptor.is_writable() {
                match write(&mut Turn(descriptor.get_mut(), &mut self.share)) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        descriptor.write_would_block();
                    }
                    wrote => {
                        self.progress.wrote(*wrote.as_ref().unwrap_or(&0));
                        return wrote;
                    }
                }
            }
            let within = self.guest.house.timeouts.look();
            let look = *self.look.get_or_insert(self.now() + within);
            trace!("park", "{}", Describe(Wait::Write, within));
            if self.park(Until::Writable, look)? == Woken::TimedOut {
                if !self.progress.is_enough(self.untaken()) {
                    return Err(ErrorKind::TimedOut.into());
                }
                self.look = None;
            }
        }
    }
    // ANCHOR_END: write

    // ANCHOR: leaving
    /// What to wait for to notice that a client leaves who is only listening; `None` if it
    /// has said its last word just now. That may be half a goodbye: it may still listen. So
    /// it is sent something, and if nobody is there any more, its kernel says so by a reset.
    fn until_it_leaves(&mut self) -> io::Result<Option<Until>> {
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

    fn park(&self, until: Until, due: Instant) -> io::Result<Woken> {
        let woken = self.guest.descriptor.wait(until, Some(due))?;
        match woken {
            Woken::Up => trace!("resume", "woken"),
            Woken::TimedOut => trace!("resume", "its time is over"),
        }
        Ok(woken)
    }

    /// All was sent: there is nothing to look at any more.
    fn sent(&mut self) {
        if self.look.take().is_some() {
            self.progress = Progress::default();
        }
    }
}

impl<P: Poller> Transport for Parking<P> {
    // ANCHOR: fill
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        self.sent();
        let mut late = self.wait == Wait::Idle && !self.guest.may_rest();
        loop {
            self.take_turns();
            if late || self.guest.descriptor.is_readable() {
                match self.receive(inbox) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    received => {
                        if let Ok(n) = received {
                            trace!("read", "{}", said(n));
                        }
                        return received;
                    }
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
            let within = due.saturating_duration_since(self.now());
            trace!("park", "{}", Describe(self.wait, within));
            // Once more even then: if the thread was kept, it may be here and not yet told.
            late = self.park(Until::Readable, due)? == Woken::TimedOut;
        }
    }
    // ANCHOR_END: fill

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.write_with(|turn| turn.send_file(file, at, len))
    }

    // ANCHOR: more
    fn more(&mut self, source: &mut dyn Source, content: &mut Vec<u8>) -> io::Result<()> {
        self.sent();
        let waker = self.guest.descriptor.handle().waker()?;
        let quiet = source.quiet();
        let due = self.now() + quiet;
        while !self.guest.house.site.is_draining() {
            // Between this answer and the park nothing else runs on this thread, and the
            // waker comes through the poller: it cannot come too early.
            if source.more(&waker, content) != More::NotYet {
                return Ok(());
            }
            let Some(until) = self.until_it_leaves()? else { break };
            trace!("park", "for more to send, {:.1} s at most", quiet.as_secs_f64());
            if self.park(until, due)? == Woken::TimedOut {
                break;
            }
        }
        if !self.guest.house.site.is_draining() {
            content.extend_from_slice(source.sign_of_life());
        }
        Ok(())
    }
    // ANCHOR_END: more

    fn finish(&mut self) -> io::Result<()> {
        self.sent();
        self.guest.descriptor.get_mut().finish()
    }

    fn untaken(&self) -> usize {
        self.guest.descriptor.get().untaken()
    }
}

impl<P: Poller> Stream for Parking<P> {
    fn deadline(&mut self, wait: Wait) {
        self.sent();
        if discriminant(&wait) != discriminant(&self.wait) && wait != Wait::Idle {
            self.began = self.now();
        }
        self.wait = wait;
    }

    // ANCHOR: sleep
    fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.sent();
        trace!("park", "{} ms, and only this coroutine", time.as_millis());
        let until = Instant::now() + time; // the round may have begun a while ago
        while self.now() < until {
            self.park(Until::Over, until)?;
            if self.guest.descriptor.is_broken() {
                return Err(ErrorKind::ConnectionReset.into());
            }
        }
        Ok(())
    }
    // ANCHOR_END: sleep
}

impl<P: Poller> Write for Parking<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|turn| turn.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn said(n: usize) -> String {
    if n > 0 { format!("{n} bytes") } else { "the end".into() }
}
