//! The waits of a connection: the interest and the deadline of each kind of wait, and
//! what happens when the deadline passes.

use super::{Connection, Next, State};
use crate::poller::Interest;
use crate::work::{LoopContext, Work};
use ch01_blocking::deadlines::{Describe, Wait, later};
use ch01_blocking::server::trace::trace;
use ch01_blocking::stream::Transport;
use std::io::{self, ErrorKind};
use std::mem::discriminant;
use std::time::Duration;

impl<T: Transport> Connection<T> {
    // ANCHOR: wait_for
    /// Returns the turn's result for a connection that needs more input. If the result
    /// is a wait, its limit is the idle, head or body timeout.
    pub(super) fn wait_for_input(
        &self,
        work: &mut Work,
        shared: &LoopContext<'_>,
    ) -> Next {
        let wait = match work.inbox.content_received() {
            Some(received) => Wait::Body { received },
            None if !work.inbox.is_pristine() => Wait::Head,
            // The turn's byte budget is used up, so there may be more input to read.
            None if work.budget.is_used_up() => return Next::Again,
            None if shared.site.is_draining() => return Next::Close,
            None => {
                if work.budget.moved {
                    trace!("wait", "{}", Describe(Wait::Idle, shared.timeouts.idle));
                }
                return Next::Idle;
            }
        };
        self.wait(wait, work, shared)
    }

    /// Returns the turn's result for a connection with unsent output: a wait for room
    /// in the send buffer, or another turn if the byte budget is used up.
    pub(super) fn wait_for_room(
        &self,
        work: &mut Work,
        shared: &LoopContext<'_>,
    ) -> Next {
        work.progress.wrote(work.budget.wrote);
        work.progress.begin(|| self.transport.unacked_bytes());
        self.wait(Wait::Write, work, shared)
    }
    // ANCHOR_END: wait_for

    // ANCHOR: wait
    /// Returns the turn's result: a wait of the kind `wait`, with its interest and its
    /// deadline, or another turn if the byte budget is used up. The deadline counts
    /// from `work.since`, the beginning of the wait.
    pub(super) fn wait(
        &self,
        wait: Wait,
        work: &mut Work,
        shared: &LoopContext<'_>,
    ) -> Next {
        if work.budget.is_used_up() {
            return Next::Again;
        }
        let changed = discriminant(&wait) != discriminant(&work.wait);
        if changed {
            work.since = shared.current_time();
        }
        work.wait = wait;
        let due = match wait {
            // The client's progress is checked several times within the write deadline:
            // see chapter 1's `Progress`.
            Wait::Write => later(work.since, shared.timeouts.check_interval()),
            wait => shared.timeouts.due(wait, work.since),
        };
        if changed || work.budget.moved {
            trace!(
                "wait",
                "{}",
                Describe(wait, due.saturating_duration_since(shared.now.max(work.since)))
            );
        }
        let interest = match wait {
            Wait::Write => Interest::WRITE,
            Wait::Idle | Wait::Head | Wait::Body { .. } | Wait::Linger => Interest::READ,
        };
        Next::Wait(interest, due)
    }
    // ANCHOR_END: wait

    // ANCHOR: sleep
    /// Returns the turn's result for a connection whose response is delayed: a wait
    /// until the response is due.
    pub(super) fn sleep(&self, work: &Work, shared: &LoopContext<'_>) -> Next {
        let (time, until) = match &work.later {
            Some((response, _, until)) => (response.delay.unwrap_or_default(), *until),
            None => (Duration::ZERO, shared.now),
        };
        trace!("sleep", "{} ms, and only this connection", time.as_millis());
        Next::Wait(Interest::NONE, until)
    }
    // ANCHOR_END: sleep

    // ANCHOR: on_deadline
    /// Handles the connection's deadline, which has passed. Returns the turn's result,
    /// or `None` if `drive` must run to determine it. The event loop closes the
    /// connection if the result is an error.
    pub(super) fn on_deadline(
        &mut self,
        work: &mut Work,
        shared: &mut LoopContext<'_>,
    ) -> io::Result<Option<Next>> {
        match self.state {
            State::Sleep => {
                if let Some((response, asked, _)) = work.later.take() {
                    self.answer(response, asked, work, shared);
                }
                return Ok(None);
            }
            State::Send(_) => {
                trace!("wait", "for the client to acknowledge what is sent");
                if !work.progress.is_enough(self.transport.unacked_bytes()) {
                    return Err(ErrorKind::TimedOut.into());
                }
                work.since = shared.current_time();
                return Ok(Some(self.wait(Wait::Write, work, shared)));
            }
            State::Linger => return Ok(Some(Next::Close)),
            State::Receive => {
                // If the event loop is late, the awaited input may have arrived without
                // being reported, so the connection reads first. If a part of the
                // request is still missing, the deadline stands: a client that sends
                // byte by byte does not extend it.
                self.readable = true;
                let next = self.drive(work, shared)?;
                let is_late = match next {
                    Next::Idle => !work.budget.moved,
                    Next::Wait(_, due) => due <= shared.now,
                    _ => false,
                };
                if !is_late {
                    return Ok(Some(next));
                }
            }
            State::Decide => {}
        }
        shared.site.stats.timeouts.add();
        trace!("timeout", "{}", Describe(work.wait, Duration::ZERO));
        let Some(why) = work.inbox.too_late() else { return Ok(Some(Next::Close)) };
        self.refuse(why, work, shared);
        Ok(None)
    }
    // ANCHOR_END: on_deadline
}
