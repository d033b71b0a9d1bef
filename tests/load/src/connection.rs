//! One client's connection: the requests in flight, the bytes still to be sent, and the parser
//! of its responses.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::parser::Parser;

/// Greatest number of connections per source address, of those that are kept for many requests. An
/// address has several times as many ports (28,232 by default on Linux), because connecting gets
/// slower the more of them are taken.
const CONNECTIONS_PER_ADDRESS: usize = 4096;
/// Number of source addresses to connect from.
const SOURCE_ADDRESSES: usize = 250;

/// One client of the load generator, whether connected or not.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Option<TcpStream>,
    /// Whether the connection is known to be established, because connecting or a write succeeded.
    pub connected: bool,
    /// Whether writing has failed. Bytes received before the failure can still be read.
    pub broken: bool,
    /// Whether the connection has had a 2xx response.
    pub served: bool,
    /// The time at which each request in flight was sent, in nanoseconds since the start: a ring
    /// buffer with a place for each request that may be in flight.
    sent_at: Box<[u64]>,
    first: usize,
    in_flight: usize,
    /// The later of two times, in nanoseconds since the start: the arrival of the last response,
    /// and the sending of the oldest request in flight.
    waiting_since: u64,
    /// Number of bytes of the requests in flight that are still to be sent.
    pub unsent: usize,
    /// Whether the poller watches the socket for writability, in addition to readability.
    pub watched_for_writing: bool,
    pub parser: Parser,
}

impl Connection {
    /// Returns a client without a connection, for at most `depth` requests in flight.
    pub(super) fn new(depth: usize) -> Connection {
        Connection {
            socket: None,
            connected: false,
            broken: false,
            served: false,
            sent_at: vec![0; depth].into(),
            first: 0,
            in_flight: 0,
            waiting_since: 0,
            unsent: 0,
            watched_for_writing: false,
            parser: Parser::default(),
        }
    }

    /// Starts connecting, without waiting until the connection to the server is established.
    /// `number` determines the source address.
    pub(super) fn open(&mut self, to: SocketAddr, number: Number) -> io::Result<()> {
        let socket =
            Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = number.address(to) {
            let _ = bind_port_at_connect(&socket); // if this fails, bind(2) chooses the port
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(error),
        }
        self.socket = Some(socket.into());
        (self.connected, self.broken, self.served) = (false, false, false);
        self.unsent = 0;
        self.parser = Parser::default();
        Ok(())
    }

    /// Closes the connection. Returns the number of requests that were in flight and are lost.
    pub(super) fn close(&mut self) -> usize {
        self.socket = None;
        std::mem::take(&mut self.in_flight)
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// Returns the descriptor of the connection, and whether it is watched for writability; `None`
    /// if there is no connection.
    pub(super) fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        Some((self.socket.as_ref()?.as_fd(), self.watched_for_writing))
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the time since which the client has been waiting for a response, in nanoseconds
    /// since the start, or `None` if no request is in flight.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        (self.in_flight > 0).then_some(self.waiting_since)
    }

    /// Adds a request of `length` bytes, at the time `now`, to the requests in flight. The request
    /// counts as sent at the time `when`. Both times are in nanoseconds since the start.
    #[inline]
    pub(super) fn push_request(&mut self, when: u64, now: u64, length: usize) {
        let mut at = self.first + self.in_flight;
        if at >= self.sent_at.len() {
            at -= self.sent_at.len();
        }
        self.sent_at[at] = when;
        if self.in_flight == 0 {
            self.waiting_since = now;
        }
        self.in_flight += 1;
        self.unsent += length;
    }

    /// Removes the oldest request in flight. Returns the time at which it was sent, in nanoseconds
    /// since the start, or `None` if no request was in flight.
    #[inline]
    pub(super) fn complete_request(&mut self, now: u64) -> Option<u64> {
        self.in_flight = self.in_flight.checked_sub(1)?;
        let sent_at = self.sent_at[self.first];
        self.first += 1;
        if self.first == self.sent_at.len() {
            self.first = 0;
        }
        self.waiting_since = now;
        Some(sent_at)
    }

    /// Returns whether there are bytes to send, or the connection is still being established.
    pub(super) fn wants_to_write(&self) -> bool {
        self.unsent > 0 || !(self.connected || self.broken)
    }

    /// Sends as many of the unsent bytes as the socket takes. `requests` is one request of `length`
    /// bytes, repeated at least as often as the number of requests that may be in flight.
    pub(super) fn send(&mut self, requests: &[u8], length: usize) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        while self.unsent > 0 {
            let begun = (length - self.unsent % length) % length;
            match socket.write(&requests[begun..begun + self.unsent]) {
                Ok(n) => {
                    self.unsent -= n;
                    self.connected = true;
                }
                Err(error) if would_wait(&error) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The error is not returned, so that the responses received before the error are
                // read first.
                Err(_) if self.connected => {
                    (self.broken, self.unsent) = (true, 0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives once. Returns the number of bytes, 0 at end of file, or `None` if nothing can be
    /// received now.
    #[inline]
    pub(super) fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        match socket.read(into) {
            Ok(n) => Ok(Some(n)),
            Err(error)
                if would_wait(&error) || error.kind() == ErrorKind::Interrupted =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Fails if connecting has failed. The check is made only while there is nothing to send,
    /// because otherwise a write returns the same error.
    pub(super) fn check_connected(&mut self) -> io::Result<()> {
        if let Some(socket) = &self.socket
            && !self.connected
            && self.unsent == 0
        {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            self.connected = true;
        }
        Ok(())
    }
}

fn would_wait(error: &io::Error) -> bool {
    // On some systems reading a socket that is still connecting fails with ENOTCONN, so that error
    // also means that there is nothing to read yet.
    error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::NotConnected
}

/// The number of a connection, which determines its source address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    /// A connection that is kept for many requests; the value is the client's index.
    Kept(usize),
    /// A connection for one request; the value is the number of such connections opened so far. The
    /// connection's port stays in TIME_WAIT for a minute.
    OneShot(usize),
}

impl Number {
    /// Returns the loopback address to connect from, or `None` to let the kernel choose.
    fn address(self, to: SocketAddr) -> Option<Ipv4Addr> {
        let SocketAddr::V4(to) = to else { return None };
        let which = match self {
            Number::Kept(number) => number / CONNECTIONS_PER_ADDRESS,
            Number::OneShot(number) => number % SOURCE_ADDRESSES + 1,
        };
        // On Linux a client can have any address in 127.0.0.0/8: all are the local machine's.
        let many = cfg!(target_os = "linux") && to.ip().is_loopback();
        (many && which > 0)
            .then(|| Ipv4Addr::new(127, 1, 0, (which % SOURCE_ADDRESSES) as u8 + 1))
    }
}

/// Lets the kernel choose the source port in connect(2) instead of bind(2). Connections to
/// different destinations can then have the same source port (ip(7), IP_BIND_ADDRESS_NO_PORT).
#[cfg(target_os = "linux")]
fn bind_port_at_connect(socket: &Socket) -> nix::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)
}

#[cfg(not(target_os = "linux"))]
fn bind_port_at_connect(_: &Socket) -> nix::Result<()> {
    Ok(())
}
