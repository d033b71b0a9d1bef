//! Chapter 1's stream, by parking: where [`Blocking`](ch01_blocking::stream::Blocking)
//! makes its thread wait, this suspends its coroutine. `serve` does not notice.

use crate::guest::OnStack;
use crate::line::{Line, Tried};
use crate::scheduler::Handle;
use crate::source::Until;
use crate::task::Woken;
use ch01_blocking::deadlines::Wait;
use ch01_blocking::http::{BodyStream, Inbox, NextPiece};
use ch01_blocking::server::trace::trace;
use ch01_blocking::stream::{Stream, Transport};
use ch03_nonblocking::poller::Poller;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

/// A stream that makes its coroutine wait.
pub(crate) struct Parking<P: Poller + 'static>(
    pub(crate) Line<'static, Handle<P, OnStack<P>>>,
);

impl<P: Poller> Parking<P> {
    /// Whoever has moved its share lets the others run first.
    fn take_turns(&mut self) {
        if self.0.has_had_its_turn() {
            self.0.guest.descriptor.handle().yield_now();
            self.0.new_turn();
        }
    }

    // ANCHOR: write
    /// Writes until the client has taken some, or has taken too little for too long.
    fn write_with(
        &mut self,
        mut write: impl FnMut(&mut Line<'static, Handle<P, OnStack<P>>>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.take_turns();
            match write(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                wrote => return wrote,
            }
            let look = self.0.next_look();
            if self.park(Until::Writable, look)? == Woken::TimedOut {
                self.0.look()?;
            }
        }
    }
    // ANCHOR_END: write

    fn park(&self, until: Until, due: Instant) -> io::Result<Woken> {
        let woken = self.0.guest.descriptor.wait(until, Some(due))?;
        match woken {
            Woken::Up => trace!("resume", "woken"),
            Woken::TimedOut => trace!("resume", "its time is over"),
        }
        Ok(woken)
    }
}

impl<P: Poller> Transport for Parking<P> {
    // ANCHOR: fill
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let mut late = self.0.is_late();
        loop {
            self.take_turns();
            match self.0.try_fill(inbox, late)? {
                Tried::Received(n) => return Ok(n),
                Tried::Wait(due) => {
                    late = self.park(Until::Readable, due)? == Woken::TimedOut;
                }
            }
        }
    }
    // ANCHOR_END: fill

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.write_with(|line| line.send_file(file, at, len))
    }

    // ANCHOR: more
    fn more(
        &mut self,
        source: &mut dyn BodyStream,
        content: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.0.sent();
        let waker = self.0.guest.descriptor.handle().waker()?;
        let quiet = source.heartbeat_interval();
        let due = self.0.now() + quiet;
        while !self.0.guest.house.site.is_draining() {
            // Between this answer and the park nothing else runs on this thread, and the
            // waker comes through the poller: it cannot come too early.
            if source.more(&waker, content) != NextPiece::Pending {
                return Ok(());
            }
            let Some(until) = self.0.until_it_leaves()? else { break };
            trace!("park", "for more to send, {:.1} s at most", quiet.as_secs_f64());
            if self.park(until, due)? == Woken::TimedOut {
                break;
            }
        }
        if !self.0.guest.house.site.is_draining() {
            content.extend_from_slice(source.heartbeat());
        }
        Ok(())
    }
    // ANCHOR_END: more

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    fn unacked_bytes(&self) -> usize {
        self.0.unacked_bytes()
    }
}

impl<P: Poller> Stream for Parking<P> {
    fn deadline(&mut self, wait: Wait) {
        self.0.deadline(wait);
    }

    // ANCHOR: sleep
    fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.0.sent();
        trace!("park", "{} ms, and only this coroutine", time.as_millis());
        let until = Instant::now() + time; // the round may have begun a while ago
        while self.0.now() < until {
            // Before the first wait, too: it may have been told with the request.
            if self.0.guest.descriptor.is_broken() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            self.park(Until::Over, until)?;
        }
        Ok(())
    }
    // ANCHOR_END: sleep
}

impl<P: Poller> Write for Parking<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|line| line.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
