//! The code that all peers share: the command line of the book's servers, and a response of the
//! same length as the book's servers send.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// The content of `/plaintext`.
pub const HELLO: &str = "Hello, World!";
/// The Content-Type of `/plaintext`.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// The time for which an idle connection is kept open. The peers' own defaults, some only a few
/// seconds, would close the idle connections of a measurement.
pub const KEEP_ALIVE: Duration = Duration::from_secs(3600);

/// Command-line options of a peer.
#[derive(Parser, Debug)]
pub struct Options {
    /// Address to listen on; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Directory to serve files from, for peers that serve files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,
}

/// Parses the command line, and raises the descriptor limit to its maximum.
pub fn options() -> Options {
    let options = Options::parse();
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If `setrlimit` fails, the soft limit stays.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    options
}

/// Returns a listening socket like those of the book's servers: the same backlog, and TCP_NODELAY,
/// which accepted sockets inherit.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Prints the line by which the book's servers announce their address.
pub fn announce(address: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}

/// Returns `address`, in which a free port replaces port 0, for a server that cannot report which
/// port the kernel gave it. An address with another port is returned unchanged. If another process
/// binds the port before the server does, the server fails to start.
///
/// # Errors
///
/// The error of bind(2), for example because the port is not free.
pub fn choose_port(address: SocketAddr) -> io::Result<SocketAddr> {
    TcpListener::bind(address)?.local_addr()
}
