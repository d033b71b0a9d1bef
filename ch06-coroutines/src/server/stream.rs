//! The streams of active connections. [`ActiveConnection`], which both servers use, moves bytes
//! without waiting and computes deadlines; [`ParkingStream`] adds the waits for chapter 1's
//! `serve`. Where [`Blocking`](ch01_blocking::stream::Blocking) blocks its thread,
//! [`ParkingStream`] parks its coroutine, and `serve` runs unchanged.

use super::Connection;
use crate::runtime::{Readiness, Woken};
use ch01_blocking::deadlines::{Describe, Progress, Wait, later};
use ch01_blocking::http::{BodyStream, Inbox, NextPiece};
use ch01_blocking::server::trace::trace;
use ch01_blocking::server::uninterrupted::uninterrupted;
use ch01_blocking::stream::{Stream, Transport};
use ch03_nonblocking::socket::{BudgetedIo, IO_BUDGET, IoBudget, Socket};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// A connection that is being served by a task. Its methods never wait.
pub(crate) struct ActiveConnection {
    pub(super) connection: Connection,
    wait: Wait,
    /// The time at which the current wait, whose kind is `wait`, began.
    began: Instant,
    /// The measure of how fast the client takes the sent bytes.
    progress: Progress,
    /// The time at which to check `progress` next; `None` while there is room to write.
    next_check: Option<Instant>,
    /// The number of bytes that may still be moved before other tasks run.
    pub(super) budget: IoBudget,
    /// Whether the client was found to have shut down its sending side. The server then sends one
    /// heartbeat, to find out whether the client still reads.
    peer_half_closed: bool,
}

/// The result of an attempt to read.
pub(crate) enum ReadAttempt {
    /// The number of bytes received; 0 means end of file.
    Received(usize),
    /// Nothing has arrived: the caller has to wait for bytes, at most until this deadline.
    Wait(Instant),
}

impl ActiveConnection {
    pub(super) fn new(connection: Connection) -> ActiveConnection {
        ActiveConnection {
            began: connection.server.handle.now(),
            connection,
            wait: Wait::Idle,
            progress: Progress::default(),
            next_check: None,
            budget: IoBudget::new(IO_BUDGET),
            peer_half_closed: false,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.connection.server.handle.now()
    }

    /// Sets what the next [`try_fill`](ActiveConnection::try_fill) waits for, which determines the
    /// deadline.
    pub(super) fn deadline(&mut self, wait: Wait) {
        self.all_sent();
        if discriminant(&wait) != discriminant(&self.wait) && wait != Wait::Idle {
            self.began = Instant::now();
        }
        self.wait = wait;
    }

    // ANCHOR: try_fill
    /// Reads into the inbox if the socket may be readable. If the connection's deadline
    /// has passed (`late`), reads in any case: if the application kept the thread busy,
    /// bytes may have arrived that are not reported yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] between two requests: the connection becomes idle.
    /// [`ErrorKind::TimedOut`] if the connection is late and nothing has arrived.
    pub(super) fn try_fill(
        &mut self,
        inbox: &mut Inbox,
        late: bool,
    ) -> io::Result<ReadAttempt> {
        let idle = self.wait == Wait::Idle;
        let late = late || idle && self.connection.late;
        let drains = idle && self.connection.server.site.is_draining();
        if late || drains || self.connection.socket.is_ready(Readiness::Readable) {
            match self.fill(inbox) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => return received.map(ReadAttempt::Received),
            }
        }
        if drains {
            return Ok(ReadAttempt::Received(0)); // as if the client had closed
        }
        if late {
            trace!("timeout", "{}", Describe(self.wait, Duration::ZERO));
            return Err(ErrorKind::TimedOut.into());
        }
        if idle {
            return Err(ErrorKind::WouldBlock.into()); // an idle connection has no task
        }
        inbox.shrink();
        let due = self.connection.server.timeouts.due(self.wait, self.began);
        let within = due.saturating_duration_since(self.now().max(self.began));
        trace!("park", "{}", Describe(self.wait, within));
        Ok(ReadAttempt::Wait(due))
    }
    // ANCHOR_END: try_fill

    fn write_with(
        &mut self,
        write: impl FnOnce(&mut BudgetedIo<'_, Socket>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let socket = &mut self.connection.socket;
        if !socket.is_ready(Readiness::Writable) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let wrote = write(&mut BudgetedIo(socket.get_mut(), &mut self.budget));
        match &wrote {
            // `WouldBlock` may mean that the byte budget is used up, not that the
            // socket is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !self.budget.is_used_up() {
                    socket.would_block(Readiness::Writable);
                }
            }
            wrote => self.progress.wrote(*wrote.as_ref().unwrap_or(&0)),
        }
        wrote
    }

    // ANCHOR: room
    /// Returns the time at which a caller that has found no room to write has to call
    /// [`check_progress`](ActiveConnection::check_progress).
    pub(super) fn next_check(&mut self) -> Instant {
        let within = self.connection.server.timeouts.check_interval();
        if self.next_check.is_none() {
            let unacked = self.unacked_bytes();
            self.progress.begin(|| unacked);
        }
        trace!("park", "{}", Describe(Wait::Write, within));
        *self.next_check.get_or_insert_with(|| later(Instant::now(), within))
    }

    /// Checks whether the client takes the sent bytes fast enough.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if the client has taken too few bytes within the write
    /// deadline.
    pub(super) fn check_progress(&mut self) -> io::Result<()> {
        if !self.progress.is_enough(self.unacked_bytes()) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.next_check = None;
        Ok(())
    }
    // ANCHOR_END: room

    // ANCHOR: leaving
    /// Returns the readiness to wait for in order to notice that a client closes while
    /// a response without a known length is pending. Returns `None` if the client has
    /// just shut down its sending side. Such a client may still read, or may have
    /// closed its socket: the caller sends it a heartbeat, which the kernel of a client
    /// with a closed socket answers with a reset.
    pub(super) fn until_it_leaves(&mut self) -> io::Result<Option<Readiness>> {
        let socket = &mut self.connection.socket;
        if socket.is_ready(Readiness::Closed) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if !socket.is_ready(Readiness::Readable) {
            return Ok(Some(Readiness::Readable));
        }
        match socket.get().0.peek(&mut [0]) {
            Ok(0) if !self.peer_half_closed => {
                self.peer_half_closed = true;
                Ok(None)
            }
            // The socket stays readable: it holds the client's next request, which is
            // not read before the response has ended, or an end of file that was found
            // before. So only the end of both directions is waited for.
            Ok(_) => Ok(Some(Readiness::Closed)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.would_block(Readiness::Readable);
                Ok(Some(Readiness::Readable))
            }
            Err(error) => Err(error),
        }
    }
    // ANCHOR_END: leaving

    /// Records that all bytes were handed to the kernel, so no progress check is due.
    pub(super) fn all_sent(&mut self) {
        if self.next_check.take().is_some() {
            self.progress = Progress::default();
        }
    }
}

/// Each method moves as many bytes as possible without waiting. It fails with
/// [`ErrorKind::WouldBlock`] if the socket would block or the byte budget is used up.
impl Transport for ActiveConnection {
    // ANCHOR: receive
    /// Reads into the thread's shared buffer, and copies the received bytes to the
    /// inbox. So a connection that waits for bytes holds no empty buffer.
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let Connection { socket, server, .. } = &mut self.connection;
        let scratch = &mut *server.scratch.borrow_mut();
        let space = scratch.len().min(inbox.room());
        let read = || socket.get_mut().0.read(&mut scratch[..space]);
        let received = self.budget.take(|_| uninterrupted(read));
        match &received {
            Ok(n) => {
                match n {
                    0 => trace!("read", "the end"),
                    _ => trace!("read", "{n} bytes"),
                }
                inbox.receive(&scratch[..*n]);
                if *n < space {
                    socket.read_short();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.would_block(Readiness::Readable);
            }
            Err(_) => {}
        }
        received
    }
    // ANCHOR_END: receive

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.write_with(|turn| turn.send_file(file, at, len))
    }

    /// Always fails with [`ErrorKind::WouldBlock`]: only the caller can wait for the next piece of
    /// the response.
    fn more(&mut self, _: &mut dyn BodyStream, _: &mut Vec<u8>) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.all_sent();
        self.connection.socket.get_mut().shutdown_write()
    }

    fn unacked_bytes(&self) -> usize {
        self.connection.socket.get().unacked_bytes()
    }
}

impl Write for ActiveConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|turn| turn.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection's stream, each of whose methods may park the running coroutine.
pub(crate) struct ParkingStream(pub(super) ActiveConnection);

impl ParkingStream {
    fn yield_if_over_budget(&mut self) {
        if self.0.budget.is_used_up() {
            self.0.connection.server.handle.yield_now();
            self.0.budget = IoBudget::new(IO_BUDGET);
        }
    }

    // ANCHOR: write
    /// Calls `write` until it has written some bytes, parking in between. Fails if the
    /// client takes too few bytes within the write deadline.
    fn write_with(
        &mut self,
        mut write: impl FnMut(&mut ActiveConnection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.yield_if_over_budget();
            match write(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                wrote => return wrote,
            }
            let next_check = self.0.next_check();
            if self.park(Readiness::Writable, next_check)? == Woken::TimedOut {
                self.0.check_progress()?;
            }
        }
    }
    // ANCHOR_END: write

    fn park(&self, until: Readiness, due: Instant) -> io::Result<Woken> {
        let woken = self.0.connection.socket.wait(until, Some(due))?;
        match woken {
            Woken::Notified => trace!("resume", "woken"),
            Woken::TimedOut => trace!("resume", "its time is over"),
        }
        Ok(woken)
    }
}

impl Transport for ParkingStream {
    // ANCHOR: fill
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let mut late = false;
        loop {
            self.yield_if_over_budget();
            match self.0.try_fill(inbox, late)? {
                ReadAttempt::Received(n) => return Ok(n),
                ReadAttempt::Wait(due) => {
                    late = self.park(Readiness::Readable, due)? == Woken::TimedOut;
                }
            }
        }
    }
    // ANCHOR_END: fill

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.write_with(|connection| connection.send_file(file, at, len))
    }

    // ANCHOR: more
    fn more(
        &mut self,
        source: &mut dyn BodyStream,
        content: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.0.all_sent();
        let server = self.0.connection.server.clone();
        let waker = server.handle.waker();
        let quiet = source.heartbeat_interval();
        let due = later(self.0.now(), quiet);
        while !server.site.is_draining() {
            // No wake-up is lost between this call and the park: no other task runs on
            // this thread, and a wake-up through `waker` is applied only between two
            // rounds of the run queue.
            if source.more(&waker, content) != NextPiece::Pending {
                return Ok(());
            }
            let Some(until) = self.0.until_it_leaves()? else { break };
            trace!("park", "for more to send, {:.1} s at most", quiet.as_secs_f64());
            if self.park(until, due)? == Woken::TimedOut {
                break;
            }
        }
        if !server.site.is_draining() {
            content.extend_from_slice(source.heartbeat());
        }
        Ok(())
    }
    // ANCHOR_END: more

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    fn unacked_bytes(&self) -> usize {
        self.0.unacked_bytes()
    }
}

impl Stream for ParkingStream {
    fn deadline(&mut self, wait: Wait) {
        self.0.deadline(wait);
    }

    // ANCHOR: sleep
    fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.0.all_sent();
        trace!("park", "{} ms, and only this coroutine", time.as_millis());
        // The sleep begins now, and not at the beginning of the round of the run queue
        // (`self.0.now()`), which may be a while ago.
        let until = later(Instant::now(), time);
        while self.0.now() < until {
            // If the client's close was reported together with the request, the poller
            // does not report the close again. So this check precedes the wait.
            if self.0.connection.socket.is_ready(Readiness::Closed) {
                return Err(ErrorKind::ConnectionReset.into());
            }
            self.park(Readiness::Closed, until)?;
        }
        Ok(())
    }
    // ANCHOR_END: sleep
}

impl Write for ParkingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|connection| connection.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
