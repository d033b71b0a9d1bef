//! Tests that the server `lost-wakeup` loses a wake-up, as "The lost wake-up" in
//! `book/src/ch05-epoll.md` says, and loses none with `--fixed`. The tests rely on the order of
//! events, not on time.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A request shorter than the 64 bytes that the server reads at once.
const SHORT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";
/// A request longer than the 64 bytes of one read, and shorter than two reads.
const LONG: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: x\r\nUser-Agent: one with a long name/1.0\r\n\r\n";
const ANSWER: &[u8] = b"Hello, World!";
const PIECE: usize = 64;

/// A running server; dropping this value kills the process.
struct Server(Child, SocketAddr);

impl Server {
    fn start(options: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lost-wakeup"))
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let address = line.trim_end().strip_prefix("listening on http://");
        Server(child, address.expect("an address").parse().expect("an address"))
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.1).expect("a connection");
        // The timeout ends a failing test, whose read would otherwise block forever.
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a deadline");
        client.set_nodelay(true).expect("no delay");
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answer(client: &mut TcpStream) {
    let mut got = Vec::new();
    let mut bytes = [0; 1024];
    while !got.ends_with(ANSWER) {
        let n = client.read(&mut bytes).expect("an answer");
        assert!(n > 0, "end of file after {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&bytes[..n]);
    }
    assert!(got.starts_with(b"HTTP/1.1 200 "));
}

fn ask(client: &mut TcpStream) {
    client.write_all(SHORT).expect("a request");
    answer(client);
}

fn has_nothing(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).expect("a socket");
    let got = client.read(&mut [0; 1]);
    client.set_nonblocking(false).expect("a socket");
    matches!(got, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn bytes_left_unread_are_reported_with_the_next_edge() {
    assert!(SHORT.len() < PIECE && PIECE < LONG.len() && LONG.len() < 2 * PIECE);
    let server = Server::start(&[]);
    let (mut a, mut b) = (server.connect(), server.connect());
    // Both clients connected before A's request, so the server accepts both before it answers A.
    ask(&mut a);
    ask(&mut b);
    a.write_all(LONG).expect("a request");
    for _ in 0..50 {
        ask(&mut b); // the server works, and A's event was reported long ago
    }
    assert!(has_nothing(&mut a), "the server is not faulty: A was answered");
    a.write_all(b"G").expect("one byte more");
    answer(&mut a);
}

#[test]
fn reading_until_eagain_loses_nothing() {
    let server = Server::start(&["--fixed"]);
    let mut a = server.connect();
    ask(&mut a);
    a.write_all(LONG).expect("a request");
    answer(&mut a);
    ask(&mut a);
}
