//! What the peers have in common: the command line of the book's servers, and an answer
//! that is as long as theirs.

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
/// What kind of content that is.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// For so long a connection may be idle. Their own defaults (a few seconds with some) would
/// end those that are to be idle beside the others.
pub const KEPT: Duration = Duration::from_secs(3600);

/// What a peer is told at its start.
#[derive(Parser, Debug)]
pub struct Options {
    /// Address to listen on; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Directory whose files are served, by those that serve files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,
}

/// The command line, and as many descriptors as the system grants.
pub fn options() -> Options {
    let options = Options::parse();
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // or what there is must do
    }
    options
}

/// A listening socket like those of the book's servers: the same backlog, and what it
/// accepts sends at once (TCP_NODELAY is inherited).
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

/// Says where, in the words of the book's servers.
pub fn say(address: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}

/// The port that the kernel would choose for 0, for a server that cannot tell which one it
/// was given. (If somebody takes it in between, the server cannot start.)
pub fn chosen(address: SocketAddr) -> io::Result<SocketAddr> {
    TcpListener::bind(address)?.local_addr()
}
