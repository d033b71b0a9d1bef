//! A client that was accepted in the very moment of the stop is served as the others
//! are, and is not there for ever either.
//!
//! `iterative` accepts in one thread and drains in another, so somebody may be seated
//! when all who were there have gone. Here the test is the thread that accepts, and takes
//! its time.

use ch01_blocking::app::site::Site;
use ch01_blocking::connection::handle_connection;
use ch01_blocking::deadlines::Timeouts;
use ch01_blocking::http::Limits;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::connections::Connections;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

/// Nothing in here ends because its time is over.
const LONG: Duration = Duration::from_secs(3600);
const PATIENT: Timeouts = Timeouts {
    idle: LONG,
    head: LONG,
    body: LONG,
    body_rate: 0,
    write: LONG,
    linger: LONG,
    drain: LONG,
};

/// Registers a connection whose client has already sent `said`, serves it, and returns what
/// the client has received.
fn seat_and_serve(
    connections: &Connections<'_>,
    site: &Site,
    said: &str,
) -> io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.write_all(said.as_bytes())?;
    let guard = connections.register(listener.accept()?.0, usize::MAX);
    thread::scope(|scope| {
        scope.spawn(|| {
            let guard = guard;
            handle_connection(&guard, Admission::Admitted, site, &PATIENT);
        });
        let mut heard = String::new();
        client.read_to_string(&mut heard)?;
        drop(client); // who is served lingers until it leaves
        Ok(heard)
    })
}

#[test]
fn who_is_seated_after_all_have_gone_is_answered() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let heard = thread::scope(|scope| {
        scope.spawn(|| connections.drain(LONG)); // nobody is there
        // It says so with the set locked, so it has found it empty before we register.
        while !site.is_draining() {
            thread::yield_now();
        }
        let request = "GET /plaintext HTTP/1.1\r\nHost: test\r\n\r\n";
        let heard = seat_and_serve(&connections, &site, request);
        connections.close(); // or the drain would not end
        heard
    })?;
    assert!(heard.starts_with("HTTP/1.1 200 "), "an answer: {heard:?}");
    Ok(())
}

/// Whether it is seated before the deadline or after.
#[test]
fn who_never_finishes_is_cut_off_at_the_deadline() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let half = "GET /plaintext HTTP/1.1\r\n";
    thread::scope(|scope| {
        let drain = scope.spawn(|| connections.drain(Duration::from_millis(100)));
        while !site.is_draining() {
            thread::yield_now();
        }
        assert_eq!(seat_and_serve(&connections, &site, half)?, "");
        drain.join().expect("it ends, though nobody has said that no more will come");
        assert_eq!(seat_and_serve(&connections, &site, half)?, "");
        let slept = connections.sleep(LONG);
        assert_eq!(
            slept.map_err(|error| error.kind()),
            Err(ErrorKind::ConnectionAborted)
        );
        Ok(())
    })
}

/// A client that speaks just as the server hangs up, or whose thread has not yet told
/// that it did, is not told that it was its fault.
#[test]
fn who_is_hung_up_on_as_it_speaks_hears_no_refusal() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let guard = connections.register(listener.accept()?.0, usize::MAX);
    guard.entry.idle.store(true, SeqCst);
    let mut heard = String::new();
    thread::scope(|scope| {
        scope.spawn(|| connections.drain(LONG));
        while !site.is_draining() {
            thread::yield_now();
        }
        connections.close(); // takes the lock, so the drain has hung up
        client.write_all(b"GET /plaintext HTTP/1.1\r\n")?;
        scope.spawn(|| {
            let guard = guard;
            handle_connection(&guard, Admission::Admitted, &site, &PATIENT);
        });
        client.read_to_string(&mut heard)?;
        drop(client);
        io::Result::Ok(())
    })?;
    assert_eq!(heard, "");
    assert_eq!(site.stats.refused.get(), 0);
    Ok(())
}

/// A read has returned half a request, and its thread has not cleared `idle` yet when the
/// stop comes. The connection stays open for the other half.
#[test]
#[cfg(target_os = "linux")] // elsewhere the kernel does not count what it has received
fn half_a_request_that_is_not_counted_yet_is_not_hung_up_on() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let _idle = TcpStream::connect(listener.local_addr()?)?;
    let guards = [listener.accept()?.0, listener.accept()?.0]
        .map(|socket| connections.register(socket, usize::MAX));
    client.write_all(b"GET /plain")?;
    for guard in &guards {
        guard.entry.idle.store(true, SeqCst); // as before each read
    }
    assert_eq!((&guards[0].entry.socket).read(&mut [0; 64])?, 10);
    thread::scope(|scope| {
        scope.spawn(|| connections.drain(LONG));
        while !site.is_draining() {
            thread::yield_now();
        }
        connections.close(); // takes the lock, so the drain has looked at both
        let closed = guards.map(|guard| guard.entry.closed_by_server.load(SeqCst));
        assert_eq!(closed, [false, true], "half a request, and none");
        Ok(())
    })
}
