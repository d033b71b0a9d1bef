//! The listening socket, and everything that can go wrong when a client connects.

use crate::server::stop::ACCEPT_BACKOFF;
use crate::server::stop::is_readable;
use crate::server::sys;
pub use crate::server::sys::Mode;
use crate::server::trace::{self, trace};
use socket2::{Protocol, SockAddr, Socket, Type};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// The backlog: the largest number of established connections that wait in the kernel
/// until the server accepts them. The kernel lowers the number to at most
/// `net.core.somaxconn` (listen(2)).
const BACKLOG: i32 = 4096;

/// A socket that clients connect to.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Number of connections accepted so far, by all processes that share the socket.
    accepted: &'static AtomicUsize,
    readiness: Arc<Readiness>,
}

/// The readiness of a group of listeners: one listener, and all that
/// [`Listener::shared`] and [`Listener::sibling`] have made from it. When all are
/// [ready](Listener::ready), the server reports, once, that it can serve.
#[derive(Debug)]
struct Readiness {
    /// Number of listeners in the group that are not ready yet.
    missing: AtomicUsize,
    report: Report,
}

/// The way in which a server reports that it is ready.
#[derive(Debug)]
enum Report {
    /// No report; for tests, which know the address.
    Nothing,
    /// A line on standard output, with the address.
    Line,
    /// An empty line on a pipe to the parent process, which tells it that this child is
    /// ready. The parent prints the address when all its children are ready.
    Parent(File),
}

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Client {
    /// The socket, in the [`Mode`] that was passed to [`Listener::accept_now`].
    pub socket: TcpStream,
    /// The connection's number in the trace, counted from 1.
    pub number: u64,
}

/// The outcome of [`Listener::accept`].
#[derive(Debug)]
pub enum Accept {
    /// A client's connection was accepted.
    Client(Client),
    /// The descriptor `stop` or `wake_read` of [`Listener::accept`] is readable.
    Woken,
}

impl Listener {
    // ANCHOR: bind
    /// Listens on an address; port 0 lets the kernel choose a port.
    ///
    /// # Errors
    ///
    /// Those of bind(2): the address is in use, not of this machine, or not permitted.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = Listener::open(&address.into(), |_| Ok(()))?;
        let readiness = Readiness::of(1, Report::Nothing);
        Ok(Listener { socket, accepted: sys::shared()?, readiness })
    }
    // ANCHOR_END: bind

    /// Makes [`ready`](Listener::ready) print the address on standard output.
    ///
    /// The returned listener is the first of a new group. So `announced` must be called
    /// before [`shared`](Listener::shared) and [`sibling`](Listener::sibling).
    pub fn announced(self) -> Listener {
        Listener { readiness: Readiness::of(1, Report::Line), ..self }
    }

    /// Returns the listeners for a child process: when all of them are
    /// [ready](Listener::ready), they write an empty line to the pipe `parent`.
    pub fn reported(listeners: Vec<Listener>, parent: OwnedFd) -> Vec<Listener> {
        let readiness = Readiness::of(listeners.len(), Report::Parent(parent.into()));
        let reported = |listener| Listener { readiness: readiness.clone(), ..listener };
        listeners.into_iter().map(reported).collect()
    }

    // ANCHOR: ready
    /// Declares that connections of this listener can be served. A listener and all
    /// that [`shared`](Listener::shared) and [`sibling`](Listener::sibling) make from it
    /// are a group: the last call to `ready` in the group reports to the user, or to
    /// the parent process, that the server is ready. `ready` must be called once for
    /// each listener of the group.
    ///
    /// # Errors
    ///
    /// There is no descriptor or no memory left for a first client, or the report
    /// cannot be written.
    pub fn ready(&self) -> io::Result<()> {
        if self.readiness.missing.fetch_sub(1, SeqCst) != 1 {
            return Ok(());
        }
        drop(self.socket.try_clone()?);
        drop(sys::claim_memory(0)?);
        match &self.readiness.report {
            Report::Nothing => Ok(()),
            Report::Parent(pipe) => {
                let mut pipe = pipe;
                pipe.write_all(b"\n")
            }
            Report::Line => {
                let line = format!("listening on http://{}\n", self.address()?);
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(
                    |error| {
                        io::Error::new(
                            error.kind(),
                            format!("cannot print the address: {error}"),
                        )
                    },
                )
            }
        }
    }
    // ANCHOR_END: ready

    // ANCHOR: open
    fn open(
        address: &SockAddr,
        before_bind: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<Socket> {
        let socket = Socket::new(address.domain(), Type::STREAM, Some(Protocol::TCP))?;
        // A server that restarts must not wait for old connections in TIME_WAIT (TLPI
        // 61.10).
        socket.set_reuse_address(true)?;
        // The servers gather small answers into one write (`http/outbox.rs`). Nagle's
        // algorithm would have nothing to gather, and could only delay the end of an
        // answer. Accepted sockets inherit TCP_NODELAY.
        socket.set_tcp_nodelay(true)?;
        // Urgent data stays in its place in the stream. By default the kernel takes it
        // out, and the same bytes could be one request to this server and another to a
        // proxy or firewall in front of it (RFC 6093 section 6). Accepted sockets
        // inherit SO_OOBINLINE.
        socket.set_out_of_band_inline(true)?;
        before_bind(&socket)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?;
        // A client may close between poll(2) and accept(2). On a blocking listener,
        // accept(2) would then wait for the next client.
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
    // ANCHOR_END: open

    /// Returns the address that clients connect to.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or_else(|| ErrorKind::Unsupported.into())
    }

    /// Returns another handle to the socket of `self`, for another thread.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn shared(&self) -> io::Result<Listener> {
        Ok(self.with(self.socket.try_clone()?))
    }

    /// Returns another socket at the address of `self` with an accept queue of its own;
    /// the kernel distributes connections over all such sockets (SO_REUSEPORT,
    /// socket(7)). This call sets the option on the socket of `self` too, which Linux
    /// allows after bind(2). A server binds its first socket without the option, so a
    /// second server at this address still fails to start.
    ///
    /// # Errors
    ///
    /// Those of socket(2), setsockopt(2), bind(2) and listen(2): usually, no descriptor is
    /// left.
    #[cfg(target_os = "linux")]
    pub fn sibling(&self) -> io::Result<Listener> {
        self.socket.set_reuse_port(true)?;
        let socket = Listener::open(&self.socket.local_addr()?, |socket| {
            socket.set_reuse_port(true)
        })?;
        Ok(self.with(socket))
    }

    /// Returns another handle to the socket of `self`: on this system the kernel would
    /// not distribute connections over several sockets.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    #[cfg(not(target_os = "linux"))]
    pub fn sibling(&self) -> io::Result<Listener> {
        self.shared()
    }

    /// Returns a listener on `socket` that belongs to the same group as `self`.
    fn with(&self, socket: Socket) -> Listener {
        self.readiness.missing.fetch_add(1, SeqCst);
        let (accepted, readiness) = (self.accepted, self.readiness.clone());
        Listener { socket, accepted, readiness }
    }

    /// Stops listening for every process that shares the socket: on Linux, shutdown(2)
    /// of a listening socket has this effect. On other systems the kernel accepts
    /// connections until the last process has closed the socket.
    pub fn close_for_all(self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    // ANCHOR: accept
    /// Blocks until a client connects, or until `stop` or `wake_read` becomes readable;
    /// a readable `stop` or `wake_read` takes precedence. Never fails: an error of
    /// accept(2) concerns one client, or is temporary.
    pub fn accept(
        &self,
        stop: BorrowedFd<'_>,
        wake_read: Option<BorrowedFd<'_>>,
    ) -> Accept {
        // Without `wake_read`, `stop` is polled twice, which does no harm.
        let wake_read = wake_read.unwrap_or(stop);
        loop {
            if let [true, ..] | [_, true, _] =
                is_readable(&[stop, wake_read, self.socket.as_fd()], None)
            {
                return Accept::Woken;
            }
            match self.accept_now(Mode::Blocking) {
                Ok(Some(client)) => return Accept::Client(client),
                Ok(None) => {}
                // Another process has called `close_for_all`, so this process is about
                // to be stopped.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    return Accept::Woken;
                }
                Err(error) => {
                    trace!("pause", "{error}");
                    if is_readable(&[stop, wake_read], Some(ACCEPT_BACKOFF))
                        .contains(&true)
                    {
                        return Accept::Woken;
                    }
                }
            }
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: accept_now
    /// Accepts the next completed connection, or returns `None` if there is none. Never
    /// blocks.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOBUFS or ENOMEM: descriptors or memory are exhausted. The
    /// connection stays in the backlog, so trying again at once would only use up the
    /// processor: pause for [`ACCEPT_BACKOFF`].
    pub fn accept_now(&self, mode: Mode) -> io::Result<Option<Client>> {
        let socket = loop {
            match sys::accept(self.socket.as_fd(), mode) {
                Ok(socket) => break socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // A signal interrupted accept(2), or the client closed its connection
                // while it was in the backlog.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => return Err(error),
            }
        };
        let number = self.accepted.fetch_add(1, Relaxed) as u64 + 1;
        trace::set_connection(number);
        trace!(
            "accept",
            "{}",
            socket.peer_addr().map_or_else(|_| String::new(), |peer| peer.to_string())
        );
        Ok(Some(Client { socket, number }))
    }
    // ANCHOR_END: accept_now
}

impl Readiness {
    fn of(listeners: usize, report: Report) -> Arc<Readiness> {
        Arc::new(Readiness { missing: AtomicUsize::new(listeners), report })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Urgent data is read in the order in which it was sent.
    #[test]
    fn urgent_data_stays_in_its_place() -> io::Result<()> {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
        let mut client = TcpStream::connect(listener.address()?)?;
        client.write_all(b"one, ")?;
        socket2::SockRef::from(&client).send_out_of_band(b"t")?;
        client.write_all(b"wo")?;
        drop(client);
        let mut received = String::new();
        let accepted = listener.accept_now(Mode::Blocking)?.expect("it has connected");
        (&accepted.socket).read_to_string(&mut received)?;
        assert_eq!(received, "one, two");
        Ok(())
    }
}
