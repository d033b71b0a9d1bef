//! Clients of a server under measurement, which connect, are served once, and stay connected.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The most connections that are opened before the first of them is answered: fewer than a
/// listener's backlog holds.
const AT_ONCE: usize = 100;
/// The longest wait for an answer, longer than any answer takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A request after which the server keeps the connection.
pub(crate) const KEPT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: lab\r\n\r\n";
/// A request after which the server closes the connection.
pub(crate) const LAST: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
/// The body of the answer to each of the requests [`KEPT`] and [`LAST`].
const ANSWER: &[u8] = b"Hello, World!";

/// Opens `count` connections, and returns them, still open, when each has been served once.
pub(crate) fn hold(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut held: Vec<TcpStream> = Vec::with_capacity(count);
    while held.len() < count {
        let old = held.len();
        for _ in old..count.min(old + AT_ONCE) {
            held.push(ask(address, KEPT)?);
        }
        for client in &mut held[old..] {
            answered(client)?;
        }
    }
    Ok(held)
}

/// Opens `count` connections and sends `request` on each, without reading the answers. Returns the
/// connections when the server has accepted all of them.
pub(crate) fn waiting(
    address: SocketAddr,
    count: usize,
    request: &[u8],
) -> Result<Vec<TcpStream>> {
    let mut waiting: Vec<TcpStream> = Vec::with_capacity(count);
    while waiting.len() < count {
        for _ in 0..AT_ONCE.min(count - waiting.len()) {
            waiting.push(ask(address, request)?);
        }
        // The server accepts connections in the order in which they were opened: when it has served
        // this further client, it has accepted all earlier connections.
        hold(address, 1)?;
    }
    Ok(waiting)
}

/// Connects to a server and sends a request.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address).context("cannot connect")?;
    client.set_read_timeout(Some(TIMEOUT))?;
    client.write_all(request)?;
    Ok(client)
}

/// Waits for the answer to a request for `/plaintext`, and returns the answer's bytes, head
/// included.
pub(crate) fn answered(client: &mut TcpStream) -> Result<Vec<u8>> {
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(ANSWER) {
        let n = client.read(&mut piece).context("no answer")?;
        ensure!(n > 0, "the server closed the connection");
        answer.extend_from_slice(&piece[..n]);
    }
    Ok(answer)
}
