//! Accepting: one thread a client, a limit, no descriptor left, and the end.

use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};

use crate::connection;
use crate::mutations::Mutation;
use crate::options::Options;
use crate::pool::Pool;
use crate::prefork;
use crate::server::{Server, Stop, count};
use crate::switch::wrong;

/// What a thread needs at most; ten thousand of them must fit.
pub(crate) const STACK: usize = 256 * 1024;

/// How long accepting rests when there is no descriptor at all.
pub(crate) const REST: Duration = Duration::from_millis(50);

/// How many clients are turned away in good order at the same time.
const TURNED_AWAY: usize = 64;

/// Serves until SIGTERM or SIGINT; then the exit status.
pub(crate) fn run(options: Options) -> Result<u8, String> {
    // The application may fail on purpose; that is no news for standard error.
    std::panic::set_hook(Box::new(|_| {}));
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // As many descriptors as we may have; if not, we live with fewer.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let stop = Stop::on_signals().map_err(|why| format!("signals: {why}"))?;
    let listen = options.listen;
    let server = Arc::new(Server::new(options, stop)?);
    if server.options.worker {
        prefork::die_with_the_parent();
        let listener = prefork::inherited().map_err(|why| format!("worker: {why}"))?;
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
    let mut out = io::stdout();
    writeln!(out, "listening on http://{address}")
        .and_then(|()| out.flush())
        .map_err(|why| format!("standard output: {why}"))?;
    #[cfg(target_os = "linux")]
    if server.options.events {
        let served = crate::events::serve(&listener, &server);
        return served.map(|()| 0).map_err(|why| format!("epoll: {why}"));
    }
    if let Some(processes) = server.options.processes {
        return prefork::run(listener, &server, processes)
            .map(|()| 0)
            .map_err(|why| format!("--processes {processes}: {why}"));
    }
    let pool = server.options.threads.map(|threads| {
        Pool::start(&server, threads).map_err(|why| format!("--threads {threads}: {why}"))
    });
    let pool = pool.transpose()?;
    accept_all(&listener, &server, pool.as_ref());
    // In the mutant it stays open: clients connect, and nobody ever comes.
    let _kept = wrong(Mutation::ListensWhileDraining).then_some(listener);
    drain(&server, pool.as_deref());
    Ok(u8::from(wrong(Mutation::BadExitStatus)))
}

/// A listening socket. The standard library sets `SO_REUSEADDR`, without which
/// the port is blocked for a minute by connections that are over.
fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    if !wrong(Mutation::NoReuseAddress) {
        return TcpListener::bind(listen);
    }
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    let socket = socket::socket(family, SockType::Stream, flags, None)?;
    let SocketAddr::V4(listen) = listen else {
        return Err(io::Error::other("this mistake is made with IPv4"));
    };
    socket::bind(socket.as_raw_fd(), &SockaddrIn::from(listen))?;
    socket::listen(&socket, Backlog::MAXCONN)?;
    Ok(TcpListener::from(socket))
}

/// Accepts until it is time to stop.
fn accept_all(listener: &TcpListener, server: &Arc<Server>, pool: Option<&Arc<Pool>>) {
    // Given up for a moment when there is no other descriptor, so that even
    // then a client can be told.
    let mut spare = File::open("/dev/null").ok();
    let turned_away = Arc::new(AtomicUsize::new(0));
    loop {
        if let Some(pool) = pool {
            pool.wait_for_room(server);
        }
        let mut fds = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(server.stop.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
        if server.stop.asked() {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                count(&server.stats.accepted);
                match pool {
                    Some(pool) => {
                        let _ = stream.set_nonblocking(false);
                        pool.put(stream, server);
                    }
                    None => start(stream, server, &turned_away),
                }
            }
            Err(why) if without_room(&why) => {
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
                without_descriptors(listener, server, &mut spare);
            }
            // The client has gone again.
            Err(_) => {}
        }
    }
}

/// Is it the system that has no room for one more, and not the client's doing?
fn without_room(why: &io::Error) -> bool {
    let errno = why.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
}

fn wait_for_stop(server: &Server) {
    let mut fds = [PollFd::new(server.stop.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut fds, PollTimeout::NONE);
}

/// Gives a client its thread, or an answer why not.
fn start(stream: TcpStream, server: &Arc<Server>, turned_away: &Arc<AtomicUsize>) {
    // Elsewhere than on Linux it may have inherited the listener's mode.
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
        if turned_away.fetch_add(1, Ordering::Relaxed) < TURNED_AWAY {
            let (server, counter) = (Arc::clone(server), Arc::clone(turned_away));
            let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
                let linger = server.options.linger_timeout;
                connection::turn_away(
                    &stream,
                    &server,
                    "there are too many clients",
                    linger,
                );
                counter.fetch_sub(1, Ordering::Relaxed);
            });
            if thread.is_ok() {
                return;
            }
        }
        turned_away.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    if server.options.worker || wrong(Mutation::Sequential) {
        connection::serve(&stream, server);
        return;
    }
    // Shared, so that it is still ours if there is no thread for it.
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
        connection::turn_away(&stream, server, "there is no thread for one more", REST);
    }
}

/// Uses the spare descriptor to tell one client, then rests.
fn without_descriptors(
    listener: &TcpListener,
    server: &Server,
    spare: &mut Option<File>,
) {
    drop(spare.take());
    if let Ok((stream, _)) = listener.accept() {
        count(&server.stats.accepted);
        let _ = stream.set_nonblocking(false);
        connection::turn_away(
            &stream,
            server,
            "there is no descriptor for one more",
            10 * REST,
        );
    } else {
        thread::sleep(REST);
    }
    *spare = File::open("/dev/null").ok();
}

/// Lets the threads finish, for a bounded time.
fn drain(server: &Server, pool: Option<&Pool>) {
    if wrong(Mutation::DropsInFlight) {
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
