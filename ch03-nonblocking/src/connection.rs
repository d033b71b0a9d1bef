//! One connection as a state machine: chapter 1's function `serve`, split at each of
//! its blocking calls.
//!
//! While `serve` blocks, its position in the code shows what it waits for, and its
//! thread's stack holds its variables. In this file no call blocks. So the position
//! becomes a `State`, the variables become the fields of a `Work`, and
//! [`Connection::advance`] runs until it would have to block. The state `Send(X)` sends
//! the output, and then continues with the state `X`.
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼            request incomplete                │
//!   ┌──► Receive ──► Decide ─────► Send(Receive) ───────────┘
//!   │  would block     │ ▲
//!   │      │           │ │
//!   │      ▼           │ └──────── Send(Decide)   (the output buffer was full)
//!   │    idle,         │ └──────── Sleep ◄──── Send(Sleep)   (/sleep)
//!   │    or waiting    │
//!   └──────┘           └─ last answer ─► Send(Linger) ──► Linger ──► closed
//! ```

mod waits;

use crate::poller::{Interest, Ready};
use crate::socket::{BudgetedIo, IoBudget};
use crate::work::{LoopContext, Work};
use ch01_blocking::deadlines::{Progress, Wait, later};
use ch01_blocking::http::{HttpError, Parsed, Response, ResponseContext};
use ch01_blocking::serve::{LINGER_BYTES, push_error};
use ch01_blocking::stream::Transport;
use std::io::{self, ErrorKind};
use std::time::Instant;

// ANCHOR: state
/// The current step of a connection. In chapter 1 the position in the code of `serve`
/// is the step; here the step is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The connection waits for input.
    Receive,
    /// The connection parses received bytes; this step never waits.
    Decide,
    /// The connection sends its output, then continues with the step that `Then` names.
    Send(Then),
    /// The connection waits until its delayed response is due.
    Sleep,
    /// The last response has been sent; input is read and discarded until the peer
    /// closes.
    Linger,
}

/// The step of a connection after it has sent its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Receive,
    Decide,
    Sleep,
    Linger,
    Close,
}
// ANCHOR_END: state

// ANCHOR: connection
/// The state of one client's connection: its transport, its step, and its buffers.
#[derive(Debug)]
pub struct Connection<T> {
    transport: T,
    state: State,
    /// Whether the socket may have something to read. Some pollers report readiness
    /// only once, so this field keeps it until a read shows that the socket is drained.
    readable: bool,
    /// Whether end of file may follow the received bytes, so that a short read does not
    /// mean that the socket is drained.
    eof: bool,
    /// The buffers; `None` while the connection is idle.
    work: Option<Box<Work>>,
}
// ANCHOR_END: connection

// ANCHOR: wake_next
/// The reason for a connection's turn, that is, for a call to [`Connection::advance`].
#[derive(Clone, Copy, Debug)]
pub enum Wake {
    /// The poller has reported an event of the connection's descriptor.
    Ready(Ready),
    /// The connection's deadline has passed.
    Timeout,
    /// The connection can continue without an event, for example because its last turn
    /// used up the byte budget.
    Again,
    /// The server is stopping, and the connection is to close if it is idle.
    Stop,
}

/// The result of a connection's turn: what the event loop does with the connection
/// next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until the descriptor is ready for this interest, or the deadline passes.
    Wait(Interest, Instant),
    /// Wait until the client sends a request, or the idle timeout passes. Until then
    /// the connection owns no buffers.
    Idle,
    /// Keep waiting for the same interest and deadline as before the turn, in which
    /// nothing has happened.
    Unchanged,
    /// Have another turn, after every other ready connection has had one.
    Again,
    /// Close the connection, which has ended without an I/O error.
    Close,
}
// ANCHOR_END: wake_next

impl<T: Transport> Connection<T> {
    /// Returns an idle connection, which waits for its first request.
    pub fn new(transport: T) -> Connection<T> {
        Connection {
            transport,
            state: State::Receive,
            readable: false,
            eof: false,
            work: None,
        }
    }

    /// Returns a connection that the server has no room for. Its first turn sends the
    /// response 503; if `lingers`, the connection then waits for the client to read the
    /// response and close.
    pub fn rejected(transport: T, lingers: bool, shared: &mut LoopContext<'_>) -> Self {
        let mut work = shared.pool.take(shared.now);
        push_error(HttpError::BUSY, shared.site, &mut work.outbox);
        let then = if lingers { Then::Linger } else { Then::Close };
        Connection {
            state: State::Send(then),
            work: Some(work),
            ..Connection::new(transport)
        }
    }

    /// Returns the connection's transport, such as its socket.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Drops the connection's state, and returns its transport.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Records an event for the connection's next turn, without advancing the
    /// connection: some pollers report an event only once.
    pub fn record(&mut self, ready: &Ready) {
        self.readable |= ready.readable || ready.eof || ready.broken;
        self.eof |= ready.eof || ready.broken;
    }

    /// Returns whether the connection is between requests, and owns no buffers.
    pub fn is_idle(&self) -> bool {
        self.work.is_none()
    }

    // ANCHOR: advance
    /// Advances the connection as far as possible without blocking, and returns what
    /// the event loop does with the connection next.
    ///
    /// One call (a turn) ends at the latest when
    /// [`IO_BUDGET`](crate::socket::IO_BUDGET) bytes have been read or written: further
    /// reads and writes fail with `WouldBlock`, and [`Next::Again`] is returned. The
    /// last read or write of the turn may exceed that number.
    ///
    /// # Errors
    ///
    /// The transport's error if the connection has failed, or `TimedOut` if the client
    /// has missed the write deadline.
    pub fn advance(
        &mut self,
        wake: Wake,
        shared: &mut LoopContext<'_>,
    ) -> io::Result<Next> {
        let was_idle = self.is_idle();
        let mut work = self.work.take().unwrap_or_else(|| shared.pool.take(shared.now));
        work.budget = IoBudget::new(shared.io_budget);
        let next = match self.apply(wake, &mut work, shared) {
            Ok(None) => self.drive(&mut work, shared),
            Ok(Some(next)) => Ok(next),
            Err(error) => Err(error),
        };
        match next {
            Ok(Next::Idle) => {
                let moved = work.budget.moved;
                shared.pool.give_back(work);
                if was_idle && !moved {
                    return Ok(Next::Unchanged); // no input came: the deadline stays
                }
            }
            Ok(Next::Close) | Err(_) => {
                work.clear();
                shared.pool.give_back(work);
            }
            Ok(_) => self.work = Some(work),
        }
        next
    }
    // ANCHOR_END: advance

    // ANCHOR: apply
    /// Applies `wake`, the reason for the turn. Returns the turn's result if the reason
    /// alone determines it, or `None` if `drive` must run.
    fn apply(
        &mut self,
        wake: Wake,
        work: &mut Work,
        shared: &mut LoopContext<'_>,
    ) -> io::Result<Option<Next>> {
        match wake {
            // Some pollers report a lingering connection as broken when both sides have
            // shut down in good order, although input is still unread. Closing it now
            // would send a reset, and the client could lose the last response.
            Wake::Ready(ready) if ready.broken && self.state != State::Linger => {
                return Err(ErrorKind::ConnectionReset.into());
            }
            Wake::Ready(ready) => {
                self.record(&ready);
                let is_spurious = match self.state {
                    State::Send(_) => !ready.writable,
                    State::Sleep => true,
                    State::Receive | State::Decide | State::Linger => false,
                };
                return Ok(is_spurious.then_some(Next::Unchanged));
            }
            Wake::Timeout => return self.on_deadline(work, shared),
            // The connection tries one more read, so that requests received before the
            // stop are answered.
            Wake::Stop => self.readable = true,
            Wake::Again => {}
        }
        Ok(None)
    }
    // ANCHOR_END: apply

    // ANCHOR: drive
    /// Runs the connection until it would block or ends, and returns the turn's result.
    /// The code follows chapter 1's `serve`: compare the two side by side.
    fn drive(
        &mut self,
        work: &mut Work,
        shared: &mut LoopContext<'_>,
    ) -> io::Result<Next> {
        loop {
            match self.state {
                State::Receive => match self.fill(work)? {
                    None => return Ok(self.wait_for_input(work, shared)),
                    Some(0) if work.inbox.is_empty() => return Ok(Next::Close),
                    Some(0) => self.refuse(work.inbox.cut_off(), work, shared),
                    Some(_) => self.state = State::Decide,
                },
                State::Decide => match work.inbox.next(&shared.site.limits) {
                    Parsed::Complete(request) => {
                        let response = shared.site.respond(&request);
                        let context = request.response_context();
                        match response.delay {
                            None => self.answer(response, context, work, shared),
                            Some(time) => {
                                let until = later(shared.current_time(), time);
                                work.later = Some((response, context, until));
                                self.state = State::Send(Then::Sleep);
                            }
                        }
                    }
                    Parsed::Partial { wants_continue } => {
                        if wants_continue {
                            work.outbox.push_continue();
                        }
                        self.state = State::Send(Then::Receive);
                    }
                    Parsed::Refused(why) => self.refuse(why, work, shared),
                },
                State::Send(then) => {
                    let mut turn = BudgetedIo(&mut self.transport, &mut work.budget);
                    match work.outbox.flush(&mut turn) {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            return Ok(self.wait_for_room(work, shared));
                        }
                        Err(error) => return Err(error),
                    }
                    work.progress = Progress::default();
                    self.state = match then {
                        Then::Receive => {
                            // The poller does not report input to a connection that
                            // waits to write. During a shutdown the connection tries a
                            // read, because closing with unread input sends a reset.
                            self.readable |= shared.site.is_draining();
                            State::Receive
                        }
                        Then::Decide => State::Decide,
                        Then::Sleep => State::Sleep,
                        Then::Linger => {
                            self.transport.shutdown_write()?;
                            self.readable = true;
                            State::Linger
                        }
                        Then::Close => {
                            self.transport.shutdown_write()?;
                            return Ok(Next::Close);
                        }
                    };
                }
                State::Sleep => return Ok(self.sleep(work, shared)),
                State::Linger => {
                    work.inbox.clear();
                    match self.fill(work)? {
                        None => return Ok(self.wait(Wait::Linger, work, shared)),
                        Some(n) if n > 0 && work.lingered < LINGER_BYTES => {
                            work.lingered += n
                        }
                        Some(_) => return Ok(Next::Close),
                    }
                }
            }
        }
    }
    // ANCHOR_END: drive

    // ANCHOR: fill
    /// Reads into the inbox, and returns the number of bytes (0 at end of file), or
    /// `None` if there is nothing to read or the byte budget is used up.
    #[inline]
    fn fill(&mut self, work: &mut Work) -> io::Result<Option<usize>> {
        if !self.readable {
            return Ok(None);
        }
        let room = work.inbox.space().len();
        match BudgetedIo(&mut self.transport, &mut work.budget).fill(&mut work.inbox) {
            Ok(n) => {
                // A read that does not fill the inbox has drained the socket, unless an
                // end of file may follow.
                self.readable = n == room || self.eof;
                Ok(Some(n))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = work.budget.is_used_up();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
    // ANCHOR_END: fill

    // ANCHOR: answer
    /// Queues a response in the outbox, and sets the connection's next state.
    fn answer(
        &mut self,
        response: Response,
        context: ResponseContext,
        work: &mut Work,
        shared: &LoopContext<'_>,
    ) {
        let last = response.is_last(context) || shared.site.is_draining();
        let context = ResponseContext { keep_alive: !last, ..context };
        work.outbox.push(response, context, &|| shared.date);
        work.wait = Wait::Idle; // the next request has its own deadline
        self.state = match () {
            () if last => State::Send(Then::Linger),
            () if work.outbox.is_full() => State::Send(Then::Decide),
            () => State::Decide,
        };
    }

    /// Queues an error response, the connection's last; afterwards the connection
    /// lingers.
    fn refuse(&mut self, why: HttpError, work: &mut Work, shared: &LoopContext<'_>) {
        push_error(why, shared.site, &mut work.outbox);
        self.state = State::Send(Then::Linger);
    }
    // ANCHOR_END: answer
}
