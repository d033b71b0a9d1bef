//! A server with a thread for each client.

mod request;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    for client in listener.incoming().flatten() {
        thread::spawn(move || serve(client));
    }
    Ok(())
}

fn serve(mut client: TcpStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        match request::first(&bytes) {
            Ok(Some((request, length))) => {
                bytes.drain(..length);
                let (status, content) = match request.target.as_str() {
                    "/plaintext" => ("200 OK", "Hello, World!"),
                    _ => ("404 Not Found", ""),
                };
                let close = if request.close { "Connection: close\r\n" } else { "" };
                write!(
                    client,
                    "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n{close}\r\n{content}",
                    content.len()
                )?;
                if request.close {
                    return Ok(());
                }
            }
            Ok(None) => {
                let mut piece = [0; 4096];
                match client.read(&mut piece)? {
                    0 => return Ok(()),
                    n => bytes.extend_from_slice(&piece[..n]),
                }
            }
            Err(request::Malformed) => {
                client.write_all(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
                )?;
                // Closing a connection with unread bytes would reset it, and the reset could
                // destroy the response.
                client.shutdown(Shutdown::Write)?;
                while client.read(&mut [0; 4096])? > 0 {}
                return Ok(());
            }
        }
    }
}
