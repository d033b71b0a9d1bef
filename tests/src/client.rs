//! A raw HTTP client that can misbehave: it sends any bytes in any pieces,
//! half-closes, resets, stalls, never reads, and knows a clean end from a reset.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket2::{Domain, Socket, Type};

use crate::patience::{patience, timed_out};
use crate::transcript::{Transcript, What};
use crate::verdict::{Step, Stop, Verdict, demand};

/// How the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order: every byte before it has arrived (FIN).
    Closed,
    /// Cut (RST): bytes on their way may have been lost.
    Reset,
}

/// What a look at the socket saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Bytes are there to be read.
    Bytes,
    /// The connection has ended.
    End(End),
    /// Nothing has come.
    Nothing,
}

/// One connection to the server under test.
#[derive(Debug)]
pub struct Client {
    pub(crate) name: String,
    pub(crate) log: Transcript,
    pub(crate) stream: TcpStream,
    /// Received and not yet taken by a reader. There may be thousands of answers in it, and
    /// taking the first must not move the others: a client that is busy with that does not
    /// read, and looks to the server like one that never will.
    pub(crate) inbox: BytesMut,
    pub(crate) end: Option<End>,
    /// Any refusal will do, whatever its status: see [`crate::ctx::Ctx::lenient`].
    pub(crate) lenient: bool,
    /// See [`crate::ctx::Ctx::standards`].
    pub(crate) standards: bool,
    /// The last answer said that the connection ends with it.
    pub(crate) told_end: bool,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr, name: &str, log: &Transcript) -> Step<Self> {
        Self::connect_with(address, name, log, None)
    }

    /// Connects with a receive buffer of about `receive` bytes, if given, and a
    /// send buffer not much larger, so that it is soon felt when the server stalls.
    pub fn connect_with(
        address: SocketAddr,
        name: &str,
        log: &Transcript,
        receive: Option<usize>,
    ) -> Step<Self> {
        let stream = Self::open(address, receive).map_err(|error| {
            Stop::fail(format!("a connection to {address}"), format!("{error}"))
        })?;
        log.add(name, What::Connected);
        Ok(Self {
            name: name.to_owned(),
            log: log.clone(),
            stream,
            inbox: BytesMut::new(),
            end: None,
            lenient: false,
            standards: false,
            told_end: false,
        })
    }

    fn open(address: SocketAddr, receive: Option<usize>) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if let Some(size) = receive {
            // Before connecting, so that the window is small from the first byte.
            socket.set_recv_buffer_size(size)?;
            socket.set_send_buffer_size(size * 4)?;
            // Segments as on a real network. With the 64 KiB ones of loopback, a kernel with a
            // small buffer tells of room so seldom that even a client that reads seems stuck.
            socket.set_tcp_mss(1448)?;
        }
        socket.connect_timeout(&address.into(), patience())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(patience()))?;
        socket.set_write_timeout(Some(patience()))?;
        Ok(socket.into())
    }

    /// The letter of this client in the transcript.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a remark into the transcript.
    pub fn note(&self, note: impl Into<String>) {
        self.log.add(&self.name, What::Note(note.into()));
    }

    /// Looks, for at most `wait`, whether something has come; takes nothing.
    pub fn look(&mut self, wait: Duration) -> Seen {
        if !self.inbox.is_empty() {
            return Seen::Bytes;
        }
        if let Some(end) = self.end {
            return Seen::End(end);
        }
        let before = Instant::now();
        loop {
            let left = wait.saturating_sub(before.elapsed());
            match self.peek(left) {
                Ok(0) => return Seen::End(End::Closed),
                Ok(_) => return Seen::Bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => return Seen::Nothing,
                Err(_) => {
                    self.ended(End::Reset);
                    return Seen::End(End::Reset);
                }
            }
        }
    }

    fn peek(&self, wait: Duration) -> std::io::Result<usize> {
        let mut one = [0];
        if wait.is_zero() {
            self.stream.set_nonblocking(true)?;
            let result = self.stream.peek(&mut one);
            self.stream.set_nonblocking(false)?;
            return result;
        }
        self.stream.set_read_timeout(Some(wait))?;
        let result = self.stream.peek(&mut one);
        self.stream.set_read_timeout(Some(patience()))?;
        result
    }

    /// Whether the server ends the connection without a word where any refusal will
    /// do: then that is one, as connections may be closed at any time (RFC 9112 section 9.5).
    pub fn is_cut_off(&mut self) -> bool {
        self.lenient && matches!(self.look(patience()), Seen::End(_))
    }

    /// By the standards alone a server may end a connection behind any answer that
    /// says so. What a case would have tried on it next cannot be tried then.
    pub(crate) fn may_have_ended(&self) -> Verdict {
        if self.standards && self.told_end && self.end.is_some() {
            return Err(Stop::skip(
                "the server ended the connection behind an answer that said so, as it may",
            ));
        }
        Ok(())
    }

    /// Demands that nothing has come so far.
    pub fn has_nothing(&mut self, why: &str) -> Verdict {
        let seen = self.look(Duration::ZERO);
        if seen == Seen::End(End::Closed) {
            self.ended(End::Closed);
            self.may_have_ended()?;
        }
        demand(
            seen == Seen::Nothing,
            format!("nothing yet for {}: {why}", self.name),
            match seen {
                Seen::Bytes => "bytes are there".to_owned(),
                other => format!("{other:?}"),
            },
        )
    }

    /// Notes the end, the first time that it is seen.
    pub(crate) fn ended(&mut self, end: End) -> End {
        if self.end.is_none() {
            self.end = Some(end);
            let what =
                if end == End::Closed { What::PeerClosed } else { What::PeerReset };
            self.log.add(&self.name, what);
        }
        end
    }
}
