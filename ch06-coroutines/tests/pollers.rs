//! Tests that both servers work with every `Poller`. The client suite judges them with the best
//! poller of this system; here they serve a short conversation over each of the other pollers too.

use crate::servers::{SERVERS, Serve, run};
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Reads until `end` has arrived, and returns the number of bytes read.
fn until(client: &mut TcpStream, end: &[u8]) -> io::Result<usize> {
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while !all.ends_with(end) {
        match client.read(&mut some)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => all.extend_from_slice(&some[..n]),
        }
    }
    Ok(all.len())
}

fn converse(address: SocketAddr) -> io::Result<()> {
    let connect = || -> io::Result<TcpStream> {
        let client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(client)
    };
    let mut idle = connect()?;
    let mut client = connect()?;
    for _ in 0..3 {
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
        until(&mut client, b"Hello, World!")?;
    }
    // The client sends a head in two pieces; another client is served in between.
    client.write_all(b"GET /plain")?;
    idle.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut idle, b"Hello, World!")?;
    client.write_all(b"text HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut client, b"Hello, World!")?;
    // The client asks for a delayed answer; another client is served meanwhile.
    client.write_all(b"GET /sleep/30 HTTP/1.1\r\nHost: x\r\n\r\n")?;
    idle.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut idle, b"Hello, World!")?;
    client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut client, b"Hello, World!")?;
    // The client asks for a response larger than the socket's buffers.
    client.write_all(b"GET /bytes/20000000 HTTP/1.1\r\nHost: x\r\n\r\n")?;
    for _ in 0..3 {
        idle.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
        until(&mut idle, b"Hello, World!")?;
    }
    client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let length = until(&mut client, b"Hello, World!")?;
    assert!(length > 20_000_000);
    drop(idle);
    client
        .write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    until(&mut client, b"Hello, World!")?;
    assert_eq!(client.read(&mut [0])?, 0);
    Ok(())
}

/// Holds the conversation `converse` with both servers, each over a poller from `make`.
fn serve<P: Poller + Send + 'static>(make: impl Fn() -> P) -> io::Result<()> {
    SERVERS.into_iter().try_for_each(|serve| {
        run(serve, make(), |address, stop| {
            converse(address)?;
            stop.request();
            Ok(())
        })
    })
}

#[test]
fn spin() -> io::Result<()> {
    serve(ch03_nonblocking::spin::Spin::default)
}

#[test]
fn select() -> io::Result<()> {
    serve(ch04_select_poll::select::Select::default)
}

#[test]
fn poll() -> io::Result<()> {
    serve(ch04_select_poll::poll::Poll::default)
}

#[cfg(target_os = "linux")]
#[test]
fn epoll_level() -> io::Result<()> {
    use ch05_epoll::epoll::{Epoll, Trigger};
    serve(|| Epoll::new(Trigger::Level).expect("an epoll"))
}

#[cfg(target_os = "linux")]
#[test]
fn epoll_edge() -> io::Result<()> {
    use ch05_epoll::epoll::{Epoll, Trigger};
    serve(|| Epoll::new(Trigger::Edge).expect("an epoll"))
}

/// The poller `Poll` with instruments: it counts the calls to `wait`, and panics after a given
/// number of registrations.
#[derive(Default)]
struct Probe {
    poll: ch04_select_poll::poll::Poll,
    asked: Arc<AtomicUsize>,
    room: usize,
    /// While set, `wait` holds events back until there are two, and reports both together, in the
    /// order of registration.
    pairs: Arc<AtomicBool>,
}

impl Poller for Probe {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.room = self.room.checked_sub(1).expect("there is room");
        self.poll.register(fd, token, interest)
    }

    delegate!(poll: reregister, deregister);

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.asked.fetch_add(1, Relaxed);
        self.poll.wait(ready, timeout)?;
        while self.pairs.load(Relaxed) && ready.len() == 1 {
            ready.clear();
            thread::yield_now();
            self.poll.wait(ready, timeout)?;
        }
        Ok(())
    }
}

/// The server deregisters the stop pipe after the first report: the pipe stays readable, and a
/// level-triggered poller would report it again and again.
#[test]
fn the_stop_pipe_is_reported_once() -> io::Result<()> {
    SERVERS.into_iter().try_for_each(|serve| {
        let poller = Probe { room: usize::MAX, ..Probe::default() };
        let asked = poller.asked.clone();
        run(serve, poller, |address, stop| {
            let mut client = TcpStream::connect(address)?;
            client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\nGET /plain")?;
            until(&mut client, b"Hello, World!")?;
            stop.request();
            while TcpStream::connect(address).is_ok() {} // until the listener is closed
            let before = asked.load(Relaxed);
            thread::sleep(Duration::from_millis(200)); // enough time for thousands of calls
            let idly = asked.load(Relaxed) - before;
            client.write_all(b"text HTTP/1.1\r\nHost: x\r\n\r\n")?;
            until(&mut client, b"Hello, World!")?;
            assert!(
                idly < 100,
                "the poller was asked {idly} times, and nothing happened"
            );
            Ok(())
        })
    })
}

/// The shutdown puts every worker into the run queue, idle ones too. An idle worker may be handed a
/// connection before its turn in the run queue comes: it serves the connection, and parks. When the
/// turn comes, the worker's entry in the run queue is stale, and is ignored.
fn a_worker_with_a_stale_run_queue_entry_may_park(serve: Serve) -> io::Result<()> {
    let poller = Probe { room: usize::MAX, ..Probe::default() };
    let pairs = poller.pairs.clone();
    let client = run(serve, poller, |address, stop| {
        let mut client = TcpStream::connect(address)?;
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
        until(&mut client, b"Hello, World!")?; // its worker is idle now
        pairs.store(true, Relaxed);
        client.write_all(b"GET /sleep/20 HTTP/1.1\r\nHost: x\r\n\r\n")?;
        stop.request();
        until(&mut client, b"slept 20 ms\n")?;
        // The client is returned, so its socket stays open until the server has ended: the
        // close of the socket would be a single event, which the poller would hold back.
        Ok(client)
    })?;
    drop(client);
    Ok(())
}

#[test]
fn a_coroutine_with_a_stale_run_queue_entry_may_park() -> io::Result<()> {
    a_worker_with_a_stale_run_queue_entry_may_park(SERVERS[0])
}

#[test]
fn a_future_with_a_stale_run_queue_entry_may_park() -> io::Result<()> {
    a_worker_with_a_stale_run_queue_entry_may_park(SERVERS[1])
}

/// A panic in the accepting task ends the server with an error; otherwise the server would run on
/// without accepting.
#[test]
fn a_panic_of_the_accepting_task_ends_the_server_with_an_error() {
    for serve in SERVERS {
        // The poller panics after four registrations: those of the stop pipe, the listener, the
        // wake-up pipe and one client.
        let poller = Probe { room: 4, ..Probe::default() };
        let ended = run(serve, poller, |address, _| {
            (0..4).map(|_| TcpStream::connect(address)).collect::<io::Result<Vec<_>>>()
        });
        let error = ended.expect_err("the server fails").to_string();
        assert!(error.ends_with("of the server panicked"), "{error}");
    }
}
