//! Tests that one client cannot monopolize the thread, however fast it reads and however
//! much it requests.
//!
//! The test uses a transport that never blocks. No real client is reliably that fast, so the client
//! suite cannot test this.

use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::Timeouts;
use ch01_blocking::http::{HttpDate, Inbox, Limits};
use ch01_blocking::stream::Transport;
use ch03_nonblocking::connection::{Connection, Next, Wake};
use ch03_nonblocking::poller::{Interest, Ready, Token};
use ch03_nonblocking::socket::IO_BUDGET;
use ch03_nonblocking::work::{LoopContext, Pool};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

/// A transport to a client that takes all bytes immediately; `taken` counts them. The server's
/// first read returns `asks`.
struct Fast {
    asks: &'static [u8],
    taken: usize,
}

impl Transport for Fast {
    fn fill(&mut self, inbox: &mut Inbox) -> io::Result<usize> {
        let asks = std::mem::take(&mut self.asks);
        inbox.receive(asks);
        if asks.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(asks.len()) }
    }

    fn send_file(&mut self, _: &File, _: u64, len: u64) -> io::Result<usize> {
        self.taken += len as usize;
        Ok(len as usize)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacked_bytes(&self) -> usize {
        0
    }
}

impl Write for Fast {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const TIMEOUTS: Timeouts = Timeouts {
    idle: Duration::from_secs(60),
    head: Duration::from_secs(10),
    body: Duration::from_secs(60),
    body_rate: 1024,
    write: Duration::from_secs(30),
    linger: Duration::from_secs(2),
    drain: Duration::from_secs(10),
};

#[test]
fn a_turn_ends_before_a_long_answer_does() -> io::Result<()> {
    const ANSWER: usize = 100_000_000;
    let site = Site::new(None, Limits::default())?;
    let mut shared = LoopContext {
        site: &site,
        timeouts: TIMEOUTS,
        pool: Pool::new(site.limits.output),
        io_budget: IO_BUDGET,
        now: Instant::now(),
        clock: |now| now,
        date: HttpDate::now(),
    };
    let asks = b"GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut connection = Connection::new(Fast { asks, taken: 0 });

    let token = Token { index: 0, generation: 0 };
    let wake = Wake::Ready(Ready::maybe(token, Interest::READ));
    let mut next = connection.advance(wake, &mut shared)?;
    let mut turns = 1;
    while next == Next::Again {
        let before = connection.transport().taken;
        next = connection.advance(Wake::Again, &mut shared)?;
        assert!(connection.transport().taken > before, "a turn moves something");
        turns += 1;
    }
    assert!(matches!(next, Next::Idle), "{next:?}");
    assert!(connection.transport().taken > ANSWER);
    assert!(
        turns > 100,
        "the whole response was sent in {turns} turns, while other clients waited"
    );
    Ok(())
}
