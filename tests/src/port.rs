//! Chooses a port for a server that cannot be started with port 0.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Socket, Type};

use crate::verdict::{Abort, CaseResult};

/// Returns a port that is not in use.
///
/// Letting the kernel choose the port is not safe here: the kernel may give the same port to
/// another process before the server has bound it. Each process of the suite instead walks through
/// the ports below the kernel's ephemeral range, beginning at a number that depends on its process
/// ID.
pub fn free_port() -> CaseResult<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 131;
        let port = (FIRST + step % COUNT) as u16;
        if try_port(port).is_ok() {
            return Ok(port);
        }
    }
    Err(Abort::skip("no port is free"))
}

/// Binds a port without listening on it, and returns the socket.
///
/// If another thread starts a server while this socket is open, the child process holds a copy of
/// the socket until it calls exec. If the socket were listening, the copy would keep it listening:
/// the kernel would complete the suite's first connection to the port, and would reset that
/// connection when exec closes the copy.
fn try_port(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // With SO_REUSEADDR the server can bind the port even while a child holds a copy of this
    // socket.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_tried_port_accepts_no_connection() -> CaseResult<()> {
        let port = free_port()?;
        let tried = try_port(port).map_err(|error| Abort::fail("a port", error))?;
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        if cfg!(target_os = "linux") {
            let listener = TcpListener::bind(("127.0.0.1", port));
            assert!(listener.is_ok(), "the server's bind: {listener:?}");
            assert!(try_port(port).is_err(), "the port has a listener");
        }
        drop(tried);
        Ok(())
    }
}
