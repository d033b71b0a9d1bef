//! One connection as a state machine: chapter 1's `serve`, cut open at each of its
//! waits.
//!
//! Where `serve` waits, its place in the code says what for, and its thread's stack
//! remembers the rest. Here nobody waits. So the place becomes a `State`, the rest
//! becomes a `Work`, and a call of [`Connection::advance`] goes on as far as it can.
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼             not yet                          │
//!   ┌──► Receive ──► Decide ─────► Send(Receive) ───────────┘
//!   │  would block     │ ▲ complete
//!   │      │           │ │
//!   │      ▼           │ └──────── Send(Decide)   (the output buffer was full)
//!   │    idle,         │ └──────── Sleep ◄──── Send(Sleep)   (/sleep)
//!   │    or waiting    │
//!   └──────┘           └─ last answer ─► Send(Linger) ──► Linger ──► closed
//! ```

mod waits;

use crate::poller::{Interest, Ready};
use crate::socket::{Share, Turn};
use crate::work::{Shared, Work};
use ch01_blocking::deadlines::{Progress, Wait, later};
use ch01_blocking::http::{HttpError, Parsed, Response, ResponseContext};
use ch01_blocking::serve::{LINGER_BYTES, push_error};
use ch01_blocking::stream::Transport;
use std::io::{self, ErrorKind};
use std::time::Instant;

/// Where `serve` would be waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// For more of the client's words.
    Receive,
    /// For nothing: there are bytes to be looked at.
    Decide,
    /// For the client to take what it is told; and then?
    Send(Then),
    /// For time to pass.
    Sleep,
    /// For the client to leave.
    Linger,
}

/// What follows when all is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Receive,
    Decide,
    Sleep,
    Linger,
    Close,
}

// ANCHOR: connection
/// One client.
#[derive(Debug)]
pub struct Connection<T> {
    transport: T,
    state: State,
    /// There may be something to read: nothing has said since that there is not. Told
    /// once, remembered here.
    readable: bool,
    /// So a short read does not mean that nothing is left: the end may come behind it.
    eof: bool,
    /// None while it is idle.
    work: Option<Box<Work>>,
}
// ANCHOR_END: connection

/// Why a connection is woken.
#[derive(Clone, Copy, Debug)]
pub enum Wake {
    /// Its descriptor is ready, or so it is said.
    Ready(Ready),
    /// Its deadline has passed.
    Timeout,
    /// Its last turn was over before it was done.
    Again,
    /// The server stops: who is idle is to go.
    Stop,
}

/// What a connection wants after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To be woken for this, or when this deadline passes.
    Wait(Interest, Instant),
    /// To be woken when its client sends a request, or after the idle timeout. It owns no
    /// buffers until then.
    Idle,
    /// What it wanted before: nothing has happened.
    Unchanged,
    /// Another turn, when the others have had theirs.
    Again,
    /// To be closed.
    Close,
}

impl<T: Transport> Connection<T> {
    /// A client that has just arrived, and waits to be heard.
    pub fn new(transport: T) -> Connection<T> {
        Connection {
            transport,
            state: State::Receive,
            readable: false,
            eof: false,
            work: None,
        }
    }

    /// A client for whom there is no room. It is told so in its first turn; if
    /// `patient`, it is given the time to hear it.
    pub fn rejected(transport: T, patient: bool, shared: &mut Shared<'_>) -> Self {
        let mut work = shared.pool.take(shared.now);
        push_error(HttpError::BUSY, shared.site, &mut work.outbox);
        let then = if patient { Then::Linger } else { Then::Close };
        Connection {
            state: State::Send(then),
            work: Some(work),
            ..Connection::new(transport)
        }
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The transport, without the connection.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Remembers what is told only once, for a turn that comes anyway.
    pub fn note(&mut self, ready: &Ready) {
        self.readable |= ready.readable || ready.eof || ready.broken;
        self.eof |= ready.eof || ready.broken;
    }

    /// Whether it is between requests, and owns nothing.
    pub fn is_idle(&self) -> bool {
        self.work.is_none()
    }

    // ANCHOR: advance
    /// Goes on as far as it can without waiting. An error means that the connection is
    /// broken.
    pub fn advance(&mut self, wake: Wake, shared: &mut Shared<'_>) -> io::Result<Next> {
        let was_idle = self.is_idle();
        let mut work = self.work.take().unwrap_or_else(|| shared.pool.take(shared.now));
        work.share = Share::new(shared.share);
        let next = match self.wake(wake, &mut work, shared) {
            Ok(None) => self.drive(&mut work, shared),
            Ok(Some(next)) => Ok(next),
            Err(error) => Err(error),
        };
        match next {
            Ok(Next::Idle) => {
                let moved = work.share.moved;
                shared.pool.give_back(work);
                if was_idle && !moved {
                    return Ok(Next::Unchanged); // nobody spoke: no new deadline
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

    /// What follows from the reason alone, if that settles it.
    fn wake(
        &mut self,
        wake: Wake,
        work: &mut Work,
        shared: &mut Shared<'_>,
    ) -> io::Result<Option<Next>> {
        match wake {
            // While we linger, both sides may have ended in good order. Some mechanisms
            // tell that as broken, and there may be much to read before it (to close now
            // would be a reset, and could cost our last answer).
            Wake::Ready(ready) if ready.broken && self.state != State::Linger => {
                return Err(ErrorKind::ConnectionReset.into());
            }
            Wake::Ready(ready) => {
                self.note(&ready);
                let in_vain = match self.state {
                    State::Send(_) => !ready.writable,
                    State::Sleep => true,
                    State::Receive | State::Decide | State::Linger => false,
                };
                return Ok(in_vain.then_some(Next::Unchanged));
            }
            Wake::Timeout => return self.too_late(work, shared),
            Wake::Stop => self.readable = true, // what came before the stop is answered
            Wake::Again => {}
        }
        Ok(None)
    }

    // ANCHOR: drive
    /// `serve` without its waits. Lay the two side by side.
    fn drive(&mut self, work: &mut Work, shared: &mut Shared<'_>) -> io::Result<Next> {
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
                                let until = later(shared.look(), time);
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
                    let mut turn = Turn(&mut self.transport, &mut work.share);
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
                            // While it waited for room, nobody told it of input. At a
                            // stop it looks: to close with something unread is a reset.
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
    /// Receives, if there may be something; `None` if not.
    #[inline]
    fn fill(&mut self, work: &mut Work) -> io::Result<Option<usize>> {
        if !self.readable {
            return Ok(None);
        }
        let room = work.inbox.space().len();
        match Turn(&mut self.transport, &mut work.share).fill(&mut work.inbox) {
            Ok(n) => {
                self.readable = n == room || self.eof; // or that was all
                Ok(Some(n))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = work.share.is_used_up();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
    // ANCHOR_END: fill

    fn answer(
        &mut self,
        response: Response,
        context: ResponseContext,
        work: &mut Work,
        shared: &Shared<'_>,
    ) {
        let last = response.is_last(context) || shared.site.is_draining();
        let context = ResponseContext { keep_alive: !last, ..context };
        work.outbox.push(response, context, &|| shared.date);
        work.wait = Wait::Idle; // the next request has its own time
        self.state = match () {
            () if last => State::Send(Then::Linger),
            () if work.outbox.is_full() => State::Send(Then::Decide),
            () => State::Decide,
        };
    }

    fn refuse(&mut self, why: HttpError, work: &mut Work, shared: &Shared<'_>) {
        push_error(why, shared.site, &mut work.outbox);
        self.state = State::Send(Then::Linger);
    }
}
