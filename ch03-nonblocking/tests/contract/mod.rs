//! Tests of the [`Poller`] contract: `contract!(spin, Spin::default())` generates the
//! tests for one mechanism. Chapters 4 and 5 include this file by its path.

use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use nix::sys::socket::MsgFlags;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// Generates one test for each promise of the contract. The expression `$poller` creates
/// the poller.
macro_rules! contract {
    ($name:ident, $poller:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            contract! { @each $poller;
                there_before, arrives, arrives_again, end_with_data, end_alone,
                end_behind_a_short_read, urgent, reset, reset_without_interest, room_to_write,
                room_again, interest_comes_back, interest_changes_in_time, deregistered,
                stale_token, stale_event, registered_again, to_accept, many, no_starvation,
                returns_at_once, not_too_early, waits_for_ever,
            }
        }
    };
    (@each $poller:expr; $($test:ident,)*) => {$(
        #[test]
        fn $test() {
            $crate::contract::$test(&mut $poller);
        }
    )*};
}
pub(crate) use contract;

/// The time after which an event that was not reported counts as lost. Only a faulty
/// mechanism makes a test wait that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a connected client socket and a non-blocking server socket.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let client = TcpStream::connect(address).expect("a connection");
    let (server, _) = listener.accept().expect("a connection");
    server.set_nonblocking(true).expect("a mode");
    (client, server)
}

fn token(index: u32) -> Token {
    Token { index, generation: 7 }
}

/// Resets the connection of `client`: with a linger time of zero, close sends RST
/// (socket(7), SO_LINGER).
fn reset_it(client: TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::Linger, &linger)
        .expect("an option");
    drop(client);
}

/// Waits until `server` has something to read. Over loopback, the kernel delivers a
/// byte before `write` returns, or a moment later.
fn there(server: &TcpStream) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match server.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            _ => return,
        }
    }
    panic!("nothing arrives");
}

/// Waits until an event for which `is_it` holds is reported for the token, and returns
/// the event. An event for another token fails the test.
fn reported(
    poller: &mut impl Poller,
    token: Token,
    what: &str,
    is_it: impl Fn(&Ready) -> bool,
) -> Ready {
    let start = Instant::now();
    let mut ready = Vec::new();
    while start.elapsed() < PATIENCE {
        poller.wait(&mut ready, Some(Duration::from_millis(100))).expect("no error");
        for event in ready.drain(..) {
            assert_eq!(event.token, token, "an event for another token");
            if is_it(&event) {
                return event;
            }
        }
    }
    panic!("never reported: {what}");
}

fn readable(poller: &mut impl Poller, token: Token) -> Ready {
    reported(poller, token, "readable", |ready| ready.readable)
}

fn writable(poller: &mut impl Poller, token: Token) -> Ready {
    reported(poller, token, "writable", |ready| ready.writable)
}

/// Returns all events that are reported without waiting.
fn now(poller: &mut impl Poller) -> Vec<Ready> {
    let mut ready = Vec::new();
    for _ in 0..3 {
        poller.wait(&mut ready, Some(Duration::ZERO)).expect("no error");
    }
    ready
}

/// Returns whether the mechanism guesses, that is, reports every descriptor as possibly
/// ready.
fn guesses(poller: &mut impl Poller) -> bool {
    let (_client, server) = pair();
    poller.register(server.as_fd(), token(99), Interest::READ).expect("no error");
    now(poller); // discards earlier events
    let guesses = !now(poller).is_empty();
    poller.deregister(server.as_fd(), token(99)).expect("no error");
    guesses
}

/// Writes until the socket buffer is full. Returns the number of bytes written.
fn fill(mut server: &TcpStream) -> usize {
    let mut all = 0;
    loop {
        match server.write(&[b'x'; 64 * 1024]) {
            Ok(n) => all += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads as the contract permits: until a short read, or until the end of file if `eof` was
/// reported. Returns the number of bytes, and whether the end of file was reached.
fn drain(mut server: &TcpStream, eof: bool) -> (usize, bool) {
    let mut all = 0;
    let mut buffer = [0; 16];
    loop {
        match server.read(&mut buffer) {
            Ok(0) => return (all, true),
            Ok(n) => {
                all += n;
                if n < buffer.len() && !eof {
                    return (all, false);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (all, false),
            Err(_) => return (all, true),
        }
    }
}

pub(crate) fn there_before(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    client.write_all(b"early").expect("sent");
    there(&server);
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    let ready = readable(poller, token(1));
    assert_eq!(drain(&server, ready.eof).0, 5);
}

pub(crate) fn arrives(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    client.write_all(b"late").expect("sent");
    there(&server);
    let ready = readable(poller, token(1));
    assert_eq!(drain(&server, ready.eof).0, 4);
}

/// Input that arrives after a short read is reported by a new event.
pub(crate) fn arrives_again(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    for size in [1, 15, 16, 17, 32, 100] {
        client.write_all(&vec![b'x'; size]).expect("sent");
        let mut came = 0;
        while came < size {
            let ready = readable(poller, token(1));
            came += drain(&server, ready.eof).0;
        }
        assert_eq!(came, size);
    }
}

// ANCHOR: end_with_data
pub(crate) fn end_with_data(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    client.write_all(b"last words").expect("sent");
    client.shutdown(Shutdown::Write).expect("half closed");
    there(&server);
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    until_the_end(poller, &server, 10);
}
// ANCHOR_END: end_with_data

/// Reads at each event until the end of file, and checks that `expected` bytes precede
/// it.
fn until_the_end(poller: &mut impl Poller, server: &TcpStream, expected: usize) {
    let mut came = 0;
    loop {
        let ready = reported(poller, token(1), "the end", |ready| {
            ready.readable || ready.eof || ready.broken
        });
        let (n, ended) = drain(server, ready.eof);
        came += n;
        if ended {
            assert_eq!(came, expected);
            return;
        }
    }
}

pub(crate) fn end_alone(poller: &mut impl Poller) {
    let (client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    client.shutdown(Shutdown::Write).expect("half closed");
    until_the_end(poller, &server, 0);
}

/// An end of file is reported although it arrives between the event that reports the data and the
/// short read that follows this event.
pub(crate) fn end_behind_a_short_read(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    client.write_all(b"word").expect("sent");
    there(&server);
    let ready = readable(poller, token(1));
    client.shutdown(Shutdown::Write).expect("half closed");
    let (came, ended) = drain(&server, ready.eof);
    assert_eq!(came, 4);
    if !ended {
        until_the_end(poller, &server, 0);
    }
}

/// Although a read stops at urgent data, a reader that reads at each event receives all
/// bytes.
pub(crate) fn urgent(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    client.write_all(b"before").expect("sent");
    assert_eq!(
        nix::sys::socket::send(client.as_raw_fd(), b"!", MsgFlags::MSG_OOB),
        Ok(1)
    );
    client.write_all(b"behind").expect("sent");
    let mut came = 0;
    while came < 12 {
        let ready = readable(poller, token(1));
        came += drain(&server, ready.eof).0; // the urgent byte is not counted
    }
    assert_eq!(came, 12);
}

pub(crate) fn reset(poller: &mut impl Poller) {
    let (client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    reset_it(client);
    reported(poller, token(1), "readable or broken", |ready| {
        ready.readable || ready.broken
    });
    assert!(
        (&server).read(&mut [0]).is_err(),
        "the reset has happened by the time it is reported"
    );
}

/// A reset is reported while no interest is registered, or at the latest when an
/// interest is registered again.
pub(crate) fn reset_without_interest(poller: &mut impl Poller) {
    let (client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    poller.reregister(server.as_fd(), token(1), Interest::NONE).expect("no error");
    now(poller);
    reset_it(client);
    there(&server);
    let told_already = now(poller).iter().any(|ready| {
        assert_eq!(ready.token, token(1));
        ready.broken || ready.readable
    });
    poller.reregister(server.as_fd(), token(1), Interest::READ).expect("no error");
    if !told_already {
        reported(poller, token(1), "readable or broken", |ready| {
            ready.readable || ready.broken
        });
    }
}

pub(crate) fn room_to_write(poller: &mut impl Poller) {
    let (_client, server) = pair();
    let interest = Interest::READ | Interest::WRITE;
    poller.register(server.as_fd(), token(1), interest).expect("no error");
    writable(poller, token(1));
}

/// A socket with a full send buffer is not reported as writable until the buffer has
/// room.
pub(crate) fn room_again(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    let sent = fill(&server);
    now(poller);
    poller.reregister(server.as_fd(), token(1), Interest::WRITE).expect("no error");
    if !guesses_about(poller) {
        assert!(
            now(poller).iter().all(|ready| !ready.writable),
            "not writable while the buffer is full"
        );
    }
    let reader = thread::spawn(move || {
        let read = client.read_exact(&mut vec![0; sent]);
        (client, read)
    });
    writable(poller, token(1));
    let (_client, read) = reader.join().expect("no panic");
    read.expect("all of it");
}

/// Returns whether the mechanism reports token 1 as writable again, although nothing
/// has changed since its last report.
fn guesses_about(poller: &mut impl Poller) -> bool {
    now(poller);
    now(poller).iter().any(|ready| ready.writable && ready.token == token(1))
}

/// Input that arrives while no interest in reading is registered is reported
/// immediately, or when that interest is registered again.
pub(crate) fn interest_comes_back(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    for interest in [Interest::NONE, Interest::WRITE] {
        poller.reregister(server.as_fd(), token(1), interest).expect("no error");
        client.write_all(b"meanwhile").expect("sent");
        there(&server);
        let told_already = now(poller).iter().any(|ready| ready.readable);
        poller.reregister(server.as_fd(), token(1), Interest::READ).expect("no error");
        if !told_already {
            readable(poller, token(1));
        }
        assert_eq!(drain(&server, false).0, 9);
    }
}

/// Switching interest between reading and writing loses no event.
pub(crate) fn interest_changes_in_time(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    for _ in 0..20 {
        client.write_all(b"word").expect("sent");
        let ready = readable(poller, token(1));
        assert_eq!(drain(&server, ready.eof).0, 4);
        let sent = fill(&server);
        poller.reregister(server.as_fd(), token(1), Interest::WRITE).expect("no error");
        let mut bytes = vec![0; sent];
        client.read_exact(&mut bytes).expect("all of it");
        writable(poller, token(1));
        poller.reregister(server.as_fd(), token(1), Interest::READ).expect("no error");
    }
}

pub(crate) fn deregistered(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    client.write_all(b"word").expect("sent");
    there(&server);
    readable(poller, token(1));
    poller.deregister(server.as_fd(), token(1)).expect("no error");
    now(poller); // discards events under way
    client.write_all(b"more").expect("sent");
    client.shutdown(Shutdown::Write).expect("half closed");
    there(&server);
    assert_eq!(now(poller), [], "no event after deregistering");
}

/// After a descriptor number is registered with another token, events have the new
/// token.
pub(crate) fn stale_token(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    client.write_all(b"word").expect("sent");
    there(&server);
    poller.deregister(server.as_fd(), token(1)).expect("no error");
    let (mut client, server) = successor(server);
    poller.register(server.as_fd(), token(2), Interest::READ).expect("no error");
    client.write_all(b"word").expect("sent");
    there(&server);
    let mut ready = Vec::new();
    let start = Instant::now();
    while !ready.iter().any(|ready: &Ready| ready.token == token(2) && ready.readable) {
        poller.wait(&mut ready, Some(Duration::from_millis(100))).expect("no error");
        assert!(start.elapsed() < PATIENCE, "never reported");
    }
    // An event from before the descriptor was deregistered may still be reported, with
    // its old token or with the new one. But no event may report the new connection as
    // broken.
    assert!(ready.iter().all(|ready| !ready.broken));
}

/// If a socket is reset and closed before the reset is reported, and its descriptor is
/// reused, the new socket must not be reported as broken.
pub(crate) fn stale_event(poller: &mut impl Poller) {
    let (client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    reset_it(client);
    there(&server);
    poller.deregister(server.as_fd(), token(1)).expect("no error");
    let (_client, server) = successor(server);
    poller.register(server.as_fd(), token(2), Interest::READ).expect("no error");
    for ready in now(poller) {
        assert!(
            !(ready.token == token(2) && ready.broken),
            "the previous socket was reset, not this one"
        );
    }
}

/// Returns a new connection whose server socket has the same descriptor as `server`, as if `server`
/// had been closed and a client accepted. (Another test could take the descriptor between a real
/// close and accept.)
fn successor(server: TcpStream) -> (TcpStream, TcpStream) {
    let (client, other) = pair();
    let mut place = OwnedFd::from(server);
    nix::unistd::dup2(&other, &mut place).expect("the same number");
    (client, place.into())
}

pub(crate) fn registered_again(poller: &mut impl Poller) {
    let (mut client, server) = pair();
    client.write_all(b"word").expect("sent");
    there(&server);
    for index in 1..5 {
        poller.register(server.as_fd(), token(index), Interest::READ).expect("no error");
        readable(poller, token(index)); // the byte is still unread
        poller.deregister(server.as_fd(), token(index)).expect("no error");
        now(poller);
    }
}

pub(crate) fn to_accept(poller: &mut impl Poller) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    listener.set_nonblocking(true).expect("a mode");
    let address = listener.local_addr().expect("an address");
    let _early = TcpStream::connect(address).expect("a connection");
    poller.register(listener.as_fd(), token(1), Interest::ACCEPT).expect("no error");
    readable(poller, token(1));
    listener.accept().expect("the early one");
    let _late = TcpStream::connect(address).expect("a connection");
    readable(poller, token(1));
    listener.accept().expect("the late one");
}

/// Many sockets are each reported with their own token.
pub(crate) fn many(poller: &mut impl Poller) {
    const MANY: usize = 150;
    let stays = |index: usize| !index.is_multiple_of(3);
    let mut pairs: Vec<_> = (0..MANY).map(|_| pair()).collect();
    for (index, (_, server)) in pairs.iter().enumerate() {
        poller
            .register(server.as_fd(), token(index as u32), Interest::READ)
            .expect("no error");
    }
    // Every third descriptor is deregistered, so that the poller's lists have gaps.
    for index in (0..MANY).step_by(3) {
        poller.deregister(pairs[index].1.as_fd(), token(index as u32)).expect("no error");
    }
    now(poller);
    for (client, server) in &mut pairs {
        client.write_all(b"word").expect("sent");
        there(server);
    }
    let mut missing: Vec<usize> = (0..MANY).filter(|&index| stays(index)).collect();
    let start = Instant::now();
    let mut ready = Vec::new();
    while !missing.is_empty() {
        assert!(start.elapsed() < PATIENCE, "never reported: {missing:?}");
        poller.wait(&mut ready, Some(Duration::from_millis(100))).expect("no error");
        for event in ready.drain(..).filter(|event| event.readable) {
            let index = event.token.index as usize;
            assert!(stays(index), "{index} is deregistered");
            if drain(&pairs[index].1, event.eof).0 > 0 {
                missing.retain(|&other| other != index);
            }
        }
    }
}

/// A descriptor that stays ready does not keep others from being reported.
pub(crate) fn no_starvation(poller: &mut impl Poller) {
    let ((mut loud, stays_ready), (mut late, server)) = (pair(), pair());
    poller.register(stays_ready.as_fd(), token(1), Interest::READ).expect("no error");
    poller.register(server.as_fd(), token(2), Interest::READ).expect("no error");
    now(poller);
    loud.write_all(b"word").expect("sent");
    there(&stays_ready);
    readable_of(poller, token(1), "the socket that stays ready");
    now(poller); // level-triggered mechanisms report the first socket again
    late.write_all(b"word").expect("sent");
    there(&server);
    readable_of(poller, token(2), "the other socket");
}

/// Polls up to 10,000 times, without waiting, until the token is reported as readable.
fn readable_of(poller: &mut impl Poller, token: Token, what: &str) {
    let mut ready = Vec::new();
    for _ in 0..10_000 {
        poller.wait(&mut ready, Some(Duration::ZERO)).expect("no error");
        if ready.drain(..).any(|event| event.token == token && event.readable) {
            return;
        }
    }
    panic!("never reported: {what}");
}

/// With a timeout of zero, `wait` returns although nothing is ready.
pub(crate) fn returns_at_once(poller: &mut impl Poller) {
    assert_eq!(now(poller), []);
    let (_client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
}

/// If no descriptor becomes ready and no signal arrives, `wait` does not return before its timeout,
/// which is rounded up. (Rounded down to 0, a timeout would make the event loop spin until its next
/// deadline.)
pub(crate) fn not_too_early(poller: &mut impl Poller) {
    if guesses(poller) {
        return; // this mechanism never blocks
    }
    now(poller);
    for micros in [1, 300, 999, 1_000, 1_001, 2_500, 20_300] {
        let time = Duration::from_micros(micros);
        let start = Instant::now();
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(time)).expect("no error");
        assert_eq!(ready, []);
        assert!(start.elapsed() >= time, "{:?} is not {time:?}", start.elapsed());
    }
}

/// Without a timeout, `wait` blocks until a descriptor is ready.
pub(crate) fn waits_for_ever(poller: &mut impl Poller) {
    let guesses = guesses(poller);
    let (mut client, server) = pair();
    poller.register(server.as_fd(), token(1), Interest::READ).expect("no error");
    now(poller);
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        client.write_all(b"word").map(|()| client)
    });
    let mut ready = Vec::new();
    let mut waits = 0;
    loop {
        poller.wait(&mut ready, None).expect("no error");
        waits += 1;
        if ready.drain(..).any(|ready| ready.readable) && drain(&server, true).0 > 0 {
            break;
        }
    }
    writer.join().expect("no panic").expect("sent");
    assert!(guesses || waits < 20, "{waits} calls of wait for one event");
}
