// ANCHOR: head
//! A connection that never waits, for the small servers of chapters 3 to 5.
//!
//! A struct holds the state that a blocked thread keeps on its stack. A server calls
//! [`Connection::drive`] whenever the socket may be ready or the connection's time has
//! come; the call returns the kind of event that the connection waits for next.
//!
//! The small servers do not divide their time fairly: a client that sends without pause
//! is served without pause, while the others wait. A client that takes at least one
//! byte of its answer before each deadline keeps its connection.

use ch01_blocking::small::deadline::{IDLE_TIME, TIME};
use ch01_blocking::small::{MAX_OUTPUT, Parsed, Response, parse, respond};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

// ANCHOR_END: head
// ANCHOR: connection
/// A client's connection: its socket, its buffers, and its phase.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    /// Received bytes of requests that have no answer yet.
    inbox: Vec<u8>,
    /// Answers, of which the first `sent` bytes have been sent.
    outbox: Vec<u8>,
    sent: usize,
    state: State,
    /// The beginning of the present wait, from which the deadline of the wait counts.
    since: Instant,
}

/// The phase of a connection.
#[derive(Debug)]
enum State {
    /// Requests are read and answered.
    Open,
    /// The answer to the first request in the inbox is held back until the given time.
    Sleeping(Instant),
    /// The last answer is being sent.
    Closing,
}

/// The kind of event that a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The connection waits for bytes from the client, at most until
    /// [`Connection::due`].
    Read,
    /// The connection waits until the client takes more bytes, at most until
    /// [`Connection::due`].
    Write,
    /// The connection waits until [`Connection::due`], whatever the client does.
    Time,
}

// ANCHOR_END: connection
// ANCHOR: new
impl Connection {
    /// Makes a socket non-blocking, and returns its connection, which waits for the
    /// first request from `now` on.
    ///
    /// # Errors
    ///
    /// The errors of fcntl(2) and setsockopt(2).
    pub fn new(socket: TcpStream, now: Instant) -> io::Result<Connection> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let (inbox, outbox, state) = (Vec::new(), Vec::new(), State::Open);
        Ok(Connection { socket, inbox, outbox, sent: 0, state, since: now })
    }

    /// Returns the time at which the connection must be driven even if nothing has
    /// happened: the end of a delay, or the client's deadline.
    pub fn due(&self) -> Instant {
        match self.state {
            State::Sleeping(until) => until,
            _ if self.outbox.is_empty() && self.inbox.is_empty() => {
                self.since + IDLE_TIME
            }
            _ => self.since + TIME,
        }
    }

    /// Ends the connection after the requests that have arrived: from now on, a read
    /// that finds no bytes returns 0, as if the client had finished sending.
    pub fn hang_up(&self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// ANCHOR_END: new
// ANCHOR: drive
impl Connection {
    /// Reads, answers and sends as far as possible without waiting. Returns the kind of
    /// event that the connection waits for, or `None` when the connection has ended.
    pub fn drive(&mut self, now: Instant) -> Option<Wait> {
        // An error is caused by the client or the network, and ends this connection
        // only.
        self.advance(now).unwrap_or(None)
    }

    fn advance(&mut self, now: Instant) -> io::Result<Option<Wait>> {
        loop {
            if !self.send(now)? {
                return Ok((now < self.due()).then_some(Wait::Write));
            }
            match self.state {
                State::Closing => return Ok(None),
                State::Sleeping(until) if now < until => return Ok(Some(Wait::Time)),
                State::Sleeping(_) | State::Open => {}
            }
            if !self.answer(now) {
                let is_idle = self.inbox.is_empty();
                match self.read() {
                    Ok(true) if is_idle => {}
                    Ok(true) => continue, // keeps `since`: one deadline per request
                    Ok(false) if self.inbox.is_empty() => return Ok(None),
                    Ok(false) => self.refuse(400, "the request has no end"),
                    Err(error) if error.kind() != ErrorKind::WouldBlock => {
                        return Err(error);
                    }
                    Err(_) if now < self.due() => return Ok(Some(Wait::Read)),
                    Err(_) if self.inbox.is_empty() => return Ok(None),
                    Err(_) => self.refuse(408, "the request took too long"),
                }
            }
            self.since = now; // an answer, or a request, has begun
        }
    }

    // ANCHOR_END: drive
    // ANCHOR: send
    /// Sends as many bytes of the outbox as the socket has room for. Returns whether
    /// all have been sent.
    fn send(&mut self, now: Instant) -> io::Result<bool> {
        while self.sent < self.outbox.len() {
            match self.socket.write(&self.outbox[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.since = now;
        }
        self.outbox.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads once into the inbox. Returns `true` if bytes have arrived, and `false` if
    /// the client has finished sending.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(n) => {
                    self.inbox.extend_from_slice(&buffer[..n]);
                    return Ok(n > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    // ANCHOR_END: send
    // ANCHOR: answer
    /// Answers complete requests until an answer is to be delayed or the outbox holds
    /// at least `MAX_OUTPUT` bytes. Returns `false` if the next request is incomplete
    /// and there is nothing to send.
    fn answer(&mut self, now: Instant) -> bool {
        let mut used = 0;
        while self.outbox.len() < MAX_OUTPUT {
            match parse(&self.inbox[used..]) {
                Parsed::Complete(request, length) => {
                    let (response, is_open) = (respond(&request), self.is_open());
                    if is_open && !response.delay.is_zero() {
                        // The answers that are ready are sent before the delay begins.
                        if self.outbox.is_empty() {
                            self.state = State::Sleeping(now + response.delay);
                        }
                        break;
                    }
                    used += length;
                    let keep_alive = request.keep_alive;
                    response.write(&mut self.outbox, request.is_head(), keep_alive);
                    self.state = if keep_alive { State::Open } else { State::Closing };
                    if !keep_alive {
                        break;
                    }
                }
                Parsed::Partial => break,
                Parsed::Refused(status, why) => {
                    self.inbox.drain(..used);
                    self.refuse(status, why);
                    return true;
                }
            }
        }
        self.inbox.drain(..used);
        used > 0 || !self.is_open()
    }

    /// Queues an error response, the connection's last answer.
    fn refuse(&mut self, status: u16, why: &str) {
        let is_head = self.inbox.starts_with(b"HEAD ");
        Response::error(status, why).write(&mut self.outbox, is_head, false);
        self.state = State::Closing;
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }
}
// ANCHOR_END: answer
