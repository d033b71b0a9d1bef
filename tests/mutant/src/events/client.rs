//! One connection of the event loop, and its state machine, which advances as far as it can
//! without blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use crate::answer::{Response, ResponseContext};
use crate::head::Head;
use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// Maximum number of bytes per read.
const PIECE: usize = 16 * 1024;
/// Maximum number of bytes that one connection may read and write in one round of the loop.
const IO_BUDGET: usize = 16 * PIECE;

/// The time for which the `events-reads-it-all` mistake waits for more input.
const EXTRA_WAIT: Duration = Duration::from_millis(200);

/// The line that `/bytes/N` repeats.
const LINE: &[u8; 64] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

/// A connection of the event loop.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Number of bytes of the `/bytes/N` response that are still to be generated.
    pub(super) pattern: u64,
    /// A delayed response, and the time at which it is due.
    pub(super) sleeping: Option<(Instant, Response, ResponseContext)>,
    pub(super) deadline: Instant,
    pub(super) phase: Phase,
    /// Whether the socket may have input, or an end of file.
    readable: bool,
    /// Whether a hang-up or urgent data was reported. If so, a short read does not mean that the
    /// socket is drained.
    hangup_seen: bool,
    /// Whether a read has returned 0: all input has been read.
    eof_read: bool,
    pub(super) last: bool,
    /// A request for the threads that read files, to which the loop hands it after this
    /// connection's turn.
    pub(super) job: Option<(Head, Vec<u8>)>,
    /// Whether a thread that reads files has a request of this connection.
    pub(super) waits_for_helper: bool,
    /// Memory that only the `events-idle-keeps-*` mistakes allocate.
    _stack: Vec<u8>,
    /// Whether all events are ignored; only the `events-wakes-once` mistake sets it.
    ignores_events: bool,
}

/// Returns the number of useless bytes that a mistake keeps per idle connection: the size of a
/// stack or of a future.
fn useless_bytes() -> usize {
    match () {
        () if wrong(Mutation::EventsIdleKeepsStack) => 8192,
        () if wrong(Mutation::EventsIdleKeepsFuture) => 1240,
        () => 0,
    }
}

/// The phase of a connection; each phase has a deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Head,
    Content,
    Write,
    Linger,
}

/// The result of advancing a connection in one round of the loop.
pub(super) enum Turn {
    Blocked,
    Yielded,
    Closed,
}

impl Client {
    pub(super) fn new(stream: TcpStream, server: &Server) -> Client {
        Client {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            pattern: 0,
            sleeping: None,
            deadline: Instant::now() + server.options.idle_timeout,
            phase: Phase::Idle,
            readable: true,
            hangup_seen: false,
            eof_read: false,
            last: false,
            job: None,
            waits_for_helper: false,
            _stack: vec![1; useless_bytes()],
            ignores_events: false,
        }
    }

    pub(super) fn due(&self) -> Instant {
        match &self.sleeping {
            Some((until, ..)) if wrong(Mutation::EventsStaleDeadline) => {
                self.deadline.min(*until)
            }
            Some((until, ..)) => *until,
            // No deadline passes while a helper reads the file: a slow disk is no reason to close
            // the connection.
            None if self.waits_for_helper => Instant::now() + Duration::from_secs(3600),
            None => self.deadline,
        }
    }

    /// Records the event `flags` of the socket. Returns whether the connection stays open.
    pub(super) fn on_event(&mut self, flags: EpollFlags) -> bool {
        let broken = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        let asleep = self.sleeping.is_some();
        let forgets = asleep && wrong(Mutation::EventsForgetsWhileAsleep);
        if !forgets && !self.ignores_events {
            let unsure = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI;
            self.hangup_seen |= broken || flags.intersects(unsure);
            self.readable |= self.hangup_seen || flags.contains(EpollFlags::EPOLLIN);
        }
        !broken
            || (self.phase == Phase::Linger && !wrong(Mutation::EventsHangUpLosesAnswer))
            || (asleep && wrong(Mutation::EventsSpinsOnHangUp))
            || (asleep && wrong(Mutation::EventsKeepsSleeper))
            || (!asleep && wrong(Mutation::EventsSleepsUnheard))
    }

    /// Advances the connection until it would block or `IO_BUDGET` is used up.
    pub(super) fn turn(&mut self, server: &Server) -> Turn {
        let mut moved = 0;
        let (reads_on, mut last_input) =
            (wrong(Mutation::EventsReadsItAll), Instant::now());
        loop {
            match self.flush(&mut moved) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    self.enter_phase(Phase::Write, server.options.write_timeout, moved);
                    return Turn::Blocked;
                }
                Err(why) if why.kind() == ErrorKind::Other => return Turn::Yielded,
                Err(_) => return Turn::Closed,
            }
            if let Some((until, response, context)) = self.sleeping.take() {
                let due = if wrong(Mutation::EventsStaleDeadline) {
                    self.deadline.min(until)
                } else {
                    until
                };
                if due > Instant::now() {
                    self.sleeping = Some((until, response, context));
                    return Turn::Blocked;
                }
                self.push(response, context);
                continue;
            }
            if self.waits_for_helper && !wrong(Mutation::FilesOutOfOrder) {
                return Turn::Blocked;
            }
            if self.last && self.phase != Phase::Linger {
                let _ = self.stream.shutdown(Shutdown::Write);
                self.enter_phase(Phase::Linger, server.options.linger_timeout, moved);
            }
            if self.phase == Phase::Linger {
                self.input.clear();
                if self.eof_read {
                    return Turn::Closed;
                }
            } else if self.answer(server) {
                continue;
            } else if self.eof_read {
                if self.input.is_empty() {
                    return Turn::Closed;
                }
                self.refuse(400, "the input ended in the middle of a message", server);
                continue;
            }
            if moved >= IO_BUDGET && !wrong(Mutation::EventsNoBudget) {
                return Turn::Yielded;
            }
            match self.receive() {
                Ok(0) if self.eof_read => {}
                Ok(0) if reads_on && last_input.elapsed() < EXTRA_WAIT => {
                    self.readable = true
                }
                Ok(1..) if reads_on => last_input = Instant::now(),
                Ok(0) => {
                    let options = &server.options;
                    match (self.phase, self.head_end()) {
                        (Phase::Linger, _) => {}
                        _ if self.input.is_empty() => {
                            self.enter_phase(Phase::Idle, options.idle_timeout, moved);
                        }
                        (before, None) => {
                            self.ignores_events =
                                before == Phase::Head && wrong(Mutation::EventsWakesOnce);
                            self.enter_phase(Phase::Head, options.head_timeout, moved);
                        }
                        _ => {
                            self.enter_phase(Phase::Content, options.body_timeout, moved)
                        }
                    }
                    return Turn::Blocked;
                }
                Ok(n) => moved += n,
                Err(_) => return Turn::Closed,
            }
        }
    }

    /// Enters a phase and sets its deadline. Entering the same phase again does not move the
    /// deadline, however much has arrived; in the phases `Idle` and `Write` any progress moves it.
    fn enter_phase(&mut self, phase: Phase, time: Duration, moved: usize) {
        let anew = matches!(phase, Phase::Idle | Phase::Write)
            || wrong(Mutation::EventsDripResetsDeadline);
        if self.phase != phase || (anew && moved > 0) {
            self.phase = phase;
            self.deadline = Instant::now() + time;
        }
    }

    /// Reads once if the socket may have input. Returns the number of bytes read: 0 if the socket
    /// has none, or at end of file.
    fn receive(&mut self) -> io::Result<usize> {
        if !self.readable || self.eof_read {
            return Ok(0);
        }
        let mut piece = [0; PIECE];
        match self.stream.read(&mut piece) {
            Ok(n) => {
                self.eof_read = n == 0;
                // A short read means that the socket is drained, unless the end of file was
                // reported together with the input.
                self.readable = (n == PIECE && !wrong(Mutation::EventsReadsOnce))
                    || (self.hangup_seen && !wrong(Mutation::EventsStrandsEnd));
                self.input.extend_from_slice(&piece[..n]);
                Ok(n)
            }
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(0)
            }
            Err(why) => Err(why),
        }
    }

    /// Writes the buffered output, and after that the generated content of `/bytes/N`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] when `IO_BUDGET` is used up before everything is written; otherwise
    /// the errors of write(2).
    fn flush(&mut self, moved: &mut usize) -> io::Result<()> {
        loop {
            if self.output.is_empty() {
                let now = self.pattern.min(PIECE as u64);
                self.pattern -= now;
                let lines = LINE.repeat(PIECE / LINE.len());
                self.output.extend_from_slice(&lines[..now as usize]);
            }
            if self.output.is_empty() {
                return Ok(());
            }
            let sends_on =
                wrong(Mutation::EventsNoBudget) || wrong(Mutation::EventsSendsItAll);
            if *moved >= IO_BUDGET && !sends_on {
                return Err(ErrorKind::Other.into());
            }
            let sent = match self.stream.write(&self.output) {
                Err(why)
                    if why.kind() == ErrorKind::WouldBlock
                        && wrong(Mutation::EventsSendsItAll) =>
                {
                    continue;
                }
                sent => sent?,
            };
            self.output.drain(..sent);
            *moved += sent;
        }
    }
}
