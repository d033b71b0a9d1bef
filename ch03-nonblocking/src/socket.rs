//! A connection whose calls never wait, and a turn with it: a bounded share.

use ch01_blocking::http::Inbox;
use ch01_blocking::server::sys;
use ch01_blocking::server::trace::trace;
use ch01_blocking::stream::{self, Transport, uninterrupted};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// A non-blocking socket: what would have to wait fails with [`ErrorKind::WouldBlock`].
#[derive(Debug)]
pub struct Socket(pub TcpStream);

impl Transport for Socket {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let n = uninterrupted(|| self.0.read(inbox.space()))?;
        inbox.received(n);
        Ok(n)
    }

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        uninterrupted(|| stream::send_file(&self.0, file, at, len))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn unacked_bytes(&self) -> usize {
        sys::unacked_bytes(self.0.as_fd())
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

// ANCHOR: share
/// In one turn a connection may move so many bytes; then it is the others' turn.
/// Without this bound, one client that reads as fast as we write would have the loop
/// to itself for a gigabyte.
pub const SHARE: usize = 256 * 1024;
// ANCHOR_END: share

/// What is left of a connection's share, and what became of the rest.
#[derive(Debug)]
pub struct Share {
    left: usize,
    /// Bytes sent in this turn.
    pub wrote: usize,
    /// Whether anything was sent or received in this turn.
    pub moved: bool,
}

impl Share {
    /// For a whole turn, so many bytes.
    pub fn new(bytes: usize) -> Share {
        Share { left: bytes, wrote: 0, moved: false }
    }

    /// Whether the turn is over.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Moves at most so many bytes as are left, and counts them.
    /// `WouldBlock` if there are none;
    /// any other error is that of `moves`.
    pub fn take(
        &mut self,
        moves: impl FnOnce(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = moves(self.left)?;
        self.left = self.left.saturating_sub(n);
        self.moved = true;
        Ok(n)
    }

    fn send(
        &mut self,
        moves: impl FnOnce(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let n = self.take(moves)?;
        self.wrote += n;
        trace!("write", "{n} bytes");
        Ok(n)
    }
}

/// A connection's turn: when its share is used up, every call would have to wait.
#[derive(Debug)]
pub struct Turn<'t, T>(pub &'t mut T, pub &'t mut Share);

impl<T: Transport> Transport for Turn<'_, T> {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let n = self.1.take(|_| self.0.fill(inbox))?;
        trace!("read", "{}", if n > 0 { format!("{n} bytes") } else { "the end".into() });
        Ok(n)
    }

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.1.send(|left| self.0.send_file(file, at, len.min(left as u64)))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    fn unacked_bytes(&self) -> usize {
        self.0.unacked_bytes()
    }
}

impl<T: Transport> Write for Turn<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.send(|_| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
