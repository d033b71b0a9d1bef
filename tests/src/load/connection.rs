//! One client's connection: what it has asked, what it still has to send, and where in
//! its answers it is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::answers::Answers;

/// Connections from one address of ours: connecting is slow where most ports are taken.
const EACH_ADDRESS: usize = 4096;
/// Addresses that we may connect from.
const ADDRESSES: usize = 250;

/// A client's place, with a connection or without.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Option<TcpStream>,
    /// Something could be written: there is somebody at the other end.
    pub connected: bool,
    /// Writing is over, but what was received before may still be read.
    pub broken: bool,
    /// It had a good answer.
    pub served: bool,
    /// When it asked what has not been answered: a ring of as many as it may ask.
    asked: Box<[u64]>,
    first: usize,
    under_way: usize,
    /// When the last answer came, or if there was nothing to answer, the last request went.
    waiting_since: u64,
    /// Bytes of the last requests that are not sent yet.
    pub unsent: usize,
    /// It is watched for writing, too.
    pub watched_for_writing: bool,
    pub answers: Answers,
}

impl Connection {
    /// A place for a connection with so many requests under way.
    pub(super) fn new(depth: usize) -> Connection {
        Connection {
            socket: None,
            connected: false,
            broken: false,
            served: false,
            asked: vec![0; depth].into(),
            first: 0,
            under_way: 0,
            waiting_since: 0,
            unsent: 0,
            watched_for_writing: false,
            answers: Answers::default(),
        }
    }

    /// Connects, without waiting until it is. `number` counts all connections.
    pub(super) fn open(&mut self, to: SocketAddr, number: Number) -> io::Result<()> {
        let socket =
            Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = number.address(to) {
            let _ = choose_port_late(&socket); // or connecting is slower
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
        self.answers = Answers::default();
        Ok(())
    }

    /// Closes it. What was under way is lost: so many.
    pub(super) fn close(&mut self) -> usize {
        self.socket = None;
        std::mem::take(&mut self.under_way)
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// The descriptor, and whether it is watched for writing.
    pub(super) fn watched(&self) -> Option<(BorrowedFd<'_>, bool)> {
        Some((self.socket.as_ref()?.as_fd(), self.watched_for_writing))
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Since when it has been waiting for an answer, if it is.
    pub(super) fn waits_since(&self) -> Option<u64> {
        (self.under_way > 0).then_some(self.waiting_since)
    }

    /// One more request is under way, as if asked at `when`: `length` bytes are to be sent.
    #[inline]
    pub(super) fn ask(&mut self, when: u64, now: u64, length: usize) {
        let mut at = self.first + self.under_way;
        if at >= self.asked.len() {
            at -= self.asked.len();
        }
        self.asked[at] = when;
        if self.under_way == 0 {
            self.waiting_since = now;
        }
        self.under_way += 1;
        self.unsent += length;
    }

    /// The oldest is answered; when it was asked. Nothing if none was.
    #[inline]
    pub(super) fn answered(&mut self, now: u64) -> Option<u64> {
        self.under_way = self.under_way.checked_sub(1)?;
        let asked = self.asked[self.first];
        self.first += 1;
        if self.first == self.asked.len() {
            self.first = 0;
        }
        self.waiting_since = now;
        Some(asked)
    }

    /// It has more to send, or does not know whether it is connected.
    pub(super) fn wants_to_write(&self) -> bool {
        self.unsent > 0 || !(self.connected || self.broken)
    }

    /// Sends what is to be sent, as far as that goes without waiting. `requests` is
    /// the same request, as often as there may be any under way.
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
                // What was answered before is read first.
                Err(_) if self.connected => {
                    (self.broken, self.unsent) = (true, 0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives once; nothing where it would have to wait.
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

    /// Finds out whether connecting has succeeded. Only who has nothing to send needs that.
    pub(super) fn look(&mut self) -> io::Result<()> {
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
    // A socket that is not connected yet cannot be read from, on some systems.
    error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::NotConnected
}

/// A connection's number: where it comes from depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    /// Of those that stay.
    Staying(usize),
    /// Of those that come and go. Their ports rest for a minute (TIME_WAIT).
    Passing(usize),
}

impl Number {
    /// One of our own addresses, where there are several and one has too few ports.
    fn address(self, to: SocketAddr) -> Option<Ipv4Addr> {
        let SocketAddr::V4(to) = to else { return None };
        let which = match self {
            Number::Staying(number) => number / EACH_ADDRESS,
            Number::Passing(number) => number % ADDRESSES + 1,
        };
        // On Linux all of 127.0.0.0/8 is this machine.
        let many = cfg!(target_os = "linux") && to.ip().is_loopback();
        (many && which > 0)
            .then(|| Ipv4Addr::new(127, 1, 0, (which % ADDRESSES) as u8 + 1))
    }
}

/// The port is chosen with the connection, not before: then two connections to different
/// places may have the same one (ip(7)).
#[cfg(target_os = "linux")]
fn choose_port_late(socket: &Socket) -> nix::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)
}

#[cfg(not(target_os = "linux"))]
fn choose_port_late(_: &Socket) -> nix::Result<()> {
    Ok(())
}
