//! One client's socket: bytes in until a deadline, bytes out without losing any.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

use crate::answer::Refusal;
use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// Why a connection ends before its next answer.
pub(crate) enum Ending {
    /// With a refusal, which is still to be sent.
    Refused(Refusal),
    /// The client has gone, or there is nothing to say to it.
    Gone,
    /// A deadline passed, and there is nothing to say.
    Late,
}

impl From<io::Error> for Ending {
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

/// Until when a phase may last. `each` is the classic mistake: the time begins
/// again with every byte.
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

/// What waiting for input brought.
pub(crate) enum Came {
    Bytes,
    End,
    Late,
    Stop,
}

/// How a line could not be had.
pub(crate) enum NoLine {
    TooLong,
    Ending(Ending),
}

impl From<Ending> for NoLine {
    fn from(ending: Ending) -> Self {
        Self::Ending(ending)
    }
}

/// The socket with what has come and what has still to go.
pub(crate) struct Wire<'s> {
    stream: &'s TcpStream,
    server: &'s Server,
    pub(crate) input: Vec<u8>,
    output: Vec<u8>,
    /// `100 Continue` is owed as soon as we would have to wait.
    pub(crate) continue_due: bool,
    /// For the mistake of bounding a whole answer's time.
    pub(crate) all_written: Option<Deadline>,
}

/// How much is read at once, and how much must leave within the write deadline.
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

    /// Waits for input. Whatever is owed to the client goes first: it may be
    /// waiting for that before it sends.
    pub(crate) fn fill(
        &mut self,
        deadline: Deadline,
        watch: bool,
    ) -> Result<Came, Ending> {
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
                Ok(0) if Instant::now() >= at => return Ok(Came::Late),
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(why) => return Err(io::Error::from(why).into()),
            }
            // A request that is there is begun, even if we are to stop.
            let stopped =
                wrong(Mutation::DrainDropsHalfRequest) && self.server.stop.asked();
            if fds[0].any() != Some(true) || stopped {
                return Ok(Came::Stop);
            }
            if fds[0].revents() == Some(PollFlags::POLLOUT) {
                let sent =
                    send(self.stream.as_raw_fd(), &self.output, MsgFlags::MSG_DONTWAIT);
                self.output.drain(..sent.unwrap_or(0));
                continue;
            }
            let mut piece = [0; PIECE];
            let came = match self.stream.read(&mut piece) {
                Ok(came) => came,
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return Err(why.into()),
            };
            if wrong(Mutation::SplitLineEnd)
                && self.input.last() == Some(&b'\r')
                && piece[0] == b'\n'
            {
                self.input.pop();
            }
            self.input.extend_from_slice(&piece[..came]);
            return Ok(if came == 0 { Came::End } else { Came::Bytes });
        }
    }

    /// More of a message that has begun, or the refusal that its absence deserves.
    pub(crate) fn more(&mut self, deadline: Deadline) -> Result<(), Ending> {
        if std::mem::take(&mut self.continue_due) && !wrong(Mutation::NeverContinue) {
            self.queue(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        match self.fill(deadline, wrong(Mutation::DrainDropsHalfRequest))? {
            Came::Bytes => Ok(()),
            Came::Stop if wrong(Mutation::DrainDropsHalfRequest) => Err(Ending::Gone),
            Came::End | Came::Stop => Err(Ending::Refused(Refusal::closing(
                400,
                "the input ended in the middle of a message",
            ))),
            Came::Late if wrong(Mutation::SilentTimeout) => Err(Ending::Late),
            Came::Late => Err(Ending::Refused(Refusal::closing(
                408,
                "the request was not complete in time",
            ))),
        }
    }

    /// The next line, without its end, of at most `room` bytes with its end.
    pub(crate) fn line(
        &mut self,
        room: usize,
        deadline: Deadline,
    ) -> Result<Vec<u8>, NoLine> {
        let mut seen = 0;
        let end = loop {
            if let Some(at) = self.input[seen..].iter().position(|&byte| byte == b'\n') {
                break seen + at;
            }
            seen = self.input.len();
            if seen >= room {
                return Err(NoLine::TooLong);
            }
            self.more(deadline)?;
        };
        if end >= room {
            return Err(NoLine::TooLong);
        }
        let mut line = self.take(end + 1);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        } else if !wrong(Mutation::BareLf) {
            return Err(NoLine::Ending(Ending::Refused(Refusal::closing(
                400,
                "a line must end with CR LF",
            ))));
        }
        Ok(line)
    }

    /// The first `count` bytes of the input.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        self.input.drain(..count).collect()
    }

    /// Owes the client these bytes.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Pays some of it, if much is owed.
    pub(crate) fn relieve(&mut self) -> Result<(), Ending> {
        if self.output.len() >= self.server.options.max_output
            && !wrong(Mutation::UnboundedOutput)
        {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends everything that is owed.
    pub(crate) fn flush(&mut self) -> Result<(), Ending> {
        let bytes = std::mem::take(&mut self.output);
        if wrong(Mutation::ShortWrite) && !bytes.is_empty() {
            // "It went out", believes the programmer who tried with small pages.
            let _ = send(self.stream.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT);
            return Ok(());
        }
        for piece in bytes.chunks(PIECE) {
            self.send(piece)?;
        }
        Ok(())
    }

    /// One piece, which must leave within the write deadline.
    fn send(&mut self, mut piece: &[u8]) -> Result<(), Ending> {
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
                return Err(Ending::Late);
            }
            self.stream.set_write_timeout(Some(left))?;
            match self.stream.write(piece) {
                Ok(sent) => piece = &piece[sent..],
                Err(why) => match why.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        return Err(Ending::Late);
                    }
                    _ => return Err(why.into()),
                },
            }
        }
        Ok(())
    }

    /// Sleeps, unless the client goes away altogether; a client that has only
    /// closed its sending side still waits.
    pub(crate) fn sleep(&mut self, time: Duration) -> Result<(), Ending> {
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
                Ok(_) => return Err(Ending::Gone),
                Err(why) => return Err(io::Error::from(why).into()),
            }
        }
    }

    /// Is there something to read, or the end of it?
    pub(crate) fn readable(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout(within)).is_ok_and(|ready| ready > 0)
    }

    /// Has the client closed its sending side, with nothing left to read?
    pub(crate) fn half_closed(&self) -> bool {
        self.readable(Duration::ZERO)
            && self.stream.peek(&mut [0]).is_ok_and(|came| came == 0)
    }
}

/// Rounded up, so that a deadline is never asked about just before it.
fn timeout(left: Duration) -> PollTimeout {
    let millis = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}
