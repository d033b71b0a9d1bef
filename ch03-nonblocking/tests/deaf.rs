//! Tests that the event loop registers the listener again after descriptors ran out, even if the
//! first attempt to do so fails.
//!
//! The limit on descriptors applies to the whole process, so this test has its own program.

#[macro_use]
mod delegate;

use ch01_blocking::program::Cli;
use ch01_blocking::server::stop::Stop;
use ch01_blocking::{Listener, Options};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch03_nonblocking::spin::Spin;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket,
};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// A poller that raises the descriptor limit when the listener is deregistered, and fails
/// the first attempt to register the listener again.
struct Reluctant<'t> {
    poller: Spin,
    asked: &'t AtomicUsize,
    /// Set when the loop first waits: from then on the loop opens no descriptor for itself.
    waits: &'t AtomicBool,
}

impl Poller for Reluctant<'_> {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        if interest == Interest::ACCEPT && self.asked.fetch_add(1, SeqCst) == 1 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.poller.register(fd, token, interest)
    }

    delegate!(poller: reregister);

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        self.poller.deregister(fd, token)
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.waits.store(true, SeqCst);
        self.poller.wait(ready, timeout)
    }
}

#[test]
fn a_failed_registration_of_the_listener_is_retried() -> io::Result<()> {
    let options: Options = Cli::parse_from(["reluctant"]).options;
    let site = options.site()?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let (asked, waits) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let poller = Reluctant { poller: Spin::default(), asked: &asked, waits: &waits };
        let server =
            scope.spawn(|| event_loop::run(poller, listener, &site, &options, &stop));
        while !waits.load(SeqCst) && !server.is_finished() {
            thread::yield_now();
        }
        let flags = SockFlag::empty();
        let client = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        // Lowering the limit closes no open descriptor, but now the server cannot accept a client.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard)?;
        connect(client.as_raw_fd(), &SockaddrStorage::from(address))?;
        // Each of the two visits shows that the loop accepts clients: the first before the loop
        // fails to register the listener, the second after the loop's next attempt.
        let visits =
            visit(client.into()).and_then(|()| visit(TcpStream::connect(address)?));
        stopper.stop()?;
        server.join().expect("the loop does not panic")?;
        visits?;
        let asked = asked.load(SeqCst);
        assert!(
            asked >= 3,
            "the listener was deregistered, and registered twice again: {asked}"
        );
        Ok(())
    })
}

fn visit(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    client.read_exact(&mut [0; 12])
}
