//! The same contract by one thread that waits for nobody: for the mistakes that only
//! event code makes. As plain as it can be: epoll(7), edge-triggered, everything watched
//! once and for all; what is told is remembered; a request is parsed when all of it has
//! come. Content in chunks, limits and the drain deadline are left to the threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::answer::{self, Body, Dress, Refusal, Response};
use crate::connection::{refused, respond, tally};
use crate::content;
use crate::framing::Framing;
use crate::head;
use crate::mutations::Mutation;
use crate::server::{Held, Server, count};
use crate::switch::wrong;
use crate::wire::{Ending, Wire};

/// How much is read at once, and in one turn.
const PIECE: usize = 16 * 1024;
const SHARE: usize = 16 * PIECE;

/// For the mistake of waiting for one who has just said something.
const A_MOMENT: Duration = Duration::from_millis(200);

/// The line that `/bytes/N` repeats.
const LINE: &[u8; 64] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

/// One client.
struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of [`LINE`] that are still to be made.
    pattern: u64,
    /// An answer that sleeps, and until when.
    sleeping: Option<(Instant, Response, Dress)>,
    deadline: Instant,
    phase: Phase,
    /// There may be something to read, or an end.
    readable: bool,
    /// An end has come, or urgent data, before which a read stops: a short one says nothing.
    eof: bool,
    /// The client has closed its side, and everything before that was read.
    ended: bool,
    last: bool,
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

thread_local! {
    /// By mistake: alarms of those who have left, by their descriptors.
    static LEFT: RefCell<Vec<(RawFd, Instant)>> = const { RefCell::new(Vec::new()) };
}

/// What the deadline is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Content,
    Write,
    Linger,
}

/// What a turn ends with.
enum Turn {
    Waits,
    Again,
    Over,
}

/// Serves until it is time to stop.
pub(crate) fn serve(listener: &TcpListener, server: &Server) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let edge = EpollFlags::EPOLLET;
    let only_once =
        if wrong(Mutation::EventsAcceptsOnce) { edge } else { EpollFlags::empty() };
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN | only_once, LISTENER))?;
    epoll.add(server.stop.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
    let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
    let mut next = FIRST;
    let mut again: Vec<u64> = Vec::new();
    let mut late_news: Vec<u64> = Vec::new();
    let mut events = vec![EpollEvent::empty(); 1024];
    while !server.stop.asked() {
        let timeout = if again.is_empty() { until_first(&clients) } else { Some(0) };
        let timeout = timeout.map_or(EpollTimeout::NONE, |ms| {
            EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
        });
        let found = match epoll.wait(&mut events, timeout) {
            Ok(found) => found,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(why) => return Err(why.into()),
        };
        if wrong(Mutation::EventsSuccessor) {
            again.extend(late(&mut clients, server));
        }
        let mut turns = std::mem::take(&mut again);
        for number in std::mem::take(&mut late_news) {
            close(&mut clients, number, server);
        }
        let found =
            if wrong(Mutation::EventsLosesOverflow) { found.min(64) } else { found };
        for event in &events[..found] {
            match event.data() {
                STOP => {}
                LISTENER => {
                    while let Ok((stream, _)) = listener.accept() {
                        count(&server.stats.accepted);
                        count(&server.stats.open);
                        let by_descriptor = wrong(Mutation::EventsSuccessor)
                            || wrong(Mutation::EventsLateNews);
                        let number = if by_descriptor {
                            // The descriptor's number is a name too, is it not?
                            FIRST + stream.as_raw_fd() as u64
                        } else {
                            next
                        };
                        next += 1;
                        if let Ok(client) = welcome(&epoll, stream, number, server) {
                            clients.insert(number, client);
                        }
                        if wrong(Mutation::EventsAcceptsOnce) {
                            break;
                        }
                    }
                }
                number => {
                    if let Some(client) = clients.get_mut(&number) {
                        if client.told(event.events()) {
                            turns.push(number);
                        } else {
                            close(&mut clients, number, server);
                            if wrong(Mutation::EventsLateNews) {
                                late_news.push(number);
                            }
                        }
                    }
                }
            }
        }
        for number in turns {
            let Some(client) = clients.get_mut(&number) else { continue };
            match client.turn(server) {
                Turn::Waits => {}
                Turn::Again if wrong(Mutation::EventsYieldsForEver) => {}
                Turn::Again => again.push(number),
                Turn::Over => close(&mut clients, number, server),
            }
        }
        again.extend(late(&mut clients, server));
        again.sort_unstable();
        again.dedup();
    }
    Ok(())
}

const LISTENER: u64 = 0;
const STOP: u64 = 1;
const FIRST: u64 = 2;

fn welcome(
    epoll: &Epoll,
    stream: TcpStream,
    number: u64,
    server: &Server,
) -> io::Result<Client> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
    flags.set(EpollFlags::EPOLLPRI, !wrong(Mutation::EventsStrandsUrgent));
    if wrong(Mutation::EventsWantsRoomAlways) {
        flags |= EpollFlags::EPOLLOUT; // as long as it is so, that is: nearly always
    } else if !wrong(Mutation::EventsSpinsOnHalfClose)
        && !wrong(Mutation::EventsSpinsOnHangUp)
    {
        flags |= EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
    }
    epoll.add(&stream, EpollEvent::new(flags, number))?;
    Ok(Client {
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
    })
}

/// When something is due first, in milliseconds from now.
fn until_first(clients: &BTreeMap<u64, Client>) -> Option<u128> {
    let left = LEFT.with_borrow(|left| left.iter().map(|(_, at)| *at).min());
    let first = clients.values().map(Client::due).chain(left).min()?;
    let left = first.saturating_duration_since(Instant::now());
    Some(left.as_nanos().div_ceil(1_000_000))
}

/// Ends what has lasted too long; names those who are to have a turn.
fn late(clients: &mut BTreeMap<u64, Client>, server: &Server) -> Vec<u64> {
    let now = Instant::now();
    LEFT.with_borrow_mut(|left| {
        for (place, _) in left.extract_if(.., |(_, at)| *at <= now) {
            for client in clients.values_mut() {
                if client.stream.as_raw_fd() == place
                    && let Some((until, ..)) = &mut client.sleeping
                {
                    *until = now;
                }
            }
        }
    });
    let due: Vec<u64> = clients
        .iter()
        .filter(|(_, client)| client.due() <= now)
        .map(|(number, _)| *number)
        .collect();
    let goes_on = |number: &u64| {
        let Some(client) = clients.get_mut(number) else { return false };
        if client.sleeping.is_some() {
            return true;
        }
        if client.phase != Phase::Linger {
            count(&server.stats.timeouts);
        }
        if matches!(client.phase, Phase::Head | Phase::Content) {
            client.refuse(408, "the request was not complete in time", server);
            return true;
        }
        close(clients, *number, server);
        false
    };
    due.into_iter().filter(goes_on).collect()
}

fn close(clients: &mut BTreeMap<u64, Client>, number: u64, server: &Server) {
    if let Some(client) = clients.remove(&number) {
        if wrong(Mutation::EventsAlarmOutlives)
            && let Some((until, ..)) = client.sleeping
        {
            LEFT.with_borrow_mut(|left| left.push((client.stream.as_raw_fd(), until)));
        }
        server.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    fn due(&self) -> Instant {
        match &self.sleeping {
            Some((until, ..)) if wrong(Mutation::EventsStaleDeadline) => {
                self.deadline.min(*until)
            }
            Some((until, ..)) => *until,
            None => self.deadline,
        }
    }

    /// Remembers what is told. Says whether the connection lives.
    fn told(&mut self, flags: EpollFlags) -> bool {
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
    }

    /// Goes on as far as it can, and no further than its share.
    fn turn(&mut self, server: &Server) -> Turn {
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

    fn head_end(&self) -> Option<usize> {
        self.input.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
    }

    /// Answers the next request, if all of it has come.
    fn answer(&mut self, server: &Server) -> bool {
        if self.head_end().is_none() {
            let too_large = self.input.len() > server.options.max_head;
            if too_large {
                self.refuse(431, "the head is too large", server);
            }
            return too_large;
        }
        let mut wire = Wire::new(&self.stream, server);
        wire.input = self.input.clone();
        let mut head_only = false;
        let mut held = Held::new(server);
        let answered = head::read(&mut wire, server, &mut head_only).and_then(|head| {
            let come = wire.input.len() as u64;
            match head.framing {
                Framing::Chunked => Err(Ending::Refused(Refusal::closing(
                    501,
                    "only the threads understand chunks",
                ))),
                Framing::Length(n) if n > come && n <= server.options.max_body => {
                    Ok(None)
                }
                Framing::Length(_) => {
                    let content = content::read(&mut wire, &head, server, &mut held)?;
                    respond(&head, content, server).map(Some)
                }
            }
        });
        let (response, dress) = match answered {
            Ok(Some(answer)) => answer,
            Ok(None) => return false,
            Err(Ending::Refused(refusal)) => refused(refusal, head_only),
            Err(_) => return false,
        };
        self.input = std::mem::take(&mut wire.input);
        tally(&response, server);
        if !wrong(Mutation::EventsStaleDeadline) {
            self.phase = Phase::Idle; // the next request has its own time
            self.deadline = Instant::now() + server.options.idle_timeout;
        }
        if response.delay.is_zero() {
            self.push(response, dress);
        } else if wrong(Mutation::EventsBlocksInTask) {
            std::thread::sleep(response.delay);
            self.push(response, dress);
        } else {
            self.sleeping = Some((Instant::now() + response.delay, response, dress));
        }
        true
    }

    fn refuse(&mut self, status: u16, why: &'static str, server: &Server) {
        let (response, dress) = refused(Refusal::closing(status, why), false);
        tally(&response, server);
        self.push(response, dress);
    }

    fn push(&mut self, response: Response, dress: Dress) {
        self.last |= dress.close;
        self.output.extend(answer::head(&response, dress));
        if dress.head_only || matches!(response.status, 204 | 304) {
            return;
        }
        match response.body {
            Body::None => {}
            Body::Bytes(bytes) => self.output.extend(bytes),
            Body::Pattern(length) => self.pattern = length,
            Body::File { file, at, len } => {
                let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
                let read =
                    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, at);
                self.last |= read.is_err();
                self.output.extend(bytes);
            }
        }
    }
}
