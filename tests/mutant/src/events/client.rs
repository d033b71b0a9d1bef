//! One client of the events, and its turn: it goes on as far as it can without waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use crate::answer::{Dress, Response};
use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// How much is read at once, and in one turn.
const PIECE: usize = 16 * 1024;
const SHARE: usize = 16 * PIECE;

/// For the mistake of waiting for one who has just said something.
const A_MOMENT: Duration = Duration::from_millis(200);

/// The line that `/bytes/N` repeats.
const LINE: &[u8; 64] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

/// One client.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Bytes of [`LINE`] that are still to be made.
    pub(super) pattern: u64,
    /// An answer that sleeps, and until when.
    pub(super) sleeping: Option<(Instant, Response, Dress)>,
    pub(super) deadline: Instant,
    pub(super) phase: Phase,
    /// There may be something to read, or an end.
    readable: bool,
    /// An end has come, or urgent data, before which a read stops: a short one says nothing.
    eof: bool,
    /// The client has closed its side, and everything before that was read.
    ended: bool,
    pub(super) last: bool,
    /// Only a mistake.
    _stack: Vec<u8>,
    /// Another: nothing that is told is heard any more.
    deaf: bool,
}

/// So much of an idle client is kept that is of no use: a stack, or a future.
fn kept() -> usize {
    match () {
        () if wrong(Mutation::EventsIdleKeepsStack) => 8192,
        () if wrong(Mutation::EventsIdleKeepsFuture) => 1240,
        () => 0,
    }
}

/// What the deadline is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Head,
    Content,
    Write,
    Linger,
}

/// What a turn ends with.
pub(super) enum Turn {
    Waits,
    Again,
    Over,
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
            eof: false,
            ended: false,
            last: false,
            _stack: vec![1; kept()],
            deaf: false,
        }
    }

    pub(super) fn due(&self) -> Instant {
        match &self.sleeping {
            Some((until, ..)) if wrong(Mutation::EventsStaleDeadline) => {
                self.deadline.min(*until)
            }
            Some((until, ..)) => *until,
            None => self.deadline,
        }
    }

    /// Remembers what is told. Says whether the connection lives.
    pub(super) fn told(&mut self, flags: EpollFlags) -> bool {
        let broken = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        let asleep = self.sleeping.is_some();
        let forgets = asleep && wrong(Mutation::EventsForgetsWhileAsleep);
        if !forgets && !self.deaf {
            let unsure = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI;
            self.eof |= broken || flags.intersects(unsure);
            self.readable |= self.eof || flags.contains(EpollFlags::EPOLLIN);
        }
        !broken
            || (self.phase == Phase::Linger && !wrong(Mutation::EventsHangUpLosesAnswer))
            || (asleep && wrong(Mutation::EventsSpinsOnHangUp))
            || (asleep && wrong(Mutation::EventsKeepsSleeper))
            || (!asleep && wrong(Mutation::EventsSleepsUnheard))
    }

    /// Goes on as far as it can, and no further than its share.
    pub(super) fn turn(&mut self, server: &Server) -> Turn {
        let mut moved = 0;
        let (reads_on, mut heard) = (wrong(Mutation::EventsReadsItAll), Instant::now());
        loop {
            match self.flush(&mut moved) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    self.waits(Phase::Write, server.options.write_timeout, moved);
                    return Turn::Waits;
                }
                Err(why) if why.kind() == ErrorKind::Other => return Turn::Again,
                Err(_) => return Turn::Over,
            }
            if let Some((until, response, dress)) = self.sleeping.take() {
                let due = if wrong(Mutation::EventsStaleDeadline) {
                    self.deadline.min(until)
                } else {
                    until
                };
                if due > Instant::now() {
                    self.sleeping = Some((until, response, dress));
                    return Turn::Waits;
                }
                self.push(response, dress);
                continue;
            }
            if self.last && self.phase != Phase::Linger {
                let _ = self.stream.shutdown(Shutdown::Write);
                self.waits(Phase::Linger, server.options.linger_timeout, moved);
            }
            if self.phase == Phase::Linger {
                self.input.clear();
                if self.ended {
                    return Turn::Over;
                }
            } else if self.answer(server) {
                continue;
            } else if self.ended {
                if self.input.is_empty() {
                    return Turn::Over;
                }
                self.refuse(400, "the input ended in the middle of a message", server);
                continue;
            }
            if moved >= SHARE && !wrong(Mutation::EventsNoBudget) {
                return Turn::Again;
            }
            match self.receive() {
                Ok(0) if self.ended => {}
                Ok(0) if reads_on && heard.elapsed() < A_MOMENT => self.readable = true,
                Ok(1..) if reads_on => heard = Instant::now(),
                Ok(0) => {
                    let options = &server.options;
                    match (self.phase, self.head_end()) {
                        (Phase::Linger, _) => {}
                        _ if self.input.is_empty() => {
                            self.waits(Phase::Idle, options.idle_timeout, moved);
                        }
                        (before, None) => {
                            self.deaf =
                                before == Phase::Head && wrong(Mutation::EventsWakesOnce);
                            self.waits(Phase::Head, options.head_timeout, moved);
                        }
                        _ => self.waits(Phase::Content, options.body_timeout, moved),
                    }
                    return Turn::Waits;
                }
                Ok(n) => moved += n,
                Err(_) => return Turn::Over,
            }
        }
    }

    /// What it waits for from now on. A phase has one deadline, however much comes.
    fn waits(&mut self, phase: Phase, time: Duration, moved: usize) {
        let anew = matches!(phase, Phase::Idle | Phase::Write)
            || wrong(Mutation::EventsDripResetsDeadline);
        if self.phase != phase || (anew && moved > 0) {
            self.phase = phase;
            self.deadline = Instant::now() + time;
        }
    }

    /// Reads once, if there may be something; 0 if not, or at the end.
    fn receive(&mut self) -> io::Result<usize> {
        if !self.readable || self.ended {
            return Ok(0);
        }
        let mut piece = [0; PIECE];
        match self.stream.read(&mut piece) {
            Ok(n) => {
                self.ended = n == 0;
                // Short: there was no more. But the end may have come with it.
                self.readable = (n == PIECE && !wrong(Mutation::EventsReadsOnce))
                    || (self.eof && !wrong(Mutation::EventsStrandsEnd));
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

    /// Sends what is owed. Its share may be used up before: that is `Other`.
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
            if *moved >= SHARE && !sends_on {
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
