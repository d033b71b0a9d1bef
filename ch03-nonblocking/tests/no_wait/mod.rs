//! Tests that a server whose poller fails in every call to `wait` still serves connections, and
//! returns without an error after a stop request. Chapter 6 includes this file by its path.

use ch01_blocking::program::Cli;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub(crate) struct Failing;

impl Poller for Failing {
    fn register(&mut self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: BorrowedFd<'_>, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, _: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::OutOfMemory.into())
    }
}

/// Tests that a server with a failing poller serves two connections, and returns without an error
/// after a stop request.
pub(crate) fn every_connection_is_tried(
    run: impl FnOnce(Failing, Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let options: Options = Cli::parse_from(["no_wait"]).options;
    let site = Arc::new(options.site()?);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    thread::scope(|scope| {
        let server = scope.spawn(|| run(Failing, listener, &site, &options, &stop));
        let mut clients = [TcpStream::connect(address)?, TcpStream::connect(address)?];
        for _ in 0..2 {
            for client in &mut clients {
                client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
            }
            for client in &mut clients {
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\nHello, World!") {
                    let mut piece = [0; 512];
                    let n = client.read(&mut piece)?;
                    assert!(n > 0, "the connection ended: {answer:?}");
                    answer.extend_from_slice(&piece[..n]);
                }
            }
        }
        stopper.stop()?;
        server.join().expect("the server does not panic")
    })
}
