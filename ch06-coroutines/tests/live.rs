//! Tests of streamed bodies at the wire: their framing, the backpressure between source and client,
//! and the release of all resources, whichever side ends first.

use crate::servers::SERVERS;
use ch01_blocking::app::site::Routes;
use ch01_blocking::http::{Body, BodyStream, NextPiece, Request, Response};
use ch01_blocking::program::Cli;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::poller::Poller;
use ch04_select_poll::poll::Poll;
use clap::Parser;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// A time limit for every read, longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Size in bytes of a piece of the route `/endless`.
const PIECE: usize = 16 * 1024;
/// Size in bytes of a piece that exceeds the kernel's buffers for a client that does not
/// read.
const LARGE: usize = 64 * 1024 * 1024;

/// The pieces that a test has added and the server has not taken yet.
#[derive(Default)]
struct Pieces {
    ready: VecDeque<&'static str>,
    over: bool,
    wakers: Vec<Waker>,
    /// The number of pieces that the server has taken from `/endless`.
    taken: usize,
}

/// The routes of the tests: `/live` ends when the test asks for it, `/quiet` sends frequent
/// heartbeats, `/endless` never ends.
#[derive(Clone)]
struct Tap {
    pieces: Arc<Mutex<Pieces>>,
    let_go: Sender<()>,
}

impl Tap {
    fn hand_in(&self, piece: &'static str) {
        self.change(|pieces| pieces.ready.push_back(piece));
    }

    fn end(&self) {
        self.change(|pieces| pieces.over = true);
    }

    fn change(&self, change: impl FnOnce(&mut Pieces)) {
        let mut pieces = self.pieces.lock().expect("whole");
        change(&mut pieces);
        pieces.wakers.drain(..).for_each(Waker::wake);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl Routes for Tap {
    fn respond(&self, request: &Request<'_>) -> Option<Response> {
        let (quiet, endless) = match request.path {
            b"/live" => (3600.0, false),
            b"/quiet" => (0.005, false),
            b"/endless" => (3600.0, true),
            _ => return None,
        };
        let quiet = Duration::from_secs_f64(quiet);
        let body = Body::Live(Box::new(Spring { tap: self.clone(), quiet, endless }));
        Some(Response {
            body,
            content_type: Some("text/event-stream"),
            ..Response::new(200)
        })
    }
}

struct Spring {
    tap: Tap,
    quiet: Duration,
    endless: bool,
}

impl BodyStream for Spring {
    fn more(&mut self, waker: &Waker, content: &mut Vec<u8>) -> NextPiece {
        let mut pieces = self.tap.pieces.lock().expect("whole");
        if self.endless {
            pieces.taken += 1;
            content.resize(PIECE, b'.');
            return NextPiece::Ready;
        }
        match pieces.ready.pop_front() {
            Some(piece) => content.extend_from_slice(piece.as_bytes()),
            None if pieces.over => return NextPiece::End,
            None => {
                pieces.wakers.push(waker.clone());
                return NextPiece::Pending;
            }
        }
        NextPiece::Ready
    }

    fn heartbeat(&self) -> &'static [u8] {
        b":\n\n"
    }

    fn heartbeat_interval(&self) -> Duration {
        self.quiet
    }
}

impl Drop for Spring {
    fn drop(&mut self) {
        let _ = self.tap.let_go.send(()); // some tests have dropped the receiver
    }
}

/// A running server and the means to feed its responses and to stop it.
struct Scene {
    address: SocketAddr,
    tap: Tap,
    let_go: Receiver<()>,
    stop: Box<dyn FnOnce() -> io::Result<()>>,
}

impl Scene {
    /// Connects a client and sends a request. Returns the client's socket.
    fn ask(&self, request: &str) -> io::Result<TcpStream> {
        let mut client = TcpStream::connect(self.address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.write_all(request.as_bytes())?;
        Ok(client)
    }

    fn get(&self, path: &str) -> io::Result<TcpStream> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    /// Waits until the server has dropped the source of a response's pieces.
    fn source_is_let_go(&self) {
        self.let_go.recv_timeout(PATIENCE).expect("the source is let go");
    }
}

/// Reads until `end` has arrived, and returns the text before it.
fn until(client: &mut TcpStream, end: &str) -> io::Result<String> {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end.as_bytes()) {
        client.read_exact(&mut byte)?;
        all.push(byte[0]);
    }
    all.truncate(all.len() - end.len());
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// Reads a chunk and returns its content, which is empty for the last chunk.
fn chunk(client: &mut TcpStream) -> io::Result<String> {
    let length = until(client, "\r\n")?;
    let length = usize::from_str_radix(&length, 16).map_err(io::Error::other)?;
    let mut content = vec![0; length + 2];
    client.read_exact(&mut content)?;
    assert_eq!(content.split_off(length), b"\r\n");
    String::from_utf8(content).map_err(io::Error::other)
}

/// Runs the scene `scene` on both servers of the chapter, with the poller that `poller` makes and
/// the options `options`.
fn play<P: Poller + Send + 'static>(
    poller: impl Fn() -> P + Sync,
    options: &[&str],
    scene: impl Fn(Scene) -> io::Result<()>,
) -> io::Result<()> {
    SERVERS.into_iter().try_for_each(|serve| {
        play_on(options, &scene, |listener, site, options, stop| {
            serve(Box::new(poller()), listener, site, options, stop)
        })
    })
}

/// Starts a server, calls `scene` with it, and checks that afterwards the server has closed all
/// connections.
fn play_on(
    options: &[&str],
    scene: impl FnOnce(Scene) -> io::Result<()>,
    serve: impl FnOnce(Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let words = ["server"].iter().chain(options);
    let options: Options = Cli::parse_from(words).options;
    let (let_go, hears) = channel();
    let tap = Tap { pieces: Arc::default(), let_go };
    let site = Arc::new(options.site()?.with(Box::new(tap.clone())));
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let stopper = Arc::new(Mutex::new(Some(stopper)));
    let theirs = stopper.clone();
    let stop_it = move || match theirs.lock().expect("whole").take() {
        Some(stopper) => stopper.stop(),
        None => Ok(()),
    };
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(listener, &site, &options, &stop));
        let stop_later = stop_it.clone();
        let on_stage = Scene { address, tap, let_go: hears, stop: Box::new(stop_it) };
        let played = catch_unwind(AssertUnwindSafe(|| scene(on_stage)));
        stop_later()?; // also after a failed scene: the server has to end
        server.join().expect("the server does not panic")?;
        played.unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    assert_eq!(site.stats.accepted.get(), site.stats.closed.get());
    Ok(())
}

fn poll() -> Poll {
    Poll::default()
}

#[test]
fn chunks_are_framed_and_the_next_request_is_answered_behind_them() -> io::Result<()> {
    play(poll, &[], |scene| {
        // The second request arrives together with the first, and is answered after the first.
        let both = "GET /live HTTP/1.1\r\nHost: x\r\n\r\n\
                    GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut client = scene.ask(both)?;
        let head = until(&mut client, "\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
        scene.tap.hand_in("data: one\n\n");
        until(&mut client, "b\r\ndata: one\n\n\r\n")?;
        scene.tap.hand_in("data: the second\n\n");
        until(&mut client, "12\r\ndata: the second\n\n\r\n")?;
        scene.tap.end();
        let end = until(&mut client, "HTTP/1.1 200 OK\r\n")?;
        assert_eq!(end, "0\r\n\r\n");
        until(&mut client, "Hello, World!")?;
        scene.source_is_let_go();
        Ok(())
    })
}

#[test]
fn pieces_added_before_the_request_are_sent() -> io::Result<()> {
    play(poll, &[], |scene| {
        scene.tap.hand_in("first"); // no client has asked yet, so there is no waker to call
        let mut client = scene.get("/live")?;
        until(&mut client, "\r\n\r\n")?;
        assert_eq!(chunk(&mut client)?, "first");
        scene.tap.hand_in("last");
        scene.tap.end();
        assert_eq!(chunk(&mut client)?, "last");
        assert_eq!(chunk(&mut client)?, "");
        // This time the content is complete before the client sends its request. An HTTP/1.0
        // response has no chunks: it ends when the server closes the connection.
        scene.tap.hand_in("whole");
        let mut old = scene.ask("GET /live HTTP/1.0\r\n\r\n")?;
        until(&mut old, "\r\n\r\n")?;
        let mut rest = String::new();
        old.read_to_string(&mut rest)?;
        assert_eq!(rest, "whole");
        Ok(())
    })
}

#[test]
fn a_piece_for_a_client_that_does_not_read_stays_at_its_source() -> io::Result<()> {
    let large: &'static str = "x".repeat(LARGE).leak();
    play(poll, &[], |scene| {
        let mut client = scene.get("/live")?;
        until(&mut client, "\r\n\r\n")?;
        let waiting = || scene.tap.pieces.lock().expect("whole").ready.len();
        scene.tap.hand_in(large);
        while waiting() > 0 {
            thread::yield_now();
        }
        scene.tap.hand_in("next");
        for _ in 0..20 {
            let mut other = scene.get("/plaintext")?;
            until(&mut other, "Hello, World!")?;
        }
        assert_eq!(waiting(), 1, "more was taken for a client that has taken nothing");
        // The client begins to read; no piece is lost or out of order.
        assert!(chunk(&mut client)? == large);
        assert_eq!(chunk(&mut client)?, "next");
        scene.tap.end();
        assert_eq!(chunk(&mut client)?, "");
        Ok(())
    })
}

fn a_client_who_leaves<P: Poller + Send + 'static>(
    poller: impl Fn() -> P + Sync,
) -> io::Result<()> {
    play(poller, &[], |scene| {
        let mut client = scene.get("/live")?;
        scene.tap.hand_in("one");
        until(&mut client, "3\r\none\r\n")?;
        drop(client);
        scene.source_is_let_go(); // no piece was added, and the next heartbeat is an hour away
        Ok(())
    })
}

#[test]
fn a_client_that_closes_is_noticed_at_once() -> io::Result<()> {
    a_client_who_leaves(poll)?;
    #[cfg(target_os = "linux")]
    {
        use ch05_epoll::epoll::{Epoll, Trigger};
        a_client_who_leaves(|| Epoll::new(Trigger::Level).expect("an epoll"))?;
        a_client_who_leaves(|| Epoll::new(Trigger::Edge).expect("an epoll"))?;
    }
    Ok(())
}

#[test]
fn a_client_that_resets_is_noticed_at_once() -> io::Result<()> {
    play(poll, &[], |scene| {
        let client = scene.get("/live")?;
        // The head is left unread, so closing the socket causes a reset.
        while client.peek(&mut [0])? == 0 {}
        drop(client);
        scene.source_is_let_go();
        Ok(())
    })
}

#[test]
fn a_half_closed_client_still_receives() -> io::Result<()> {
    play(poll, &[], |scene| {
        let mut client = scene.get("/live")?;
        until(&mut client, "\r\n\r\n")?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(chunk(&mut client)?, ":\n\n", "it is asked whether it is there");
        for piece in ["one", "two"] {
            scene.tap.hand_in(piece);
            assert_eq!(chunk(&mut client)?, piece);
        }
        scene.tap.end();
        assert_eq!(chunk(&mut client)?, "");
        assert_eq!(client.read(&mut [0])?, 0);
        Ok(())
    })
}

#[test]
fn a_quiet_source_sends_heartbeats() -> io::Result<()> {
    play(poll, &[], |scene| {
        let mut client = scene.get("/quiet")?;
        until(&mut client, "\r\n\r\n")?;
        for _ in 0..5 {
            assert_eq!(chunk(&mut client)?, ":\n\n");
        }
        scene.tap.hand_in("now");
        while chunk(&mut client)? != "now" {}
        Ok(())
    })
}

#[test]
fn head_has_the_fields_and_no_content() -> io::Result<()> {
    play(poll, &[], |scene| {
        let mut client = scene.ask("HEAD /live HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let head = until(&mut client, "\r\n\r\n")?;
        assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
        scene.source_is_let_go();
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
        assert_eq!(until(&mut client, "\r\n")?, "HTTP/1.1 200 OK");
        Ok(())
    })
}

#[test]
fn to_http_1_0_the_end_of_the_connection_is_the_end() -> io::Result<()> {
    play(poll, &[], |scene| {
        let mut client =
            scene.ask("GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")?;
        let head = until(&mut client, "\r\n\r\n")?;
        assert!(head.contains("Connection: close"), "{head}");
        assert!(!head.contains("Transfer-Encoding"), "{head}");
        scene.tap.hand_in("one");
        until(&mut client, "one")?;
        scene.tap.hand_in("two");
        scene.tap.end();
        let mut rest = String::new();
        client.read_to_string(&mut rest)?;
        assert_eq!(rest, "two");
        Ok(())
    })
}

#[test]
fn a_waiting_client_does_not_delay_others() -> io::Result<()> {
    play(poll, &[], |scene| {
        let mut first = scene.get("/live")?;
        let mut second = scene.get("/live")?;
        until(&mut first, "\r\n\r\n")?;
        until(&mut second, "\r\n\r\n")?;
        for _ in 0..20 {
            let mut other = scene.get("/plaintext")?;
            until(&mut other, "Hello, World!")?;
        }
        // Either client may get the piece, and both get the end of the content.
        scene.tap.hand_in("a");
        scene.tap.end();
        let mut got = [chunk(&mut first)?, chunk(&mut second)?];
        got.sort();
        assert_eq!(got, ["", "a"]);
        Ok(())
    })
}

#[test]
fn a_slow_client_is_sent_no_more_than_it_takes() -> io::Result<()> {
    play(poll, &["--write-timeout", "0.5"], |scene| {
        let stuck = scene.get("/endless")?;
        scene.source_is_let_go(); // the write deadline has passed
        let taken = scene.tap.pieces.lock().expect("whole").taken;
        assert!(taken < 4096, "{taken} pieces for a client that takes none");
        drop(stuck);
        Ok(())
    })
}

#[test]
fn a_shutdown_ends_the_stream() -> io::Result<()> {
    // A server that waited for the drain deadline would take an hour, so the test would fail.
    play(poll, &["--drain-timeout", "3600"], |scene| {
        let mut client = scene.get("/live")?;
        scene.tap.hand_in("one");
        until(&mut client, "3\r\none\r\n")?;
        (scene.stop)()?;
        assert_eq!(chunk(&mut client)?, "", "it ends as a whole one does");
        assert_eq!(client.read(&mut [0])?, 0);
        Ok(())
    })
}

#[test]
fn other_servers_cut_the_stream_off() -> io::Result<()> {
    let options: Options = Cli::parse_from(["thread"]).options;
    let (let_go, hears) = channel();
    let tap = Tap { pieces: Arc::default(), let_go };
    let site = options.site()?.with(Box::new(tap));
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    thread::scope(|scope| {
        let server =
            scope.spawn(|| ch01_blocking::thread::run(listener, &site, &options, &stop));
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut all = String::new();
        client.read_to_string(&mut all)?;
        assert!(all.ends_with("\r\n\r\n") && !all.contains("\r\n0\r\n"), "{all}");
        hears.recv_timeout(PATIENCE).expect("the source is let go");
        stopper.stop()?;
        server.join().expect("the server does not panic")
    })
}
