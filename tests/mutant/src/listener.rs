//! The main thread: binds, accepts, starts a thread per connection, and drains at shutdown.

use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::FlockArg;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};

use crate::connection;
use crate::mutations::Mutation;
use crate::options::{Elastic, Options};
use crate::pool::Pool;
use crate::prefork;
use crate::server::{Server, Stop, count};
use crate::switch::wrong;

/// Stack size of a connection thread, in bytes; small enough for ten thousand threads.
pub(crate) const STACK: usize = 256 * 1024;

/// The pause before the next accept or poll when the process has no descriptor or memory left.
pub(crate) const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The largest number of rejected connections whose close lingers at the same time.
const MAX_REJECTING: usize = 64;

/// Serves until SIGTERM or SIGINT, and returns the exit status; an error says why the server could
/// not start.
pub(crate) fn run(options: Options) -> Result<u8, String> {
    // The default hook would print every panic, including those that the route `/panic` causes on
    // purpose. This hook prints panics only with the mistake `waits-for-the-log`.
    std::panic::set_hook(Box::new(|panic| {
        if wrong(Mutation::WaitsForTheLog) {
            eprintln!("{panic}");
        }
    }));
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Raise the soft limit on open descriptors to the hard limit; if that fails, the soft limit
        // must be enough.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    // `Stop::on_signals` panics if its thread cannot be created, so creating a thread is tried
    // here first.
    let thread = thread::Builder::new().spawn(|| ());
    let _ = thread.map_err(|why| format!("no thread for signals: {why}"))?.join();
    let stop = Stop::on_signals().map_err(|why| format!("signals: {why}"))?;
    let listen = options.listen;
    let server = Arc::new(Server::new(options, stop)?);
    if server.options.worker {
        prefork::exit_with_parent();
        let listener =
            prefork::inherited_listener().map_err(|why| format!("worker: {why}"))?;
        accept_all(&listener, &server, None);
        return Ok(0);
    }
    let (listener, address) = bind(listen)
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        })
        .map_err(|why| format!("--listen {listen}: {why}; choose another port, or 0"))?;
    let checks = [
        (Mutation::AnnouncesTooEarly, ensure_descriptors(&listener)),
        (Mutation::AnnouncesWithoutMemory, ensure_memory()),
    ];
    for (mistake, result) in checks {
        let Err(why) = result else { continue };
        if wrong(mistake) {
            // The mistake: the address is printed although the server cannot serve. The listening
            // socket is closed first, so that every client is refused. Otherwise a client might
            // still connect and then be reset when the process ends, so what it observes would
            // depend on timing.
            drop(listener);
            announce(address)?;
        }
        return Err(format!("cannot serve: {why}"));
    }
    announce(address)?;
    #[cfg(target_os = "linux")]
    if server.options.events || server.options.file_threads.is_some() {
        let served = crate::events::serve(&listener, &server);
        return served.map(|()| 0).map_err(|why| format!("epoll: {why}"));
    }
    if let Some(processes) = server.options.processes {
        return prefork::run(listener, &server, processes)
            .map(|()| 0)
            .map_err(|why| format!("--processes {processes}: {why}"));
    }
    let fixed = |threads| Elastic { min: threads, max: threads, ..Elastic::default() };
    let size = server.options.elastic.or(server.options.threads.map(fixed));
    let pool = size.map(|size| {
        let min = size.min;
        Pool::start(&server, size).map_err(|why| format!("{min} threads: {why}"))
    });
    let pool = pool.transpose()?;
    accept_all(&listener, &server, pool.as_ref());
    // The mistake: the socket stays open, so clients connect but are never accepted.
    let _kept = wrong(Mutation::ListensWhileDraining).then_some(listener);
    drain(&server, pool.as_deref());
    Ok(u8::from(wrong(Mutation::BadExitStatus)))
}

/// Prints the address at which the server listens.
fn announce(address: SocketAddr) -> Result<(), String> {
    let mut out = io::stdout();
    writeln!(out, "listening on http://{address}")
        .and_then(|()| out.flush())
        .map_err(|why| format!("standard output: {why}"))
}

/// Returns a listening socket.
///
/// `TcpListener::bind` sets `SO_REUSEADDR`. The mistake `no-reuse-address` leaves this option out,
/// so that connections in TIME_WAIT block the port for a minute.
fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    if !wrong(Mutation::NoReuseAddress) {
        return TcpListener::bind(listen);
    }
    // The socket is created without SOCK_CLOEXEC: macOS does not have this flag, and the only child
    // processes, the preforked workers, are given the listening socket as standard input anyway.
    let (family, flags) = (AddressFamily::Inet, SockFlag::empty());
    let socket = socket::socket(family, SockType::Stream, flags, None)?;
    let SocketAddr::V4(listen) = listen else {
        return Err(io::Error::other("this mistake is made with IPv4"));
    };
    socket::bind(socket.as_raw_fd(), &SockaddrIn::from(listen))?;
    socket::listen(&socket, Backlog::MAXCONN)?;
    Ok(TcpListener::from(socket))
}

/// Checks that there are enough descriptors to start the server and to serve a first client.
fn ensure_descriptors(listener: &TcpListener) -> io::Result<()> {
    (0..12).map(|_| listener.try_clone()).collect::<io::Result<Vec<_>>>().map(drop)
}

/// Checks that there is enough memory to start the server and to serve a first client.
fn ensure_memory() -> io::Result<()> {
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(4 << 20).map_err(io::Error::other)?;
    std::hint::black_box(&memory); // the compiler may remove an unused allocation
    Ok(())
}

/// Accepts connections until shutdown is requested.
fn accept_all(listener: &TcpListener, server: &Arc<Server>, pool: Option<&Arc<Pool>>) {
    // A reserve descriptor. Closing it frees a descriptor, with which one connection can be
    // accepted and rejected with a 503 even when the process has no other descriptor left.
    let mut spare = File::open("/dev/null").ok();
    let rejecting = Arc::new(AtomicUsize::new(0));
    let _turn =
        wrong(Mutation::KeepsTheTurn).then(|| prefork::turn(FlockArg::LockExclusive));
    loop {
        if let Some(pool) = pool {
            pool.wait_for_room(server);
        }
        let mut fds = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(server.stop.as_fd(), PollFlags::POLLIN),
        ];
        if poll(&mut fds, PollTimeout::NONE).is_err() {
            if wrong(Mutation::SpinsWhenPollFails) && !server.stop.requested() {
                continue;
            }
            thread::sleep(ACCEPT_BACKOFF);
        }
        if server.stop.requested() {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                count(&server.stats.accepted);
                match pool {
                    Some(pool) => {
                        let _ = stream.set_nonblocking(false);
                        pool.push(stream, server);
                    }
                    None => spawn_connection(stream, server, &rejecting),
                }
            }
            Err(why) if out_of_resources(&why) => {
                if wrong(Mutation::ExitsWithoutDescriptors) {
                    std::process::exit(1);
                }
                if wrong(Mutation::SpinsWithoutDescriptors) {
                    continue;
                }
                if wrong(Mutation::DeafAfterNoDescriptors) {
                    wait_for_stop(server);
                    return;
                }
                reject_without_descriptor(listener, server, &mut spare);
            }
            // Any other error, such as that of a client that disconnected before it was accepted,
            // leaves nothing to serve.
            Err(_) => {}
        }
    }
}

/// Returns whether the error means that descriptors or memory are exhausted.
fn out_of_resources(why: &io::Error) -> bool {
    let errno = why.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
}

fn wait_for_stop(server: &Server) {
    let mut fds = [PollFd::new(server.stop.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut fds, PollTimeout::NONE);
}

/// Starts a thread for a connection, or rejects it with a 503.
fn spawn_connection(
    stream: TcpStream,
    server: &Arc<Server>,
    rejecting: &Arc<AtomicUsize>,
) {
    // Outside Linux an accepted socket may inherit O_NONBLOCK from the listener.
    let _ = stream.set_nonblocking(false);
    let clients = if wrong(Mutation::LimitCountsAll) {
        server.stats.accepted.load(Ordering::Relaxed) - 1
    } else {
        server.stats.open.load(Ordering::Relaxed)
    };
    let full = clients >= server.options.max_connections;
    if full && !wrong(Mutation::IgnoresConnectionLimit) {
        if wrong(Mutation::LimitWithoutAnswer) {
            return;
        }
        if rejecting.fetch_add(1, Ordering::Relaxed) < MAX_REJECTING {
            let (server, counter) = (Arc::clone(server), Arc::clone(rejecting));
            let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
                let linger = server.options.linger_timeout;
                connection::reject(
                    &stream,
                    &server,
                    "the limit on connections has been reached",
                    linger,
                );
                counter.fetch_sub(1, Ordering::Relaxed);
            });
            if thread.is_ok() {
                return;
            }
        }
        rejecting.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    if server.options.worker || wrong(Mutation::Sequential) {
        connection::serve(&stream, server);
        return;
    }
    // The socket is shared with the new thread, so that this thread can still reject the connection
    // if no thread can be created.
    let stream = Arc::new(stream);
    let (theirs, shared) = (Arc::clone(&stream), Arc::clone(server));
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
        connection::serve(&theirs, &shared);
        while wrong(Mutation::LeaksThread) {
            thread::park();
        }
    });
    if thread.is_err() {
        if wrong(Mutation::ExitsWithoutThread) {
            std::process::exit(1);
        }
        connection::reject(&stream, server, "no thread could be created", ACCEPT_BACKOFF);
    }
}

/// Closes the reserve descriptor, and accepts and rejects one connection with the descriptor that
/// this frees. If no connection can be accepted, pauses.
fn reject_without_descriptor(
    listener: &TcpListener,
    server: &Server,
    spare: &mut Option<File>,
) {
    drop(spare.take());
    if let Ok((stream, _)) = listener.accept() {
        count(&server.stats.accepted);
        let _ = stream.set_nonblocking(false);
        connection::reject(
            &stream,
            server,
            "the server has run out of file descriptors",
            10 * ACCEPT_BACKOFF,
        );
    } else {
        thread::sleep(ACCEPT_BACKOFF);
    }
    *spare = File::open("/dev/null").ok();
}

/// Waits until every connection has closed, but no longer than until the drain deadline.
fn drain(server: &Server, pool: Option<&Pool>) {
    if wrong(Mutation::DropsInFlight) || wrong(Mutation::ElasticDropsAtStop) {
        return;
    }
    let end = Instant::now() + server.options.drain_timeout;
    if let Some(pool) = pool {
        pool.drain(end);
    }
    while server.stats.open.load(Ordering::Relaxed) > 0
        && (Instant::now() < end || wrong(Mutation::IgnoresDrainDeadline))
    {
        thread::sleep(Duration::from_millis(2));
    }
}
