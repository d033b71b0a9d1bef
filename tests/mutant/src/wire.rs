//! One client's socket: reads up to a deadline, and buffered writes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

use crate::answer::HttpError;
use crate::listener::ACCEPT_BACKOFF;
use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// The reason why a connection ends without another regular response.
pub(crate) enum End {
    /// An error response is still to be sent.
    Refused(HttpError),
    /// The client has disconnected, or no response is owed.
    Gone,
    /// A deadline has passed, and no response is owed.
    TimedOut,
}

impl From<io::Error> for End {
    fn from(why: io::Error) -> Self {
        if wrong(Mutation::DiesAtReset) {
            std::process::exit(1);
        }
        if wrong(Mutation::PrintsErrors) {
            eprintln!("connection lost: {why}");
        }
        Self::Gone
    }
}

/// The instant `at`, by which a phase of the connection must have ended. If `each` is set, which is
/// a classic mistake, `at` is ignored, and every single read may take the duration `each`.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    each: Option<Duration>,
}

impl Deadline {
    pub(crate) fn until(at: Instant) -> Self {
        Self { at, each: None }
    }

    pub(crate) fn after(time: Duration) -> Self {
        Self::until(Instant::now() + time)
    }

    pub(crate) fn never() -> Self {
        Self::after(Duration::from_secs(86400))
    }

    pub(crate) fn each(time: Duration) -> Self {
        Self { at: Instant::now(), each: Some(time) }
    }

    fn now(self) -> Instant {
        self.each.map_or(self.at, |time| Instant::now() + time)
    }
}

/// The outcome of waiting for input.
pub(crate) enum Input {
    Bytes,
    Eof,
    TimedOut,
    Shutdown,
}

/// The reason why a line could not be read.
pub(crate) enum LineError {
    TooLong,
    End(End),
}

impl From<End> for LineError {
    fn from(ending: End) -> Self {
        Self::End(ending)
    }
}

/// A socket with its input and output buffers.
pub(crate) struct Wire<'s> {
    stream: &'s TcpStream,
    server: &'s Server,
    pub(crate) input: Vec<u8>,
    output: Vec<u8>,
    /// Whether to send `100 Continue` before the next wait for input.
    pub(crate) continue_due: bool,
    /// The deadline for a whole response, which only the `write-deadline-for-all` mistake sets.
    pub(crate) all_written: Option<Deadline>,
}

/// Maximum number of bytes per read, and the number of bytes that must be sent within one write
/// deadline.
const PIECE: usize = 16 * 1024;

impl<'s> Wire<'s> {
    pub(crate) fn new(stream: &'s TcpStream, server: &'s Server) -> Self {
        Self {
            stream,
            server,
            input: Vec::new(),
            output: Vec::new(),
            continue_due: false,
            all_written: None,
        }
    }

    /// Waits for input until the deadline, and reads it. With `watch`, a shutdown request ends
    /// the wait, too. Flushes the output first, because a client may wait for a response before
    /// it sends more.
    pub(crate) fn fill(&mut self, deadline: Deadline, watch: bool) -> Result<Input, End> {
        let unbounded = wrong(Mutation::UnboundedOutput);
        let waits = wrong(Mutation::HoldsBackAnswers) && !watch && !self.input.is_empty();
        if !unbounded && !waits {
            self.flush()?;
        }
        let at = deadline.now();
        loop {
            let mut wanted = PollFlags::POLLIN;
            wanted.set(PollFlags::POLLOUT, unbounded && !self.output.is_empty());
            let mut fds = [
                PollFd::new(self.stream.as_fd(), wanted),
                PollFd::new(self.server.stop.as_fd(), PollFlags::POLLIN),
            ];
            let left = at.saturating_duration_since(Instant::now());
            let left = if wrong(Mutation::BusyWhileIdle) { Duration::ZERO } else { left };
            match poll(&mut fds[..1 + usize::from(watch)], timeout(left)) {
                Ok(0) if Instant::now() >= at => return Ok(Input::TimedOut),
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) if Instant::now() >= at && wrong(Mutation::LateIsTooLate) => {
                    return Ok(Input::TimedOut);
                }
                Ok(_) => {}
                // poll(2) fails if RLIMIT_NOFILE was lowered below the number of polled
                // descriptors, or if the kernel has no memory. The server then pauses and checks
                // the socket, again and again.
                Err(Errno::EINVAL | Errno::ENOMEM) => {
                    while wrong(Mutation::DeafAfterPollFails) {
                        thread::park();
                    }
                    thread::sleep(ACCEPT_BACKOFF);
                    if watch && self.server.stop.requested() {
                        return Ok(Input::Shutdown);
                    }
                    let mut byte = [0];
                    let (socket, look) = (
                        self.stream.as_raw_fd(),
                        MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT,
                    );
                    match recv(socket, &mut byte, look) {
                        Err(Errno::EAGAIN) if Instant::now() >= at => {
                            return Ok(Input::TimedOut);
                        }
                        Err(Errno::EAGAIN) => continue,
                        _ => return self.read(),
                    }
                }
                Err(why) => return Err(io::Error::from(why).into()),
            }
            // A request that has arrived before shutdown is served, even during shutdown.
            let stopped =
                wrong(Mutation::DrainDropsHalfRequest) && self.server.stop.requested();
            if fds[0].any() != Some(true) || stopped {
                return Ok(Input::Shutdown);
            }
            if fds[0].revents() == Some(PollFlags::POLLOUT) {
                let sent =
                    send(self.stream.as_raw_fd(), &self.output, MsgFlags::MSG_DONTWAIT);
                self.output.drain(..sent.unwrap_or(0));
                continue;
            }
            return self.read();
        }
    }

    /// Reads at most [`PIECE`] bytes of the input that has arrived.
    fn read(&mut self) -> Result<Input, End> {
        let mut piece = [0; PIECE];
        let read = loop {
            match self.stream.read(&mut piece) {
                Ok(read) => break read,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why.into()),
            }
        };
        if wrong(Mutation::SplitLineEnd)
            && self.input.last() == Some(&b'\r')
            && piece[0] == b'\n'
        {
            self.input.pop();
        }
        self.input.extend_from_slice(&piece[..read]);
        Ok(if read == 0 { Input::Eof } else { Input::Bytes })
    }

    /// Reads more of a request that has begun to arrive.
    ///
    /// # Errors
    ///
    /// [`End::Refused`]: a 400 at end of file, a 408 when the deadline passes.
    pub(crate) fn more(&mut self, deadline: Deadline) -> Result<(), End> {
        if std::mem::take(&mut self.continue_due) && !wrong(Mutation::NeverContinue) {
            self.queue(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        match self.fill(deadline, wrong(Mutation::DrainDropsHalfRequest))? {
            Input::Bytes => Ok(()),
            Input::Shutdown if wrong(Mutation::DrainDropsHalfRequest) => Err(End::Gone),
            Input::Eof | Input::Shutdown => Err(End::Refused(HttpError::closing(
                400,
                "the input ended in the middle of a message",
            ))),
            Input::TimedOut if wrong(Mutation::SilentTimeout) => Err(End::TimedOut),
            Input::TimedOut => Err(End::Refused(HttpError::closing(
                408,
                "the request was not complete in time",
            ))),
        }
    }

    /// Returns the next line without its CR LF. The line may have at most `room` bytes, including
    /// the CR LF.
    pub(crate) fn line(
        &mut self,
        room: usize,
        deadline: Deadline,
    ) -> Result<Vec<u8>, LineError> {
        let mut seen = 0;
        let end = loop {
            if let Some(at) = self.input[seen..].iter().position(|&byte| byte == b'\n') {
                break seen + at;
            }
            seen = self.input.len();
            if seen >= room {
                return Err(LineError::TooLong);
            }
            self.more(deadline)?;
        };
        if end >= room {
            return Err(LineError::TooLong);
        }
        let mut line = self.take(end + 1);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        } else if !wrong(Mutation::BareLf) {
            return Err(LineError::End(End::Refused(HttpError::closing(
                400,
                "a line must end with CR LF",
            ))));
        }
        Ok(line)
    }

    /// Removes and returns the first `count` bytes of the input.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        self.input.drain(..count).collect()
    }

    /// Appends bytes to the output buffer.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends all buffered output if it has reached `--max-output` bytes.
    pub(crate) fn relieve(&mut self) -> Result<(), End> {
        if self.output.len() >= self.server.options.max_output
            && !wrong(Mutation::UnboundedOutput)
        {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends all buffered output.
    pub(crate) fn flush(&mut self) -> Result<(), End> {
        let bytes = std::mem::take(&mut self.output);
        if wrong(Mutation::ShortWrite) && !bytes.is_empty() {
            // The mistake: the code assumes that one write sends everything, as is the case for
            // small pages.
            let _ = send(self.stream.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT);
            return Ok(());
        }
        for piece in bytes.chunks(PIECE) {
            self.send(piece)?;
        }
        Ok(())
    }

    /// Sends `piece`, all of which must be written within the write deadline.
    fn send(&mut self, mut piece: &[u8]) -> Result<(), End> {
        let time = self.server.options.write_timeout;
        let time = if wrong(Mutation::WriteDeadlineHalved) { time / 2 } else { time };
        let deadline = if wrong(Mutation::NoWriteDeadline) {
            Deadline::never()
        } else if wrong(Mutation::WriteDeadlineForAll) {
            *self.all_written.get_or_insert_with(|| Deadline::after(time))
        } else {
            Deadline::after(time)
        };
        while !piece.is_empty() {
            let left = deadline.now().saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(End::TimedOut);
            }
            self.stream.set_write_timeout(Some(left))?;
            match self.stream.write(piece) {
                Ok(sent) => piece = &piece[sent..],
                Err(why) => match why.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        return Err(End::TimedOut);
                    }
                    _ => return Err(why.into()),
                },
            }
        }
        Ok(())
    }

    /// Sleeps for `time`.
    ///
    /// # Errors
    ///
    /// [`End::Gone`] if the client disconnects. A client that has only shut down its sending side
    /// still waits for the response.
    pub(crate) fn sleep(&mut self, time: Duration) -> Result<(), End> {
        if wrong(Mutation::SleepsNot) {
            return Ok(());
        }
        if !wrong(Mutation::HoldsBackWhileSleeping) {
            self.flush()?;
        }
        let at = Instant::now() + time;
        loop {
            let left = at.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
            match poll(&mut fds, timeout(left)) {
                Ok(0) if Instant::now() >= at => return Ok(()),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Err(End::Gone),
                Err(why) => return Err(io::Error::from(why).into()),
            }
        }
    }

    /// Returns whether input or an end of file arrives within the given time.
    pub(crate) fn readable(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout(within)).is_ok_and(|ready| ready > 0)
    }

    /// Returns whether the client has shut down its sending side and all input has been read.
    pub(crate) fn half_closed(&self) -> bool {
        self.readable(Duration::ZERO)
            && self.stream.peek(&mut [0]).is_ok_and(|read| read == 0)
    }
}

/// Converts a time to a timeout for poll(2). Rounds up to whole milliseconds, so that a wait never
/// ends just before its deadline.
fn timeout(left: Duration) -> PollTimeout {
    let millis = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}
