//! The server parks on any `Poller`: level or edge, list or kernel. The suite judges it on
//! the best one of this system; here the others have a short conversation each.

use ch01_blocking::program::Cli;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch06_coroutines::{StackPool, async_server, coroutine_server};
use clap::Parser;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Reads an answer up to its last bytes.
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
    // A head in two pieces, with another client served in between.
    client.write_all(b"GET /plain")?;
    idle.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut idle, b"Hello, World!")?;
    client.write_all(b"text HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut client, b"Hello, World!")?;
    // One that sleeps, and hears meanwhile.
    client.write_all(b"GET /sleep/30 HTTP/1.1\r\nHost: x\r\n\r\n")?;
    idle.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut idle, b"Hello, World!")?;
    client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
    until(&mut client, b"Hello, World!")?;
    // More than there is room for.
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

/// Both servers.
fn serve<P: Poller + Send + 'static>(make: impl Fn() -> P + Sync) -> io::Result<()> {
    serves(|listener, site, options, stop| {
        coroutine_server::run_one(
            Box::new(make()),
            listener,
            site,
            options,
            StackPool::DEFAULT_SIZE,
            stop,
        )
    })?;
    serves(|listener, site, options, stop| {
        async_server::run_one(Box::new(make()), listener, site, options, stop)
    })
}

fn serves(
    run: impl FnOnce(Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let options: Options = Cli::parse_from(["coroutine"]).options;
    let site = Arc::new(options.site()?);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    thread::scope(|scope| {
        let server = scope.spawn(|| run(listener, &site, &options, &stop));
        let conversed = converse(address);
        stopper.stop()?;
        server.join().expect("the server does not panic")?;
        conversed
    })?;
    assert_eq!(site.stats.accepted.get(), site.stats.closed.get());
    Ok(())
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

/// `poll`, with a count of its calls. It accepts a limited number of registrations; a further
/// one makes it panic.
#[derive(Default)]
struct Probe {
    poll: ch04_select_poll::poll::Poll,
    asked: Arc<AtomicUsize>,
    room: usize,
    /// While it is set, events are held back until there are two, which then arrive together,
    /// in the order of registration.
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

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.poll.reregister(fd, token, interest)
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.poll.deregister(fd, token)
    }

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

/// The stop stays readable, and a poller of levels would say so for ever.
#[test]
fn a_stop_is_heard_once() -> io::Result<()> {
    hears_once(|poller, listener, site, options, stop| {
        coroutine_server::run_one(
            Box::new(poller),
            listener,
            site,
            options,
            StackPool::DEFAULT_SIZE,
            stop,
        )
    })?;
    hears_once(|poller, listener, site, options, stop| {
        async_server::run_one(Box::new(poller), listener, site, options, stop)
    })
}

fn hears_once(
    run: impl FnOnce(Probe, Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let options: Options = Cli::parse_from(["coroutine"]).options;
    let site = Arc::new(options.site()?);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let asked = Arc::new(AtomicUsize::new(0));
    let poller = Probe { asked: asked.clone(), room: usize::MAX, ..Probe::default() };
    thread::scope(|scope| {
        let server = scope.spawn(|| run(poller, listener, &site, &options, &stop));
        let mut client = TcpStream::connect(address)?;
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\nGET /plain")?;
        until(&mut client, b"Hello, World!")?;
        stopper.stop()?;
        while TcpStream::connect(address).is_ok() {} // the door is still open
        let before = asked.load(Relaxed);
        thread::sleep(Duration::from_millis(200)); // time enough to ask thousands of times
        let idly = asked.load(Relaxed) - before;
        client.write_all(b"text HTTP/1.1\r\nHost: x\r\n\r\n")?;
        until(&mut client, b"Hello, World!")?;
        server.join().expect("the server does not panic")?;
        assert!(idly < 100, "the poller was asked {idly} times, and nothing happened");
        Ok(())
    })
}

/// A stop wakes every worker. A free one that is handed a connection before its turn comes
/// serves it to its end: that turn finds it asleep, and leaves it alone.
#[test]
fn a_worker_that_was_woken_may_sleep_again() -> io::Result<()> {
    sleeps_again(|poller, listener, site, options, stop| {
        coroutine_server::run_one(
            Box::new(poller),
            listener,
            site,
            options,
            StackPool::DEFAULT_SIZE,
            stop,
        )
    })?;
    sleeps_again(|poller, listener, site, options, stop| {
        async_server::run_one(Box::new(poller), listener, site, options, stop)
    })
}

fn sleeps_again(
    run: impl FnOnce(Probe, Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let options: Options = Cli::parse_from(["coroutine"]).options;
    let site = Arc::new(options.site()?);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let pairs = Arc::new(AtomicBool::new(false));
    let poller = Probe { pairs: pairs.clone(), room: usize::MAX, ..Probe::default() };
    thread::scope(|scope| {
        let server = scope.spawn(|| run(poller, listener, &site, &options, &stop));
        let mut client = TcpStream::connect(address)?;
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
        until(&mut client, b"Hello, World!")?; // and its worker is free
        pairs.store(true, Relaxed);
        client.write_all(b"GET /sleep/20 HTTP/1.1\r\nHost: x\r\n\r\n")?;
        stopper.stop()?;
        let slept = until(&mut client, b"slept 20 ms\n");
        server.join().expect("the server does not panic")?;
        slept.map(drop)
    })
}

/// What panics where clients are let in ends the server, and says so: it is not left deaf.
#[test]
fn a_panic_at_the_door_is_an_error_of_the_server() -> io::Result<()> {
    panics_at_the_door(|poller, listener, site, options, stop| {
        coroutine_server::run_one(
            Box::new(poller),
            listener,
            site,
            options,
            StackPool::DEFAULT_SIZE,
            stop,
        )
    })?;
    panics_at_the_door(|poller, listener, site, options, stop| {
        async_server::run_one(Box::new(poller), listener, site, options, stop)
    })
}

fn panics_at_the_door(
    run: impl FnOnce(Probe, Listener, &Arc<Site>, &Options, &Stop) -> io::Result<()> + Send,
) -> io::Result<()> {
    let options: Options = Cli::parse_from(["coroutine"]).options;
    let site = Arc::new(options.site()?);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, _stopper) = Stop::pipe()?;
    // Room for the stop, the door, perhaps a bell, and some clients.
    let poller = Probe { room: 4, ..Probe::default() };
    thread::scope(|scope| {
        let server = scope.spawn(|| run(poller, listener, &site, &options, &stop));
        let clients = [(); 4].map(|()| TcpStream::connect(address));
        let ended = server.join().expect("the panic goes no further");
        assert!(ended.is_err(), "nothing has failed, it says");
        drop(clients);
        Ok(())
    })
}
