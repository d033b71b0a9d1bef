//! Tests of the connection state machine without a socket, in situations that a client
//! cannot reliably create over the network.

use ch01_blocking::Site;
use ch01_blocking::deadlines::Timeouts;
use ch01_blocking::http::{HttpDate, Inbox, Limits};
use ch01_blocking::stream::Transport;
use ch03_nonblocking::connection::{Connection, Next, Wake};
use ch03_nonblocking::poller::{Ready, Token};
use ch03_nonblocking::socket::IO_BUDGET;
use ch03_nonblocking::work::{LoopContext, Pool};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The scripted result of each read. A test can add more results while the connection owns the
/// transport.
type Input = Rc<RefCell<VecDeque<&'static [u8]>>>;

/// A transport with scripted input. It accepts at most `room` bytes of output, and reports
/// none of these bytes as acknowledged.
struct Script {
    comes: Input,
    went: Vec<u8>,
    room: usize,
}

impl Transport for Script {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let bytes = self.comes.borrow_mut().pop_front().ok_or(ErrorKind::WouldBlock)?;
        inbox.receive(bytes);
        Ok(bytes.len())
    }

    fn send_file(&mut self, _: &File, _: u64, _: u64) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacked_bytes(&self) -> usize {
        self.went.len()
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(self.room - self.went.len())];
        if bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.went.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connection() -> (Connection<Script>, Input) {
    let comes = Input::default();
    let script = Script { comes: comes.clone(), went: Vec::new(), room: usize::MAX };
    (Connection::new(script), comes)
}

fn shared(site: &Site) -> LoopContext<'_> {
    let second = Duration::from_secs(1);
    LoopContext {
        site,
        timeouts: Timeouts {
            idle: second,
            head: second,
            body: second,
            body_rate: 0,
            write: second,
            linger: second,
            drain: second,
        },
        pool: Pool::new(1 << 16),
        io_budget: IO_BUDGET,
        now: Instant::now(),
        clock: |now| now,
        date: HttpDate::now(),
    }
}

const NOTHING: Ready = Ready {
    token: Token { index: 0, generation: 0 },
    readable: false,
    writable: false,
    eof: false,
    broken: false,
};

/// If a request has arrived in the kernel when the idle deadline passes, but has not been reported
/// yet, the request is answered, and the connection stays open.
#[test]
fn a_request_that_arrived_in_time_is_answered_though_late() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let mut shared = shared(&site);
    let (mut connection, comes) = connection();
    comes.borrow_mut().push_back(b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    let next = connection.advance(Wake::Timeout, &mut shared)?;
    assert!(matches!(next, Next::Idle), "{next:?}");
    assert!(connection.transport().went.ends_with(b"Hello, World!"));
    // This time no request has arrived: the deadline closes the connection.
    assert_eq!(connection.advance(Wake::Timeout, &mut shared)?, Next::Close);
    Ok(())
}

/// If the rest of a request has arrived in the kernel when the request's deadline passes, but has
/// not been reported yet, the rest is read, and the request is answered. Input that does not
/// complete the request does not extend the deadline.
#[test]
fn the_rest_of_a_request_is_read_though_late() -> io::Result<()> {
    const HEAD: &[u8] = b"GET /plaintext HTTP/1.1\r\nHo";
    const CONTENT: &[u8] =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nHello, ";
    let site = Site::new(None, Limits::default())?;
    let mut shared = shared(&site);
    let readable = Ready { readable: true, ..NOTHING };
    let stories: [(&[u8], &[u8], &[u8]); 2] =
        [(HEAD, b"st: a\r\n\r\n", b"Hello, World!"), (CONTENT, b"at", b"Hello, at")];
    for (begins, rest, answer) in stories {
        for (comes, answer) in
            [(rest, answer), (&rest[..1], b"HTTP/1.1 408 "), (b"", b"HTTP/1.1 408 ")]
        {
            let (mut connection, wire) = connection();
            wire.borrow_mut().push_back(begins);
            let next = connection.advance(Wake::Ready(readable), &mut shared)?;
            let Next::Wait(_, due) = next else { panic!("{next:?}") };
            shared.now = due;
            if !comes.is_empty() {
                wire.borrow_mut().push_back(comes);
            }
            let next = connection.advance(Wake::Timeout, &mut shared)?;
            let went = &connection.transport().went;
            let said = String::from_utf8_lossy(went);
            assert!(
                went.windows(answer.len()).any(|part| part == answer),
                "{next:?}: {said}"
            );
        }
    }
    Ok(())
}

/// While a connection lingers, a reported hang-up means that the client has closed, too.
/// The client's last bytes are still read: closing with unread input sends a reset, which
/// may destroy the response.
#[test]
fn a_hang_up_while_lingering_is_read_to_the_end() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let mut shared = shared(&site);
    let (mut connection, comes) = connection();
    comes.borrow_mut().push_back(b"nonsense\r\n\r\n");
    let readable = Ready { readable: true, ..NOTHING };
    let next = connection.advance(Wake::Ready(readable), &mut shared)?;
    assert!(matches!(next, Next::Wait(..)), "{next:?}");
    assert!(connection.transport().went.starts_with(b"HTTP/1.1 400 "));

    comes.borrow_mut().extend([&b"and more\r\n"[..], b""]);
    let broken = Ready { readable: true, eof: true, broken: true, ..NOTHING };
    let next = connection.advance(Wake::Ready(broken), &mut shared)?;
    assert_eq!(next, Next::Close);
    assert!(comes.borrow().is_empty(), "all input was read");
    Ok(())
}

/// The connection of a client that takes no bytes is closed exactly one write timeout after the
/// send buffer became full, neither one progress check earlier nor one later.
#[test]
fn a_client_that_takes_nothing_is_closed_at_the_write_deadline() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let mut shared = shared(&site);
    let comes = Input::default();
    comes.borrow_mut().push_back(b"GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut connection =
        Connection::new(Script { comes, went: Vec::new(), room: 50_000 });
    let began = shared.now;
    let mut wake = Wake::Ready(Ready { readable: true, ..NOTHING });
    let error = loop {
        match connection.advance(wake, &mut shared) {
            Ok(Next::Wait(_, due)) => (shared.now, wake) = (due, Wake::Timeout),
            Ok(next) => panic!("{next:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(shared.now - began, shared.timeouts.write);
    Ok(())
}
