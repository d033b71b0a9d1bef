//! A raw TCP client that can misbehave: it sends any bytes in any pieces, half-closes, resets,
//! stalls, never reads, and distinguishes a close from a reset.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket2::{Domain, Socket, Type};

use crate::timeout::{timed_out, timeout};
use crate::transcript::{EventKind, Transcript};
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// The way in which the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server closed in good order (FIN): all bytes that it sent have arrived.
    Closed,
    /// The server reset the connection (RST): bytes on their way may have been lost.
    Reset,
}

/// The state of a client's socket, observed without taking bytes from the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// There are bytes to read.
    Bytes,
    /// The connection has ended.
    End(End),
    /// Nothing has arrived.
    Nothing,
}

/// One connection to the server under test.
#[derive(Debug)]
pub struct Client {
    pub(crate) name: String,
    pub(crate) log: Transcript,
    pub(crate) stream: TcpStream,
    /// Bytes received and not yet consumed. Consuming a response must not move the bytes of the
    /// responses that follow it: a client with thousands of responses would be busy moving bytes,
    /// and the server may close the connection of a client that does not read.
    pub(crate) inbox: BytesMut,
    pub(crate) end: Option<End>,
    /// Whether any refusal is accepted, whatever its status: see [`crate::ctx::Ctx::lenient`].
    pub(crate) lenient: bool,
    /// Whether the server is judged by the standards alone: see [`crate::ctx::Ctx::standards`].
    pub(crate) standards: bool,
    /// Whether a refusal that ends the connection ends the case: see
    /// [`crate::judge::Strictness::Refusal`].
    pub(crate) refusal_ends_case: bool,
    /// Whether the last response announced that the server closes the connection.
    pub(crate) announced_close: bool,
}

impl Client {
    /// Connects to the server. The transcript calls the client `name`.
    pub fn connect(
        address: SocketAddr,
        name: &str,
        log: &Transcript,
    ) -> CaseResult<Self> {
        Self::connect_with(address, name, log, None)
    }

    /// Connects with a receive buffer of about `receive` bytes, if given, and a send buffer that is
    /// not much larger, so that sending blocks soon after the server stops reading.
    pub fn connect_with(
        address: SocketAddr,
        name: &str,
        log: &Transcript,
        receive: Option<usize>,
    ) -> CaseResult<Self> {
        let stream = Self::open(address, receive).map_err(|error| {
            Abort::fail(format!("a connection to {address}"), format!("{error}"))
        })?;
        log.add(name, EventKind::Connected);
        Ok(Self {
            name: name.to_owned(),
            log: log.clone(),
            stream,
            inbox: BytesMut::new(),
            end: None,
            lenient: false,
            standards: false,
            refusal_ends_case: false,
            announced_close: false,
        })
    }

    fn open(address: SocketAddr, receive: Option<usize>) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if let Some(size) = receive {
            // The buffer sizes are set before connecting, so that the advertised window is small
            // from the start.
            socket.set_recv_buffer_size(size)?;
            socket.set_send_buffer_size(size * 4)?;
            // The segments are as small as on a real network. With the 64 KiB segments of loopback,
            // a kernel with a small receive buffer so rarely tells the sender that the buffer has
            // free space that even a client that reads seems stuck.
            socket.set_tcp_mss(1448)?;
        }
        socket.connect_timeout(&address.into(), timeout())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(timeout()))?;
        socket.set_write_timeout(Some(timeout()))?;
        Ok(socket.into())
    }

    /// Returns the name by which the transcript calls this client, such as `A`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a note to the transcript.
    pub fn note(&self, note: impl Into<String>) {
        self.log.add(&self.name, EventKind::Note(note.into()));
    }

    /// Waits at most `wait` for bytes or the end of the connection, and returns which of the two
    /// was observed. Consumes no bytes.
    pub fn peek(&mut self, wait: Duration) -> Peek {
        if !self.inbox.is_empty() {
            return Peek::Bytes;
        }
        if let Some(end) = self.end {
            return Peek::End(end);
        }
        let before = Instant::now();
        loop {
            let left = wait.saturating_sub(before.elapsed());
            match self.peek_socket(left) {
                Ok(0) => return Peek::End(End::Closed),
                Ok(_) => return Peek::Bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => return Peek::Nothing,
                Err(_) => {
                    self.ended(End::Reset);
                    return Peek::End(End::Reset);
                }
            }
        }
    }

    fn peek_socket(&self, wait: Duration) -> std::io::Result<usize> {
        let mut one = [0];
        if wait.is_zero() {
            self.stream.set_nonblocking(true)?;
            let result = self.stream.peek(&mut one);
            self.stream.set_nonblocking(false)?;
            return result;
        }
        self.stream.set_read_timeout(Some(wait))?;
        let result = self.stream.peek(&mut one);
        self.stream.set_read_timeout(Some(timeout()))?;
        result
    }

    /// Returns whether the connection ended without a response and this end counts as a refusal
    /// (RFC 9112 section 9.5). It counts only if any refusal is accepted (`lenient`): the function
    /// then waits for a response or the end, and otherwise returns `false` at once.
    pub fn closed_without_response(&mut self) -> bool {
        self.lenient && matches!(self.peek(timeout()), Peek::End(_))
    }

    /// Skips the case if the server has closed the connection after a response that announced the
    /// close, and the server is judged by the standards alone: the standards allow the close, and
    /// the case's next step needs the connection.
    pub(crate) fn skip_if_closed(&self) -> Verdict {
        if self.standards && self.announced_close && self.end.is_some() {
            return Err(Abort::skip(
                "the server closed the connection after announcing it, as the standards allow",
            ));
        }
        Ok(())
    }

    /// Asserts that nothing has arrived so far. `why` tells the reader of a failure report why
    /// nothing should have arrived.
    pub fn assert_no_data(&mut self, why: &str) -> Verdict {
        let seen = self.peek(Duration::ZERO);
        if seen == Peek::End(End::Closed) {
            self.ended(End::Closed);
            self.skip_if_closed()?;
        }
        ensure(
            seen == Peek::Nothing,
            format!("nothing yet for {}: {why}", self.name),
            match seen {
                Peek::Bytes => "bytes have arrived".to_owned(),
                other => other.describe().to_owned(),
            },
        )
    }

    /// Records `end` as the end of the connection, unless an end is recorded already. Returns
    /// `end`.
    pub(crate) fn ended(&mut self, end: End) -> End {
        if self.end.is_none() {
            self.end = Some(end);
            let what = if end == End::Closed {
                EventKind::PeerClosed
            } else {
                EventKind::PeerReset
            };
            self.log.add(&self.name, what);
        }
        end
    }
}
