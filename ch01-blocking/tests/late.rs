//! Tests that a connection that is accepted at the moment of shutdown is served, and is
//! closed by the drain deadline, like every other connection.
//!
//! `iterative` accepts on one thread and drains on another, so a connection may be
//! registered after the last of the other connections has closed. In these tests the
//! accepting thread is deliberately slow.

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

/// A timeout that is never reached in these tests.
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

/// Registers and serves a connection whose client has already sent `said`. Returns the
/// bytes that the client has received, as text.
fn register_and_serve(
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
        let mut received = String::new();
        client.read_to_string(&mut received)?;
        drop(client); // the server lingers until the client closes
        Ok(received)
    })
}

#[test]
fn a_connection_registered_after_the_last_closed_is_answered() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let received = thread::scope(|scope| {
        scope.spawn(|| connections.drain(LONG)); // no connection is registered
        // `drain` takes the lock of the set, sets the flag `is_draining`, finds the set
        // empty, and only then releases the lock. `register` takes the same lock. So a
        // connection that is registered after this loop has seen the flag is registered
        // after `drain` has found the set empty.
        while !site.is_draining() {
            thread::yield_now();
        }
        let request = "GET /plaintext HTTP/1.1\r\nHost: test\r\n\r\n";
        let received = register_and_serve(&connections, &site, request);
        connections.close(); // ends the drain
        received
    })?;
    assert!(received.starts_with("HTTP/1.1 200 "), "a response: {received:?}");
    Ok(())
}

/// The connection of an unfinished request is closed at the drain deadline, whether it is
/// registered before the deadline or after it.
#[test]
fn an_unfinished_request_is_closed_at_the_drain_deadline() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let half = "GET /plaintext HTTP/1.1\r\n";
    thread::scope(|scope| {
        let drain = scope.spawn(|| connections.drain(Duration::from_millis(100)));
        while !site.is_draining() {
            thread::yield_now();
        }
        assert_eq!(register_and_serve(&connections, &site, half)?, "");
        drain.join().expect("the drain ends although the set was not closed");
        assert_eq!(register_and_serve(&connections, &site, half)?, "");
        let slept = connections.sleep(LONG);
        assert_eq!(
            slept.map_err(|error| error.kind()),
            Err(ErrorKind::ConnectionAborted)
        );
        Ok(())
    })
}

/// A client that sends half a request while the server closes its idle connection gets
/// no error response: a 400 would blame the client.
#[test]
fn a_client_that_sends_while_it_is_closed_gets_no_error() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let connections = Connections::new(&site);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let guard = connections.register(listener.accept()?.0, usize::MAX);
    guard.entry.idle.store(true, SeqCst);
    let mut received = String::new();
    thread::scope(|scope| {
        scope.spawn(|| connections.drain(LONG));
        while !site.is_draining() {
            thread::yield_now();
        }
        connections.close(); // takes the lock after `drain` has shut down the socket
        client.write_all(b"GET /plaintext HTTP/1.1\r\n")?;
        scope.spawn(|| {
            let guard = guard;
            handle_connection(&guard, Admission::Admitted, &site, &PATIENT);
        });
        client.read_to_string(&mut received)?;
        drop(client);
        io::Result::Ok(())
    })?;
    assert_eq!(received, "");
    assert_eq!(site.stats.refused.get(), 0);
    Ok(())
}

/// A connection stays open for the rest of a request whose first half was read just before
/// the stop, so that its thread has not cleared `idle` yet.
#[test]
#[cfg(target_os = "linux")] // elsewhere the kernel does not count received bytes
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
        guard.entry.idle.store(true, SeqCst); // as `Blocking::fill` does between requests
    }
    assert_eq!((&guards[0].entry.socket).read(&mut [0; 64])?, 10);
    thread::scope(|scope| {
        scope.spawn(|| connections.drain(LONG));
        while !site.is_draining() {
            thread::yield_now();
        }
        connections.close(); // takes the lock after `drain` has checked both connections
        let closed = guards.map(|guard| guard.entry.closed_by_server.load(SeqCst));
        assert_eq!(closed, [false, true], "half a request, and none");
        Ok(())
    })
}
