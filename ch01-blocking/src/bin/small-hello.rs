// ANCHOR: head
//! A web server in forty lines, with the standard library alone: one client after the
//! other, one answer for each.
//!
//! The server reads a request's head up to the empty line, and looks only at the first
//! line of the head. It leaves out everything else: header fields, content, a second
//! request on the same connection, deadlines, and an orderly stop.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

// ANCHOR_END: head
// ANCHOR: main
fn main() -> io::Result<()> {
    let address = std::env::args().skip_while(|word| word != "--listen").nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let Ok((client, _)) = listener.accept() else { continue };
        // If answering fails, only this connection ends, and it ends here in any case.
        let _ = answer(client);
    }
}

// ANCHOR_END: main
// ANCHOR: answer
/// The largest head of a request that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Reads one request's head, answers it, and closes the connection.
fn answer(mut client: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let n = client.read(&mut buffer)?;
        if n == 0 || head.len() + n > MAX_HEAD {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..n]);
    }
    let (status, text) = match head.starts_with(b"GET /plaintext HTTP/1.1\r\n") {
        true => ("200 OK", "Hello, World!"),
        false => ("501 Not Implemented", "501 only GET /plaintext\n"),
    };
    let length = text.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{text}"
    )
}
// ANCHOR_END: answer
