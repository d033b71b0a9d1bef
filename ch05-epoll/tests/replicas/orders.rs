//! Replicas that accept an order, record it, and close without a response, so that the sender
//! cannot know whether the order was carried out. The replicas answer other requests on keep-alive
//! connections.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::NAMES;

/// The orders received, in sequence; an order that was received twice occurs twice.
type Book = Arc<Mutex<Vec<String>>>;

/// Three replicas that accept orders; they end with the test process.
pub(crate) struct Orders {
    pub(crate) addresses: [SocketAddr; NAMES.len()],
    book: Book,
}

impl Orders {
    pub(crate) fn open() -> Orders {
        let book = Book::default();
        let addresses = NAMES.map(|_| {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let address = listener.local_addr().expect("its address");
            let book = book.clone();
            thread::spawn(move || {
                for visitor in listener.incoming().flatten() {
                    let book = book.clone();
                    // An error is ignored: a client that closes in the middle of a request has
                    // ordered nothing.
                    thread::spawn(move || serve(visitor, &book));
                }
            });
            address
        });
        Orders { addresses, book }
    }

    /// Returns all accepted orders, sorted.
    pub(crate) fn taken(&self) -> Vec<String> {
        let mut taken = self.book.lock().unwrap_or_else(PoisonError::into_inner).clone();
        taken.sort();
        taken
    }
}

fn serve(visitor: TcpStream, book: &Book) -> io::Result<()> {
    let mut visitor = BufReader::new(visitor);
    loop {
        let mut line = String::new();
        if visitor.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut last = line.trim_end().ends_with("HTTP/1.0");
        let mut length = 0;
        loop {
            let mut field = String::new();
            if visitor.read_line(&mut field)? == 0 {
                return Ok(());
            }
            let field = field.trim_end().to_ascii_lowercase();
            match field.split_once(':') {
                None => break,
                Some(("content-length", number)) => {
                    length = number.trim().parse().map_err(io::Error::other)?;
                }
                Some(("connection", options)) => last |= options.trim() == "close",
                Some(_) => {}
            }
        }
        io::copy(&mut visitor.by_ref().take(length), &mut io::sink())?;
        if line.starts_with("POST ") {
            let order = line.split(' ').nth(1).unwrap_or_default().to_owned();
            book.lock().unwrap_or_else(PoisonError::into_inner).push(order);
            return Ok(());
        }
        let end = if last { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{end}\r\nthere");
        visitor.get_mut().write_all(answer.as_bytes())?;
        if last {
            return Ok(());
        }
    }
}
