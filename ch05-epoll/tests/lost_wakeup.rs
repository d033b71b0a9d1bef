//! The server that is wrong on purpose is wrong in the way that the page says, and no
//! longer so when it is mended. The verdict comes from the order of events.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Shorter than the server's piece of 64 bytes.
const SHORT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";
/// Longer than one piece, shorter than two.
const LONG: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: x\r\nUser-Agent: one with a long name/1.0\r\n\r\n";
const ANSWER: &[u8] = b"Hello, World!";
const PIECE: usize = 64;

/// A running server; it ends with the test.
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
        // Only so that a failure is one, and no test that never ends.
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
        assert!(n > 0, "the end, after {:?}", String::from_utf8_lossy(&got));
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
fn what_is_left_behind_an_edge_is_told_with_the_next_one() {
    assert!(SHORT.len() < PIECE && PIECE < LONG.len() && LONG.len() < 2 * PIECE);
    let server = Server::start(&[]);
    let (mut a, mut b) = (server.connect(), server.connect());
    ask(&mut a); // both are known to the server before it begins
    ask(&mut b);
    a.write_all(LONG).expect("a request");
    for _ in 0..50 {
        ask(&mut b); // it lives, and has been told of A long ago
    }
    assert!(has_nothing(&mut a), "the server is not wrong");
    a.write_all(b"G").expect("one byte more");
    answer(&mut a);
}

#[test]
fn whoever_reads_until_it_would_wait_loses_nothing() {
    let server = Server::start(&["--fixed"]);
    let mut a = server.connect();
    ask(&mut a);
    a.write_all(LONG).expect("a request");
    answer(&mut a);
    ask(&mut a);
}
