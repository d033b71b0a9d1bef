//! A port for a server that cannot choose one.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Socket, Type};

use crate::verdict::{Step, Stop};

/// A port that nobody has. Not one that the kernel chooses: it may give the
/// same to the next who asks, before the server has taken it. Each process of
/// the suite walks through the ports below the kernel's range from a place of its own.
pub fn free_port() -> Step<u16> {
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
    Err(Stop::skip("no free port"))
}

/// Takes a port without listening there. For another thread may be starting a server at
/// this moment, and then its child has a copy of this socket until it is another
/// program. If it listened, it would be the child who takes our first connection, and
/// resets it.
fn try_port(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?; // the server that comes need not wait for the copy
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn while_a_port_is_tried_nobody_is_there() -> Step<()> {
        let port = free_port()?;
        let tried = try_port(port).map_err(|error| Stop::fail("a port", error))?;
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        if cfg!(target_os = "linux") {
            let listener = TcpListener::bind(("127.0.0.1", port));
            assert!(listener.is_ok(), "the server's bind: {listener:?}");
            assert!(try_port(port).is_err(), "somebody listens there");
        }
        drop(tried);
        Ok(())
    }
}
