//! Tests that a stale event never affects the connection that has reused a closed
//! connection's index. Real mechanisms report stale events rarely; the poller of this
//! test reports them all the time.

use ch01_blocking::program::Cli;
use ch01_blocking::server::stop::Stop;
use ch01_blocking::{Listener, Options};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch03_nonblocking::spin::Spin;
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

// ANCHOR: gossip
/// A poller that keeps reporting every closed connection as broken.
#[derive(Default)]
struct Gossip {
    poller: Spin,
    gone: Vec<Token>,
}

impl Poller for Gossip {
    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.gone.push(token);
        self.poller.deregister(fd, token)
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let broken =
            |&token| Ready { broken: true, ..Ready::maybe(token, Interest::NONE) };
        ready.extend(self.gone.iter().map(broken));
        self.poller.wait(ready, timeout)
    }
    // ANCHOR_END: gossip

    delegate!(poller: register, reregister);
}

/// Connects a client, sends `times` requests, and closes the connection.
fn visit(address: SocketAddr, times: usize) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    for _ in 0..times {
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"Hello, World!") {
            client.read_exact(&mut byte)?;
            answer.extend(byte);
        }
    }
    Ok(())
}

#[test]
fn stale_events_do_not_affect_the_next_connection() -> io::Result<()> {
    let options: Options = Cli::parse_from(["gossip"]).options;
    let site = options.site()?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            event_loop::run(Gossip::default(), listener, &site, &options, &stop)
        });
        let visits = (0..5).try_for_each(|_| visit(address, 20));
        stopper.stop()?;
        server.join().expect("the loop does not panic")?;
        visits.expect("a stale event does not close the next connection");
        Ok(())
    })
}
