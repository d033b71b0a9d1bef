//! A connection as `serve` sees it: the operations that can wait.
//!
//! [`Transport`] moves bytes; later chapters use it on non-blocking sockets. [`Stream`]
//! adds the waits, and chapter 1's [`serve`](crate::serve()) is written against
//! `Stream`. [`Blocking`] implements `Stream` by blocking the thread. Chapter 6
//! implements `Stream` by parking a coroutine, and `serve` stays the same.

use crate::deadlines::{Describe, Progress, Timeouts, WRITE_STEP, Wait};
use crate::http::{BodyStream, Inbox};
use crate::server::connections::ConnectionGuard;
use crate::server::sys;
use crate::server::trace::trace;
use crate::server::uninterrupted::uninterrupted;
#[cfg(target_os = "linux")]
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

// ANCHOR: stream
/// Moves the bytes of one connection. Depending on the socket's mode, a call that
/// cannot make progress blocks, or fails with [`ErrorKind::WouldBlock`]. No method
/// fails with [`ErrorKind::Interrupted`].
pub trait Transport: Write {
    /// Receives bytes into `inbox`. Returns their number; 0 means end of file.
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize>;

    /// Sends at most `len` bytes of a file from offset `at`, without a copy through
    /// user space where the system supports that. Returns the number of bytes sent; 0
    /// means that the file has no byte at `at`.
    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize>;

    /// Shuts down the sending side: the client reads an end of file after the bytes
    /// already sent.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Returns the number of bytes that were sent and that the client has not
    /// acknowledged.
    fn unacked_bytes(&self) -> usize;

    /// Waits for the next piece of a streamed body, and appends it to `_content`; an
    /// empty piece means the end. Only chapter 6 can wait for the client and the source
    /// at once. By default `more` fails with [`ErrorKind::Unsupported`], and the
    /// connection is closed after the answer's head.
    fn more(
        &mut self,
        _source: &mut dyn BodyStream,
        _content: &mut Vec<u8>,
    ) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// A connection whose operations may all wait. An operation that has waited too long
/// fails with [`ErrorKind::TimedOut`]; a `fill` or `sleep` that the stop cuts off fails
/// with [`ErrorKind::ConnectionAborted`].
pub trait Stream: Transport {
    /// Sets what the next [`fill`](Transport::fill) waits for. The time until its
    /// deadline starts when the kind of wait changes, and runs on while the kind stays
    /// the same.
    fn deadline(&mut self, wait: Wait);

    /// Waits for `time`, the delay before an answer is sent (`/sleep`). Fails with
    /// [`ErrorKind::ConnectionReset`] if the stream notices that the client has closed.
    fn sleep(&mut self, time: Duration) -> io::Result<()>;
}

// ANCHOR_END: stream

/// A stream that blocks its thread, over a blocking socket.
///
/// The kernel enforces the deadlines, by SO_RCVTIMEO and SO_SNDTIMEO (socket(7)). These
/// options limit each call separately, so if one [`Wait`] takes several reads, the
/// remaining time is set before each read: one more system call, but only for a client
/// that sends in pieces. A request that arrives in one piece costs one read and one
/// write.
#[derive(Debug)]
pub struct Blocking<'a> {
    guard: &'a ConnectionGuard<'a>,
    timeouts: &'a Timeouts,
    wait: Wait,
    began: Instant,
    /// The current value of the socket's option SO_RCVTIMEO.
    receive_within: Duration,
    /// The measurement of how many bytes the client takes while a write blocks.
    progress: Progress,
}

impl<'a> Blocking<'a> {
    /// Returns a stream for an accepted connection, which waits for its first request.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn new(
        guard: &'a ConnectionGuard<'a>,
        timeouts: &'a Timeouts,
    ) -> io::Result<Blocking<'a>> {
        guard.entry.socket.set_read_timeout(Some(timeouts.idle))?;
        guard.entry.socket.set_write_timeout(Some(timeouts.check_interval()))?;
        Ok(Blocking {
            guard,
            timeouts,
            wait: Wait::Idle,
            began: Instant::now(),
            receive_within: timeouts.idle,
            progress: Progress::default(),
        })
    }

    // ANCHOR: arm
    /// Makes the kernel end the next read at the deadline of the current [`Wait`].
    /// Returns the time that is left, which is zero when the deadline has passed.
    fn arm_read_timeout(&mut self) -> io::Result<Duration> {
        let within = match self.wait {
            // `serve` sets `Wait::Idle` immediately before the read, so the whole
            // timeout is left.
            Wait::Idle => self.timeouts.idle,
            wait => self
                .timeouts
                .due(wait, self.began)
                .saturating_duration_since(Instant::now()),
        };
        // The handler of the stop signal may have changed the socket's timeout: see
        // `sys::run_connection_child`.
        if !within.is_zero()
            && (within != self.receive_within || self.guard.connections.is_draining())
        {
            self.guard.entry.socket.set_read_timeout(Some(within))?;
            self.receive_within = within;
        }
        Ok(within)
    }
    // ANCHOR_END: arm

    fn too_late(&self) -> io::Error {
        trace!("timeout", "{}", Describe(self.wait, Duration::ZERO));
        ErrorKind::TimedOut.into()
    }

    /// Calls `write`, which writes at most `most` bytes, and returns the number of
    /// bytes written. Blocks until the kernel has accepted at least one byte, or until
    /// the write deadline. Returns 0 if `write` sends a file that has ended.
    fn write_with(
        &mut self,
        most: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            // A write of more than `WRITE_STEP` bytes may block, so the measurement of
            // progress starts before it. That costs one more system call, which is
            // little compared with the write. For a shorter write the measurement
            // starts only if the write has blocked for one check interval.
            if most > WRITE_STEP {
                let socket = self.guard.entry.socket.as_fd();
                self.progress.begin(|| sys::unacked_bytes(socket));
            }
            let began = Instant::now();
            match write(&self.guard.entry.socket) {
                Ok(0) => return Ok(0), // the file ends here
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                wrote => match self.written(wrote, most, began)? {
                    0 => {}
                    wrote => return Ok(wrote),
                },
            }
        }
    }

    /// Evaluates `wrote`, the result of a write of `of` bytes that began at `began`.
    /// Returns the number of bytes written, or `TimedOut` if the client has taken too
    /// little for a whole write deadline.
    ///
    /// A blocking write of fewer than `of` bytes was ended by SO_SNDTIMEO, which is set
    /// to the interval between two checks. Only then is [`Progress`] consulted.
    fn written(
        &mut self,
        wrote: io::Result<usize>,
        of: usize,
        began: Instant,
    ) -> io::Result<usize> {
        let wrote = match wrote {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            wrote => wrote?,
        };
        if wrote > 0 {
            trace!("write", "{wrote} bytes");
        }
        if wrote == of || began.elapsed() < self.timeouts.check_interval() {
            self.progress = Progress::default();
            return Ok(wrote);
        }
        trace!("wait", "for the client to acknowledge what is sent");
        self.progress.wrote(wrote);
        if self.progress.is_enough(self.unacked_bytes()) {
            Ok(wrote)
        } else {
            Err(ErrorKind::TimedOut.into())
        }
    }
}

impl Transport for Blocking<'_> {
    // ANCHOR: fill
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        loop {
            // The read timeout is set before `idle`: once `idle` is set, the handler of
            // the stop signal may change the timeout.
            let within = self.arm_read_timeout()?;
            let (entry, idle) = (&self.guard.entry, self.wait == Wait::Idle);
            // This thread first sets `idle`, then checks whether the server drains;
            // `Connections::drain` first sets `draining`, then reads `idle`. So at
            // least one of the two threads sees the flag that the other has set.
            entry.idle.store(idle, SeqCst);
            if idle && self.guard.connections.is_draining() {
                entry.idle.store(false, SeqCst);
                if entry.no_pending_input() {
                    return Ok(0); // as if the client had closed
                }
            }
            // The deadline may have passed while this process was stopped or had no
            // processor, which is not the client's fault. So bytes that have arrived
            // are read even after the deadline, but without waiting.
            let received = if within.is_zero() {
                sys::read_now(&entry.socket, inbox.space())
            } else {
                trace!("wait", "{}", Describe(self.wait, within));
                (&entry.socket).read(inbox.space())
            };
            entry.idle.store(false, SeqCst);
            match received {
                // The server shut the socket down in the middle of a request. The
                // client did not cut the request off, so 400 would be wrong; a client
                // without an answer may retry (RFC 9112 section 9.3.1).
                Ok(0) if !idle && entry.closed_by_server.load(SeqCst) => {
                    return Err(ErrorKind::ConnectionAborted.into());
                }
                Ok(n) => {
                    entry.count(n); // after clearing `idle`: see `Entry::count`
                    trace!(
                        "read",
                        "{}",
                        if n > 0 { format!("{n} bytes") } else { "the end".into() }
                    );
                    inbox.received(n);
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut
                    ) =>
                {
                    if !(idle && self.guard.connections.is_draining()) {
                        return Err(self.too_late());
                    }
                    // The stop, not the deadline, has ended this read: try once more.
                }
                Err(error) => return Err(error),
            }
        }
    }
    // ANCHOR_END: fill

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        // One call sends at most 64 KiB: the kernel works in pieces of that size, and
        // SO_SNDTIMEO applies to each piece.
        let len = len.min(64 * 1024) as usize;
        self.write_with(len, |socket| send_file(socket, file, at, len))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.guard.entry.socket.shutdown(Shutdown::Write)
    }

    fn unacked_bytes(&self) -> usize {
        sys::unacked_bytes(self.guard.entry.socket.as_fd())
    }
}

impl Stream for Blocking<'_> {
    // ANCHOR: deadline
    fn deadline(&mut self, wait: Wait) {
        if std::mem::discriminant(&wait) != std::mem::discriminant(&self.wait)
            && wait != Wait::Idle
        {
            self.began = Instant::now();
        }
        self.wait = wait;
    }
    // ANCHOR_END: deadline

    fn sleep(&mut self, time: Duration) -> io::Result<()> {
        trace!("sleep", "{} ms, and the thread with it", time.as_millis());
        self.guard.connections.sleep(time)
    }
}

impl Write for Blocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The Rust runtime ignores SIGPIPE, so a write to a closed connection is an error
        // (EPIPE) and not a signal that kills the process (send(2)).
        self.write_with(bytes.len(), |mut socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends at most `len` bytes of a file from offset `at` with sendfile(2): the kernel
/// itself moves the pages to the socket. Returns the number of bytes sent.
///
/// # Errors
///
/// Those of sendfile(2). No error is returned if sendfile(2) does not support the file,
/// or is forbidden by a sandbox: then the bytes are copied through a buffer.
#[cfg(target_os = "linux")]
pub fn send_file(
    socket: &impl AsFd,
    file: &File,
    at: u64,
    len: usize,
) -> io::Result<usize> {
    let mut from = at.try_into().map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    // One call sends at most 1 MiB: more would delay the other connections of an event
    // loop, which all share one thread.
    match nix::sys::sendfile::sendfile64(socket, file, Some(&mut from), len.min(1 << 20))
    {
        // The file is copied, because the file system does not support sendfile(2) or a
        // sandbox does not allow the call.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM) => {
            copy_file(socket, file, at, len)
        }
        sent => Ok(sent?),
    }
}

/// Sends at most `len` bytes of a file from offset `at`, and returns the number of
/// bytes sent. The bytes are copied through a buffer, because only Linux has the
/// sendfile(2) that the other version of this function calls.
#[cfg(not(target_os = "linux"))]
pub fn send_file(
    socket: &impl AsFd,
    file: &File,
    at: u64,
    len: usize,
) -> io::Result<usize> {
    copy_file(socket, file, at, len)
}

/// Sends at most `len` bytes of a file from offset `at` through a buffer, which is slower
/// and always works. Returns the number of bytes sent. The buffer is on the heap, because a
/// coroutine's stack is small.
#[cold]
fn copy_file(socket: &impl AsFd, file: &File, at: u64, len: usize) -> io::Result<usize> {
    let mut bytes = vec![0; len.min(WRITE_STEP)];
    let read = uninterrupted(|| file.read_at(&mut bytes, at))?;
    Ok(send(socket.as_fd().as_raw_fd(), &bytes[..read], MsgFlags::empty())?)
}
