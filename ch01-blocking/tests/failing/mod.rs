//! Tests that a panic of the application outside its routes costs one connection. Some
//! of the panics come from the destructor of a response's body, wherever the server
//! drops the body, even during an endless delay; one looks like the cancellation of a
//! coroutine. Later chapters include this file by its path.

use ch01_blocking::app::site::Routes;
use ch01_blocking::http::{Body, BodyStream, NextPiece, Request, Response};
use ch01_blocking::program::Cli;
use ch01_blocking::server::unwind::Cancelled;
use ch01_blocking::{Listener, Options, Site, Stop};
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// A streamed body whose destructor panics.
struct Failing;

impl BodyStream for Failing {
    fn more(&mut self, _: &Waker, _: &mut Vec<u8>) -> NextPiece {
        NextPiece::End
    }

    fn heartbeat(&self) -> &'static [u8] {
        b"\n"
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        panic!("a destructor that panics is part of the test");
    }
}

#[derive(Debug)]
struct Fails;

impl Routes for Fails {
    fn respond(&self, request: &Request<'_>) -> Option<Response> {
        let delay = match request.path {
            b"/fails" => None,
            b"/fails-later" => Some(Duration::MAX),
            b"/cancels" => resume_unwind(Box::new(Cancelled)),
            _ => return None,
        };
        let body = Body::Live(Box::new(Failing));
        Some(Response { body, delay, ..Response::new(200) })
    }
}

fn connect(address: SocketAddr, method: &str, path: &str) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(address)?;
    write!(client, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    Ok(client)
}

fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<String> {
    let mut answer = Vec::new();
    match connect(address, method, path)?.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Sends a server requests whose response bodies panic, and asserts that the server
/// still answers other requests, stops in order, and has counted each panic.
pub(crate) fn costs_one_connection(
    run: impl FnOnce(Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let options: Options = Cli::parse_from(["failing", "--drain-timeout", "0.2"]).options;
    let site = Arc::new(options.site()?.with(Box::new(Fails)));
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let well = || -> io::Result<()> {
        let answer = ask(address, "GET", "/plaintext")?;
        assert!(answer.ends_with("\r\n\r\nHello, World!"), "{answer:?}");
        Ok(())
    };
    thread::scope(|scope| {
        let server = scope.spawn(|| run(listener, &site, &options, &stop));
        ask(address, "GET", "/fails")?;
        well()?;
        ask(address, "HEAD", "/fails")?;
        well()?;
        let [leaves, stays] = [(); 2].map(|()| connect(address, "GET", "/fails-later"));
        well()?;
        drop(leaves);
        well()?;
        let answer = ask(address, "GET", "/cancels")?;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer:?}");
        well()?;
        stopper.stop()?;
        server.join().expect("the server does not panic")?;
        drop(stays);
        io::Result::Ok(())
    })?;
    assert_eq!(site.stats.panics.get(), 5);
    Ok(())
}
