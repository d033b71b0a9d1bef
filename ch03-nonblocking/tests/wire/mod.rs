//! Drives a connection without a network: input arrives in any pieces, the send buffer gets room at
//! any time, and events are reported once, late, or needlessly. The property test `cuts.rs` and the
//! fuzz target `connection` share this module.
//!
//! The client must receive exactly what chapter 1's `serve` sends for the same input in one piece.

#[path = "../../../ch01-blocking/tests/verdicts/mod.rs"]
#[allow(dead_code, reason = "of chapter 1's tests only the limits are wanted")]
mod verdicts;

use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::{Timeouts, Wait};
use ch01_blocking::http::{HttpDate, Inbox, Outbox};
use ch01_blocking::serve::{After, linger, serve};
use ch01_blocking::stream::{Stream, Transport};
use ch03_nonblocking::connection::{Connection, Next, Wake};
use ch03_nonblocking::poller::{Interest, Ready, Token};
use ch03_nonblocking::work::{LoopContext, Pool};
use memchr::{memchr2, memmem};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Number of received bytes after which the client closes, so that each run is short.
const ENOUGH: usize = 60_000;
/// Maximum number of bytes that a connection reads and writes in one call to its state
/// machine: so small that most tests need several calls.
const IO_BUDGET: usize = 8_000;

/// Returns a directory with a small and a large file.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::write(root.path().join("small"), b"small").expect("written");
        let large: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(root.path().join("large"), large).expect("written");
        root
    });
    root.path()
}

/// Returns an application with small limits on requests, which serves the files below `root`.
pub(crate) fn site(root: &Path) -> Site {
    Site::new(Some(root), verdicts::small_limits()).expect("a directory")
}

/// The output that a client has received.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The received bytes without dates, which vary, and without `100 Continue`, which depends on
    /// how the input is split: the server omits `100 Continue` if the content has already arrived.
    pub(crate) bytes: Vec<u8>,
    /// Whether the server shut down its sending side after the received bytes.
    finished: bool,
    /// Whether the client closed first, because it had received `ENOUGH` bytes.
    enough: bool,
}

/// A client that closes first does so after `ENOUGH` bytes, in which `100 Continue` responses count
/// too. So two such clients may have received different numbers of other bytes, and only the bytes
/// that both received are compared.
impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        if !self.enough && !other.enough {
            return (&self.bytes, self.finished) == (&other.bytes, other.finished);
        }
        let both = self.bytes.len().min(other.bytes.len());
        both > ENOUGH / 2 && self.bytes[..both] == other.bytes[..both]
    }
}

impl Seen {
    fn new(bytes: &[u8], finished: bool) -> Seen {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        const DATE: &[u8] = b"\r\nDate: ";
        let mut seen = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        let enough = bytes.len() == ENOUGH;
        let is_cut = |rest: &[u8]| enough && CONTINUE.starts_with(rest);
        while let Some(at) = memchr2(CONTINUE[0], DATE[0], rest) {
            let (before, found) = rest.split_at(at);
            seen.extend_from_slice(before);
            let (kept, skipped) = match () {
                () if found.starts_with(CONTINUE) || is_cut(found) => (0, CONTINUE.len()),
                () if found.starts_with(DATE) => (DATE.len(), DATE.len() + 29),
                () => (1, 1),
            };
            seen.extend_from_slice(&found[..kept]);
            rest = &found[skipped.min(found.len())..];
        }
        seen.extend_from_slice(rest);
        Seen { bytes: seen, finished, enough }
    }

    /// Returns whether a response contains the counters of `/stats`, which differ between
    /// two runs.
    pub(crate) fn has_counters(&self) -> bool {
        memmem::find(&self.bytes, b"\"accepted\":").is_some()
    }
}

/// A simulated network connection between client and server: both directions, and the events that a
/// poller would report.
#[derive(Debug, Default)]
struct Wire {
    /// All bytes that the client sends; the server has read the first `at` of them.
    sent: Vec<u8>,
    at: usize,
    /// Number of bytes that have arrived at the server, and that the server has not read yet.
    arrived: usize,
    /// Whether the client shuts down its sending side after the last byte.
    closes: bool,
    closed: bool,
    /// Number of bytes that the server can write without blocking.
    room: usize,
    /// Whether a write of the server has found no room, so that new room must be reported.
    blocked: bool,
    got: Vec<u8>,
    finished: bool,
    /// Events that are still to be reported to the server, each once.
    news: News,
    /// Steps of the test's script that take effect during the server's next turn, one before each
    /// read and each write.
    meanwhile: Vec<u8>,
    /// Number of bytes moved in the server's current turn.
    moved: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct News {
    readable: bool,
    writable: bool,
    eof: bool,
}

impl Wire {
    fn is_all_there(&self) -> bool {
        self.at + self.arrived == self.sent.len() && self.closed == self.closes
    }

    /// Lets at most `bytes` more bytes arrive. If they are the client's last, the end of file
    /// arrives with them if `end_with_them`, and otherwise in a later call.
    fn arrive(&mut self, bytes: usize, end_with_them: bool) {
        let left = self.sent.len() - self.at - self.arrived;
        let bytes = bytes.min(left);
        self.arrived += bytes;
        self.news.readable |= bytes > 0;
        if self.closes && !self.closed && (bytes == 0 || end_with_them) && bytes == left {
            self.closed = true;
            self.news.eof = true;
            self.news.readable = true;
        }
    }

    /// Lets the client read, so that the server can write `bytes` more bytes.
    fn make_room(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes);
        self.news.writable |= bytes > 0 && std::mem::take(&mut self.blocked);
    }

    fn act(&mut self, step: u8) {
        const SIZES: [usize; 8] = [0, 1, 2, 7, 40, 300, 5_000, 30_000];
        let size = SIZES[usize::from(step >> 1 & 7)];
        match step & 1 {
            0 => self.arrive(size, step & 0x80 != 0),
            _ => self.make_room(size),
        }
    }

    /// Removes the last step from `meanwhile`, if there is one, and applies it. Each read and each
    /// write of the server calls this first. (Steps are arbitrary, so their order does not matter.)
    fn meanwhile(&mut self) {
        if let Some(step) = self.meanwhile.pop() {
            self.act(step);
        }
    }

    fn take(&mut self, bytes: usize) -> io::Result<usize> {
        assert!(!self.finished, "no write after the sending side was shut down");
        assert!(bytes > 0, "no write of zero bytes");
        if self.got.len() >= ENOUGH {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let bytes = bytes.min(self.room).min(ENOUGH - self.got.len());
        self.blocked |= self.room == 0;
        self.room -= bytes;
        self.moved += bytes;
        if bytes == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(bytes) }
    }
}

/// The server's end of the wire: the transport of the tested connection.
#[derive(Clone, Debug)]
struct End(Rc<RefCell<Wire>>);

impl Transport for End {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        wire.meanwhile();
        let space = inbox.space();
        assert!(!space.is_empty(), "a read of zero bytes would look like an end of file");
        let n = space.len().min(wire.arrived);
        if n == 0 {
            return if wire.closed { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        space[..n].copy_from_slice(&wire.sent[wire.at..wire.at + n]);
        inbox.received(n);
        wire.at += n;
        wire.arrived -= n;
        wire.moved += n;
        Ok(n)
    }

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        wire.meanwhile();
        let most = wire.take(len.min(1 << 20) as usize)?;
        let mut bytes = vec![0; most];
        file.read_exact_at(&mut bytes, at)?;
        wire.got.extend_from_slice(&bytes);
        Ok(most)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().finished = true;
        Ok(())
    }

    fn unacked_bytes(&self) -> usize {
        0
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        wire.meanwhile();
        let n = wire.take(bytes.len())?;
        wire.got.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for End {
    fn deadline(&mut self, _: Wait) {}

    fn sleep(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// A blocking stream over the wire. A read after the last input fails as if a deadline had passed.
struct Waits(End);

impl Transport for Waits {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        self.0.fill(inbox).map_err(|_| ErrorKind::TimedOut.into())
    }

    fn send_file(&mut self, file: &File, at: u64, len: u64) -> io::Result<usize> {
        self.0.send_file(file, at, len)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    fn unacked_bytes(&self) -> usize {
        0
    }
}

impl Write for Waits {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Waits {
    fn deadline(&mut self, _: Wait) {}

    fn sleep(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// Compares chapter 1's blocking server with the event loop on one input of a fuzz target. The
/// input's first byte says whether the client closes the connection, the second byte is the length
/// of a script that cuts the reads and writes into pieces; the script follows, and then the bytes
/// that the client sends.
pub(crate) fn is_the_same_however_cut(site: &Site, input: &[u8]) {
    let [closes, script, rest @ ..] = input else { return };
    let (script, sent) = rest.split_at(usize::from(*script).min(rest.len()));
    let whole = blocking(site, sent, closes & 1 != 0);
    if !whole.has_counters() {
        assert_eq!(whole, driven(site, sent, closes & 1 != 0, script));
    }
}

fn wire(sent: &[u8], closes: bool) -> Rc<RefCell<Wire>> {
    Rc::new(RefCell::new(Wire { sent: sent.to_vec(), closes, ..Wire::default() }))
}

fn seen(wire: &RefCell<Wire>) -> Seen {
    let wire = wire.borrow();
    Seen::new(&wire.got, wire.finished)
}

/// Returns the output that chapter 1's `serve` sends to a client that sends the bytes `sent`, and
/// then shuts down its sending side if `closes`.
pub(crate) fn blocking(site: &Site, sent: &[u8], closes: bool) -> Seen {
    let wire = wire(sent, closes);
    wire.borrow_mut().arrive(usize::MAX, true);
    wire.borrow_mut().make_room(usize::MAX);
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(site.limits.output));
    let mut stream = Waits(End(Rc::clone(&wire)));
    // This is the same loop as in chapter 1's `handle_connection`.
    loop {
        match serve(&mut stream, site, &mut inbox, &mut outbox) {
            Ok(After::Idle) => {}
            Ok(After::Linger) => break linger(&mut stream, &mut inbox).unwrap_or(()),
            Ok(After::Close) | Err(_) => break,
        }
    }
    seen(&wire)
}

/// Returns the output that the state machine sends to a client that sends the bytes `sent`, and
/// then shuts down its sending side if `closes`. Of each two bytes of the script, the first is a
/// step, which lets input arrive or makes room, and the second selects the events that are
/// reported. If bit 6 of the first byte is set, the second byte is also a step, which takes effect
/// during the server's next turn.
pub(crate) fn driven(site: &Site, sent: &[u8], closes: bool, script: &[u8]) -> Seen {
    let wire = wire(sent, closes);
    let mut driver = Driver::new(site, End(Rc::clone(&wire)));
    for pair in script.chunks(2) {
        let (&step, more) = (&pair[0], pair.get(1).copied());
        if step & 0x40 != 0 {
            // The pair's second byte is also a step, which takes effect during the server's next
            // turn.
            wire.borrow_mut().meanwhile.extend(more);
        }
        wire.borrow_mut().act(step);
        let bits = more.unwrap_or(0);
        // If bits 0 and 1 of the pair's second byte are both 0, no events are reported now: they
        // are reported together with later events.
        if bits & 3 != 0 {
            driver.tell();
        }
        if bits & 0x30 == 0x30 {
            driver.hint(bits);
        }
        if bits & 8 != 0 {
            driver.again();
        }
        if driver.is_over() {
            return seen(&wire);
        }
    }
    // After the last step of the script, all remaining input arrives, and all events are reported.
    wire.borrow_mut().make_room(usize::MAX);
    while !wire.borrow().is_all_there() {
        wire.borrow_mut().arrive(usize::MAX, false);
        driver.tell();
    }
    for _ in 0..100_000 {
        driver.tell();
        driver.again();
        if driver.is_over() {
            return seen(&wire);
        }
        if !driver.queued && !driver.has_news() {
            driver.timeout();
        }
    }
    panic!("the connection never ends");
}

/// A driver that gives one connection its turns, as the event loop does.
struct Driver<'a> {
    connection: Connection<End>,
    shared: LoopContext<'a>,
    wire: Rc<RefCell<Wire>>,
    next: Next,
    queued: bool,
}

impl Driver<'_> {
    fn new(site: &Site, end: End) -> Driver<'_> {
        let second = Duration::from_secs(1);
        let timeouts = Timeouts {
            idle: second,
            head: second,
            body: second,
            body_rate: 0,
            write: second,
            linger: second,
            drain: second,
        };
        let now = Instant::now();
        Driver {
            wire: Rc::clone(&end.0),
            connection: Connection::new(end),
            shared: LoopContext {
                site,
                timeouts,
                pool: Pool::new(site.limits.output),
                io_budget: IO_BUDGET,
                now,
                clock: |now| now,
                date: HttpDate::now(),
            },
            next: Next::Idle,
            queued: false,
        }
    }

    fn is_over(&self) -> bool {
        self.next == Next::Close
    }

    fn has_news(&self) -> bool {
        let News { readable, writable, eof } = self.wire.borrow().news;
        readable || writable || eof
    }

    /// Reports the events in the wire's `news` to the connection, each once.
    fn tell(&mut self) {
        if self.has_news() {
            let News { readable, writable, eof } =
                std::mem::take(&mut self.wire.borrow_mut().news);
            self.ready(readable, writable, eof);
        }
    }

    /// Reports a spurious event to the connection; bits 0 to 2 of `what` select readable,
    /// writable, and end of file.
    fn hint(&mut self, what: u8) {
        self.ready(what & 1 != 0, what & 2 != 0, what & 4 != 0);
    }

    fn ready(&mut self, readable: bool, writable: bool, eof: bool) {
        let token = Token { index: 0, generation: 0 };
        let ready = Ready { token, readable, writable, eof, broken: false };
        if self.queued {
            self.connection.record(&ready);
        } else {
            self.advance(Wake::Ready(ready));
        }
    }

    fn again(&mut self) {
        if std::mem::take(&mut self.queued) {
            self.advance(Wake::Again);
        }
    }

    /// Lets time pass until the connection's deadline. Called when no event is left to report.
    fn timeout(&mut self) {
        let due = match self.next {
            Next::Wait(Interest::WRITE, _) => {
                panic!("it waits for room although there is some")
            }
            Next::Wait(_, due) => due,
            Next::Idle => self.shared.now + self.shared.timeouts.idle,
            _ => return,
        };
        self.shared.now = due;
        self.advance(Wake::Timeout);
    }

    fn advance(&mut self, wake: Wake) {
        if self.is_over() {
            return;
        }
        self.wire.borrow_mut().moved = 0;
        let next = self.connection.advance(wake, &mut self.shared).unwrap_or(Next::Close);
        self.wire.borrow_mut().meanwhile.clear();
        // `BudgetedIo` limits only `send_file` to the bytes left in the turn's budget. So the last
        // read or write of a turn may exceed the budget, at most by the bytes that it moves.
        let moved = self.wire.borrow().moved;
        assert!(moved <= IO_BUDGET + (1 << 15), "{moved} bytes in one turn");
        match next {
            Next::Unchanged => {}
            Next::Again => self.queued = true,
            Next::Close => self.next = next,
            Next::Wait(..) | Next::Idle => {
                let idle = next == Next::Idle;
                assert_eq!(idle, self.connection.is_idle(), "{next:?}");
                self.next = next;
            }
        }
    }
}
