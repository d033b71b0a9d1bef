//! Tests that an application that blocks its thread does not shorten the deadlines of other
//! clients: a deadline that begins after the block has its full length. Chapter 6 includes
//! this file by its path.

use ch01_blocking::app::site::Routes;
use ch01_blocking::http::{Request, Response};
use ch01_blocking::program::Cli;
use ch01_blocking::{Listener, Options, Site, Stop};
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The idle timeout: shorter than the time for which the application blocks the thread.
const IDLE: Duration = Duration::from_millis(400);
const KEPT: Duration = Duration::from_millis(600);

/// The path that the client that keeps the loop busy requests again and again.
const TALK: &[u8] = b"/plaintext";

/// An application whose route `/kept` blocks the thread, and which records the time of every
/// response to another path than [`TALK`].
#[derive(Debug, Default)]
struct Keeps {
    /// The number of requests for `/kept` that have begun to block the thread.
    begun: Mutex<u32>,
    more: Condvar,
    /// The time at which each response was ready, except the responses to [`TALK`].
    ready: Mutex<Vec<Instant>>,
}

impl Keeps {
    fn until_begun(&self, times: u32) {
        let begun = self.begun.lock().expect("whole");
        drop(self.more.wait_while(begun, |begun| *begun < times).expect("whole"));
    }
}

#[derive(Debug, Clone)]
struct Kept(Arc<Keeps>);

impl Routes for Kept {
    fn respond(&self, request: &Request<'_>) -> Option<Response> {
        if request.path == b"/kept" {
            *self.0.begun.lock().expect("whole") += 1;
            self.0.more.notify_all();
            thread::sleep(KEPT);
        }
        if request.path != TALK {
            self.0.ready.lock().expect("whole").push(Instant::now());
        }
        Some(Response::text(200, "done"))
    }
}

fn ask(mut client: &TcpStream, path: &str) -> io::Result<()> {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

/// Sends requests that block the thread, and one beside them. Returns the time at which each of the
/// three clients was closed.
fn closed(address: SocketAddr, keeps: &Keeps) -> io::Result<Vec<Instant>> {
    let [first, keeper, other] = [(); 3].map(|()| TcpStream::connect(address));
    let (first, keeper, other) = (first?, keeper?, other?);
    ask(&first, "/kept")?;
    keeps.until_begun(1);
    // The requests of `keeper` and `other` arrive while the first request blocks the thread, so the
    // loop handles both in the same round.
    ask(&keeper, "/kept")?;
    ask(&other, "/answered")?;
    thread::scope(|scope| {
        let gone = [first, keeper, other].map(|mut client| {
            scope.spawn(move || {
                client.read_to_end(&mut Vec::new()).map(|_| Instant::now())
            })
        });
        gone.into_iter().map(|client| client.join().expect("it does not panic")).collect()
    })
}

/// Sends requests, one after another, until `over` is true. On a busy machine this client may be
/// late, and the server then closes its connection, so it connects again.
fn talk(address: SocketAddr, over: &AtomicBool) -> io::Result<()> {
    let path = str::from_utf8(TALK).expect("ASCII");
    while !over.load(Relaxed) {
        let talker = TcpStream::connect(address)?;
        while !over.load(Relaxed)
            && ask(&talker, path).is_ok()
            && (&talker).read(&mut [0; 4096]).is_ok_and(|n| n > 0)
        {}
    }
    Ok(())
}

/// Lets clients delay one another. Returns how long after its response each was closed.
///
/// # Errors
///
/// Fails if the server fails, or if a client was closed without a response: on a busy machine it may
/// have sent its request too late.
fn waits(
    run: impl FnOnce(Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<Vec<Duration>> {
    let idle = IDLE.as_secs_f64().to_string();
    let options: Options = Cli::parse_from(["kept", "--idle-timeout", &idle]).options;
    let keeps = Arc::new(Keeps::default());
    let site = Arc::new(options.site()?.with(Box::new(Kept(keeps.clone()))));
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let over = AtomicBool::new(false);
    let gone = thread::scope(|scope| {
        let server = scope.spawn(|| run(listener, &site, &options, &stop));
        // Another client keeps the loop busy: an idle loop may wait longer than necessary, which
        // would hide a deadline that is too early.
        let talks = scope.spawn(|| talk(address, &over));
        let gone = closed(address, &keeps);
        // The server is stopped even if a client has failed: otherwise the scope would wait for the
        // server forever.
        over.store(true, Relaxed);
        let talked = talks.join().expect("it does not panic");
        stopper.stop()?;
        server.join().expect("the server does not panic")?;
        talked.and(gone)
    });
    let mut gone = gone?;
    gone.sort();
    let mut ready = keeps.ready.lock().expect("whole").clone();
    ready.sort();
    if ready.len() != gone.len() {
        return Err(io::Error::other("a client was closed without a response"));
    }
    // Responses and closes are paired in order of time, not by client: if each client is closed at
    // least `IDLE` after its own response, the same holds for each pair.
    Ok(ready.iter().zip(&gone).map(|(ready, gone)| *gone - *ready).collect())
}

/// Tests clients that delay one another: each has the full idle timeout after its response.
pub(crate) fn deadlines_keep_their_length(
    run: impl Fn(Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Sync,
) -> io::Result<()> {
    const ATTEMPTS: usize = 5;
    let mut measured = waits(&run);
    for _ in 1..ATTEMPTS {
        if measured.is_err() {
            measured = waits(&run);
        }
    }
    let measured = measured?;
    let too_short = measured.iter().find(|wait| **wait < IDLE);
    assert_eq!(too_short, None, "closed before {IDLE:?} had passed since its response");
    Ok(())
}
