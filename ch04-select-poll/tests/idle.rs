//! Tests that an idle loop makes no system call before a deadline is due: it wakes up once per
//! deadline, whatever bytes its client has sent.

use ch01_blocking::program::Cli;
use ch01_blocking::server::stop::Stop;
use ch01_blocking::{Listener, Options};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Poller, Ready};
use ch04_select_poll::poll::Poll;
use ch04_select_poll::select::Select;
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// A poller that counts the waits that end without an event.
struct Counting<'c, P> {
    poller: P,
    wakes: &'c AtomicUsize,
}

impl<P: Poller> Poller for Counting<'_, P> {
    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.poller.wait(ready, timeout)?;
        self.wakes.fetch_add(usize::from(ready.is_empty()), SeqCst);
        Ok(())
    }

    delegate!(poller: register, reregister, deregister);
}

/// Runs a server with one client, which sends the strings in `says` and then nothing, until the
/// server closes the connection. Returns the number of waits that ended without an event.
fn wakes(poller: impl Poller + Send, says: &[&str]) -> io::Result<usize> {
    let options: Options = Cli::parse_from(["idle", "--idle-timeout", "0.7"]).options;
    let site = options.site()?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let wakes = AtomicUsize::new(0);
    thread::scope(|scope| {
        let counting = Counting { poller, wakes: &wakes };
        let server =
            scope.spawn(|| event_loop::run(counting, listener, &site, &options, &stop));
        let closed = (|| {
            let mut client = TcpStream::connect(address)?;
            client.set_read_timeout(Some(Duration::from_secs(30)))?;
            for piece in says {
                client.write_all(piece.as_bytes())?;
                if piece.ends_with("\r\n\r\n") {
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"Hello, World!") {
                        let mut byte = [0];
                        client.read_exact(&mut byte)?;
                        answer.extend(byte);
                    }
                }
            }
            assert_eq!(client.read(&mut [0])?, 0, "the server closes the connection");
            Ok(wakes.load(SeqCst))
        })();
        stopper.stop()?;
        server.join().expect("the loop does not panic")?;
        closed
    })
}

const REQUEST: &str = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn it_is_woken_once_for_each_deadline() {
    let half = REQUEST.split_at(9);
    let stories: [&[&str]; 3] = [&[], &[REQUEST; 3], &[REQUEST, half.0, half.1]];
    thread::scope(|scope| {
        for says in stories {
            let assert_once = move |wakes: io::Result<usize>, poller| {
                assert_eq!(wakes.expect("a server"), 1, "{poller}, after {says:?}");
            };
            scope.spawn(move || assert_once(wakes(Poll::default(), says), "poll"));
            scope.spawn(move || assert_once(wakes(Select::default(), says), "select"));
        }
    });
}
