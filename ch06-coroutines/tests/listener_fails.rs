//! A listener whose registration cannot be changed ends its server with an error, which is logged
//! at once. This test has a program of its own, because it lowers the limit on descriptors and
//! replaces standard error.
#![cfg(target_os = "linux")] // other systems may accept(2) without a free descriptor

#[macro_use]
#[path = "../../ch03-nonblocking/tests/delegate/mod.rs"]
mod delegate;
mod servers;

use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch04_select_poll::poll::Poll;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket,
};
use nix::unistd::{dup, dup2_stderr, pipe};
use servers::{SERVERS, run};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

const WHY: &str = "no registration can be changed";

/// A poller that cannot change a registration: `reregister` always fails.
#[derive(Default)]
struct Rigid {
    poll: Poll,
}

impl Poller for Rigid {
    delegate!(poll: register, deregister);

    fn reregister(&mut self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
        Err(io::Error::other(WHY))
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.poll.wait(ready, timeout)
    }
}

/// Makes the server, which runs in this process, pause accepting: creates a client's socket, lowers
/// the process's limit on descriptors, and connects the socket. Returns when the server has closed
/// its listener.
fn ask_in_vain(address: SocketAddr) -> io::Result<()> {
    let mut served = TcpStream::connect(address)?;
    served.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    served.read_exact(&mut [0; 12])?; // the server has opened all that it needs
    let client = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let lowest_free = File::open("/dev/null")?.as_raw_fd();
    setrlimit(Resource::RLIMIT_NOFILE, lowest_free as u64, hard)?;
    let connected = connect(client.as_raw_fd(), &SockaddrStorage::from(address));
    let mut client = TcpStream::from(client);
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let read = client.read(&mut [0]);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    connected?;
    match read {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        read => Err(io::Error::other(format!("the listener is still open: {read:?}"))),
    }
}

/// Returns what is written to standard error while a function runs, and the function's result.
fn with_standard_error<T>(call: impl FnOnce() -> T) -> io::Result<(String, T)> {
    let before = dup(io::stderr())?;
    let (reader, writer) = pipe()?;
    dup2_stderr(writer)?;
    let returned = call();
    dup2_stderr(before)?;
    let mut written = String::new();
    File::from(reader).read_to_string(&mut written)?;
    Ok((written, returned))
}

#[test]
fn the_server_ends_and_says_why() -> io::Result<()> {
    for serve in SERVERS {
        let (written, ended) = with_standard_error(|| {
            run(serve, Rigid::default(), |address, _| ask_in_vain(address))
        })?;
        assert_eq!(ended.map_err(|error| error.to_string()), Err(WHY.to_owned()));
        let line = format!("a thread of the server has failed, and all stop: {WHY}\n");
        assert_eq!(written, line);
    }
    Ok(())
}
