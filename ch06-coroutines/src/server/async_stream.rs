//! The stream of a connection for `async` code: where
//! [`ParkingStream`](super::stream::ParkingStream) parks its coroutine, a method of [`AsyncStream`]
//! returns `Pending`, and so does every calling future up to the task.

use super::stream::{ActiveConnection, ReadAttempt};
use crate::runtime::{Either, Readiness, Woken, race, yield_now};
use ch01_blocking::deadlines::{Wait, later};
use ch01_blocking::http::{BodyStream, Inbox, NextPiece, Outbox};
use ch01_blocking::server::trace::trace;
use ch03_nonblocking::socket::{IO_BUDGET, IoBudget};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// A connection's stream, each of whose methods may make its task wait.
pub(crate) struct AsyncStream(pub(super) ActiveConnection);

impl AsyncStream {
    /// Sets the kind of wait of the next [`fill`](AsyncStream::fill), and so its deadline.
    pub(crate) fn deadline(&mut self, wait: Wait) {
        self.0.deadline(wait);
    }

    // ANCHOR: fill
    /// Reads bytes into the inbox, and waits until at least one has arrived. Returns
    /// the number of bytes; 0 is the end of file.
    pub(crate) async fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let mut late = false;
        loop {
            self.yield_if_over_budget().await;
            match self.0.try_fill(inbox, late)? {
                ReadAttempt::Received(n) => return Ok(n),
                ReadAttempt::Wait(due) => {
                    late = self.wait(Readiness::Readable, due).await? == Woken::TimedOut;
                }
            }
        }
    }
    // ANCHOR_END: fill

    // ANCHOR: flush
    /// Sends all queued bytes, waiting while the client takes them. Fails if the client
    /// takes too few bytes within the write deadline.
    pub(crate) async fn flush(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        loop {
            self.yield_if_over_budget().await;
            match outbox.flush(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                flushed => return flushed,
            }
            if self.0.budget.is_used_up() {
                continue;
            }
            if let Some(source) = outbox.source() {
                // The future of `more` is boxed: otherwise it would be part of every
                // future that sends something, and would make that future larger.
                let content = Box::pin(self.more(source)).await?;
                outbox.push_piece(&content);
                continue;
            }
            let next_check = self.0.next_check();
            if self.wait(Readiness::Writable, next_check).await? == Woken::TimedOut {
                self.0.check_progress()?;
            }
        }
    }
    // ANCHOR_END: flush

    // ANCHOR: more
    /// Waits for the next piece of a response whose length is not known, and returns
    /// the piece. Returns the source's heartbeat instead if no piece comes in time, or
    /// if the client has just shut down its sending side. An empty piece ends the
    /// content.
    async fn more(&mut self, source: &mut dyn BodyStream) -> io::Result<Vec<u8>> {
        self.0.all_sent();
        let quiet = source.heartbeat_interval();
        let due = later(self.0.now(), quiet);
        let site = self.0.connection.server.site.clone();
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
                    Woken::Notified => {}
                    Woken::TimedOut => break,
                },
            }
        }
        Ok(source.heartbeat().to_vec())
    }
    // ANCHOR_END: more

    // ANCHOR: sleep
    /// Waits for the duration `time`, for the route `/sleep`. Fails if the client
    /// closes the connection before `time` has passed.
    pub(crate) async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.0.all_sent();
        trace!("park", "{} ms, and only this task", time.as_millis());
        // The sleep begins now, and not at the beginning of the round of the run queue
        // (`self.0.now()`), which may be a while ago.
        let until = later(Instant::now(), time);
        match self.wait(Readiness::Closed, until).await? {
            Woken::Notified => Err(ErrorKind::ConnectionReset.into()),
            Woken::TimedOut => Ok(()),
        }
    }
    // ANCHOR_END: sleep

    async fn wait(&self, until: Readiness, due: Instant) -> io::Result<Woken> {
        let woken = self.0.connection.socket.ready_by(until, due).await?;
        match woken {
            Woken::Notified => trace!("poll", "woken"),
            Woken::TimedOut => trace!("poll", "its time is over"),
        }
        Ok(woken)
    }

    async fn yield_if_over_budget(&mut self) {
        if self.0.budget.is_used_up() {
            yield_now().await;
            self.0.budget = IoBudget::new(IO_BUDGET);
        }
    }
}
