//! The transport of a non-blocking connection, and the limit on the bytes that a
//! connection moves in one turn (a call to
//! [`Connection::advance`](crate::connection::Connection::advance)).
//!
//! ```
//! use ch03_nonblocking::socket::IoBudget;
//!
//! let mut budget = IoBudget::new(10);
//! assert_eq!(budget.take(|left| Ok(left.min(7)))?, 7);
//! assert_eq!(budget.take(|left| Ok(left.min(7)))?, 3);
//! assert!(budget.is_used_up() && budget.take(Ok).is_err());
//! # std::io::Result::Ok(())
//! ```

use ch01_blocking::http::Inbox;
use ch01_blocking::server::sys;
use ch01_blocking::server::trace::trace;
use ch01_blocking::server::uninterrupted::uninterrupted;
use ch01_blocking::stream::{self, Transport};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// A non-blocking socket: a call that would block fails with [`ErrorKind::WouldBlock`].
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

// ANCHOR: io_budget
/// The number of bytes after which a connection's turn ends, and the loop serves the
/// other connections. The last read or write of the turn may exceed this number.
///
/// Without this limit, one client that reads as fast as the server writes would keep
/// the loop to itself for a whole file of a gigabyte. The limit bounds pipelined
/// requests too, because it includes the bytes of their answers.
pub const IO_BUDGET: usize = 256 * 1024;
// ANCHOR_END: io_budget

// ANCHOR: turn
/// The number of bytes that a connection may still move in its turn, and a record of
/// the bytes moved.
#[derive(Debug)]
pub struct IoBudget {
    left: usize,
    /// Bytes sent in this turn.
    pub wrote: usize,
    /// Whether anything was sent or received in this turn.
    pub moved: bool,
}

impl IoBudget {
    /// Returns the budget of a new turn, in which `bytes` bytes may be moved.
    pub fn new(bytes: usize) -> IoBudget {
        IoBudget { left: bytes, wrote: 0, moved: false }
    }

    /// Returns whether the budget is used up, so that the turn ends.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Calls `moves` with the number of bytes left in the budget, subtracts the number
    /// of bytes that `moves` returns, and returns that number.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the budget is used up; otherwise the error of `moves`.
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

    /// Does what [`take`](IoBudget::take) does, and counts the moved bytes as sent.
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
// ANCHOR_END: turn

/// A transport with an [`IoBudget`]: when the budget is used up, reads and writes fail
/// with [`ErrorKind::WouldBlock`]. Only `send_file` is cut to the bytes left in the
/// budget, so the last read or write of a turn may exceed it.
#[derive(Debug)]
pub struct BudgetedIo<'t, T>(pub &'t mut T, pub &'t mut IoBudget);

impl<T: Transport> Transport for BudgetedIo<'_, T> {
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

impl<T: Transport> Write for BudgetedIo<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.send(|_| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
