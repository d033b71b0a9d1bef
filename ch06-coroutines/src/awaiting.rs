//! The line to a client, by awaiting: where [`Parking`](crate::stream::Parking) suspends its
//! coroutine, this says `Pending`, and everybody up to the executor with it.

use crate::executor::{Spawner, yield_now};
use crate::line::{Line, Tried};
use crate::race::{Either, race};
use crate::source::Until;
use crate::task::Woken;
use crate::visitor::Visitor;
use ch01_blocking::deadlines::Wait;
use ch01_blocking::http::{BodyStream, Inbox, NextPiece, Outbox};
use ch01_blocking::server::trace::trace;
use ch03_nonblocking::poller::Poller;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// A stream that makes its task wait.
pub(crate) struct Awaiting<'a, P: Poller + 'static>(
    pub(crate) Line<'a, Spawner<'a, P, Visitor<'a, P>>>,
);

impl<P: Poller + 'static> Awaiting<'_, P> {
    /// Says what the next [`fill`](Awaiting::fill) waits for.
    pub(crate) fn deadline(&mut self, wait: Wait) {
        self.0.deadline(wait);
    }

    // ANCHOR: fill
    /// Receives into the buffer, and waits for that.
    pub(crate) async fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let mut late = self.0.is_late();
        loop {
            self.take_turns().await;
            match self.0.try_fill(inbox, late)? {
                Tried::Received(n) => return Ok(n),
                Tried::Wait(due) => {
                    late = self.wait(Until::Readable, due).await? == Woken::TimedOut;
                }
            }
        }
    }
    // ANCHOR_END: fill

    // ANCHOR: flush
    /// Sends all of it, and waits until the client has taken so much, or has taken too
    /// little for too long.
    pub(crate) async fn flush(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        loop {
            self.take_turns().await;
            match outbox.flush(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                flushed => return flushed,
            }
            if self.0.has_had_its_turn() {
                continue;
            }
            if let Some(source) = outbox.source() {
                // In a box, or whoever is sent anything would be as large as this.
                let content = Box::pin(self.more(source)).await?;
                outbox.push_piece(&content);
                continue;
            }
            let look = self.0.next_look();
            if self.wait(Until::Writable, look).await? == Woken::TimedOut {
                self.0.look()?;
            }
        }
    }
    // ANCHOR_END: flush

    // ANCHOR: more
    /// Waits for the next piece of a live content, and meanwhile for the client, who may
    /// leave. Nothing means that it is over.
    async fn more(&mut self, source: &mut dyn BodyStream) -> io::Result<Vec<u8>> {
        self.0.sent();
        let quiet = source.heartbeat_interval();
        let due = self.0.now() + quiet;
        let site = self.0.guest.house.site;
        let mut content = Vec::new();
        while let Some(until) = self.0.until_it_leaves()? {
            let piece = poll_fn(|context| {
                if site.is_draining()
                    || source.more(context.waker(), &mut content) != NextPiece::Pending
                {
                    return Poll::Ready(());
                }
                trace!("park", "for more to send, {:.1} s at most", quiet.as_secs_f64());
                Poll::Pending
            });
            match race(piece, pin!(self.wait(until, due))).await {
                Either::First(()) => return Ok(content),
                Either::Second(woken) => match woken? {
                    Woken::Up => {}
                    Woken::TimedOut => break,
                },
            }
        }
        Ok(source.heartbeat().to_vec())
    }
    // ANCHOR_END: more

    // ANCHOR: sleep
    /// Lets time pass, for `/sleep`, unless the connection is over before.
    pub(crate) async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.0.sent();
        trace!("park", "{} ms, and only this task", time.as_millis());
        let until = Instant::now() + time; // the round may have begun a while ago
        match self.wait(Until::Over, until).await? {
            Woken::Up => Err(ErrorKind::ConnectionReset.into()),
            Woken::TimedOut => Ok(()),
        }
    }
    // ANCHOR_END: sleep

    async fn wait(&self, until: Until, due: Instant) -> io::Result<Woken> {
        let woken = self.0.guest.descriptor.ready_by(until, due).await?;
        match woken {
            Woken::Up => trace!("poll", "woken"),
            Woken::TimedOut => trace!("poll", "its time is over"),
        }
        Ok(woken)
    }

    /// Whoever has moved its share lets the others run first.
    async fn take_turns(&mut self) {
        if self.0.has_had_its_turn() {
            yield_now().await;
            self.0.new_turn();
        }
    }
}
