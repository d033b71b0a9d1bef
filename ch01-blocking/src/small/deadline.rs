// ANCHOR: deadline
//! A deadline for a whole request.
//!
//! Left out are separate deadlines for head and content, and a minimum rate for a
//! client that takes its answer in tiny pieces.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The longest time for which a connection may be idle between two requests.
pub const IDLE_TIME: Duration = Duration::from_secs(60);

/// The longest time for a client to send a request, from its first byte to its last,
/// and the longest time for which one write of an answer may block.
pub const TIME: Duration = Duration::from_secs(10);

/// A blocking socket with deadlines. The first read after a write may take
/// [`IDLE_TIME`]. All further reads together have one deadline, [`TIME`] after the
/// first: a client gains nothing by sending a byte now and then.
#[derive(Debug)]
pub struct DeadlineStream<'s> {
    socket: &'s TcpStream,
    deadline: Option<Instant>,
}

impl<'s> DeadlineStream<'s> {
    /// Returns a stream over a socket, and sets the socket's write timeout.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn new(socket: &'s TcpStream) -> io::Result<DeadlineStream<'s>> {
        socket.set_write_timeout(Some(TIME))?;
        socket.set_nodelay(true)?; // an answer is one write: there is nothing to gather
        Ok(DeadlineStream { socket, deadline: None })
    }
}

impl Read for DeadlineStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let now = Instant::now();
        let deadline = self.deadline.unwrap_or(now + IDLE_TIME);
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        // The kernel reports a timeout with the error EAGAIN, as it does when a read
        // from a non-blocking socket would block (socket(7)).
        let n = self.socket.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })?;
        self.deadline.get_or_insert(Instant::now() + TIME);
        Ok(n)
    }
}

impl Write for DeadlineStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.deadline = None; // the next read sets a new deadline
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
// ANCHOR_END: deadline
