//! The two servers, [`coroutine_server`] and [`async_server`], and what they share: the connections
//! of one thread, and how each is accepted, becomes idle, becomes active again, and is closed.
//!
//! An idle connection has no task. It is stored in the slab of `ServerState`; the runtime refers to
//! the connection by the token of its descriptor. When the connection is readable, or its idle time
//! is up, the runtime calls `ServerState::activate`, which hands the connection to a worker: a
//! coroutine or a future that serves one connection after another, as the threads of chapter 2 do.
//!
//! ```
//! use ch01_blocking::program::Cli;
//! use ch01_blocking::{Listener, Options, Stop};
//! use ch04_select_poll::poll::Poll;
//! use ch06_coroutines::{StackPool, coroutine_server};
//! use clap::Parser;
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::sync::Arc;
//!
//! let options: Options = Cli::parse_from(["server"]).options;
//! let site = Arc::new(options.site()?);
//! let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
//! let address = listener.address()?;
//! let (stop, trigger) = Stop::pipe()?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         let (poller, stack) = (Box::new(Poll::default()), StackPool::DEFAULT_SIZE);
//!         coroutine_server::run_one(poller, listener, &site, &options, stack, &stop)
//!     });
//!     let mut client = TcpStream::connect(address)?;
//!     client.write_all(b"GET /plaintext HTTP/1.0\r\n\r\n")?;
//!     let mut response = String::new();
//!     client.read_to_string(&mut response)?;
//!     assert!(response.ends_with("Hello, World!"));
//!     trigger.stop()
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod async_serve;
pub mod async_server;
mod async_stream;
pub mod coroutine_server;
mod stream;
mod threads;

use crate::runtime::{Descriptor, Handle, NO_TIMER, REGISTRATION, Readiness, TIMER};
use crate::runtime::{Turn, Waiter};
use ch01_blocking::deadlines::{Describe, Timeouts, Wait};
use ch01_blocking::http::{HttpError, Inbox, Outbox};
use ch01_blocking::serve::push_error;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::listener::{Client, Mode};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::stream::Transport;
use ch01_blocking::{Listener, Options, Site};
use ch03_nonblocking::poller::{Interest, Token};
use ch03_nonblocking::socket::Socket;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;

/// Maximum number of connections that are accepted in a row before other tasks run.
const ACCEPT_BATCH: usize = 64;
/// Maximum number of workers that are kept while they have no connection.
const KEPT_WORKERS: usize = 64;
/// Size in bytes of the buffer into which all connections are read: the most that one read returns.
const SCRATCH: usize = 64 * 1024;

/// Bytes that an idle connection takes in this process: in the slab, in the reactor's table, and
/// for its timer.
pub const IDLE_CONNECTION: usize = size_of::<Option<Connection>>() + REGISTRATION + TIMER;

// ANCHOR: connection
/// An open connection. While it is idle, this value is all that the server keeps of it;
/// a task that serves a connection has the value on its stack, or in its future.
pub(crate) struct Connection {
    socket: Descriptor<Socket>,
    server: Rc<ServerState>,
    /// The token of the idle timer, which was started when the connection became idle.
    timer: Token,
    /// Whether the idle timer has expired.
    late: bool,
    /// The connection's number in the trace.
    number: u32,
    /// Whether the connection is served, and counts against `capacity`; otherwise it is
    /// only sent a response with the status 503.
    served: bool,
}
// ANCHOR_END: connection

/// A function that creates a worker for the connection in `ServerState::handed`.
type MakeWorker = fn(&Rc<ServerState>) -> io::Result<Token>;

/// The state that all tasks of one thread's server share.
pub(crate) struct ServerState {
    site: Arc<Site>,
    timeouts: Timeouts,
    handle: Handle,
    /// The idle connections, each at the index that the token of its descriptor contains.
    idle: RefCell<Vec<Option<Connection>>>,
    make_worker: MakeWorker,
    /// The tokens of the workers without a connection. The worker added last is used first, because
    /// its stack is most likely still in the processor's cache.
    workers: RefCell<Vec<Token>>,
    /// A connection on its way to the worker that the scheduler runs next; otherwise `None`.
    handed: Cell<Option<Connection>>,
    /// The buffer that all reads use; received bytes are copied to the inbox of their
    /// connection.
    scratch: RefCell<Vec<u8>>,
    /// Maximum number of connections that are served at once, on all threads together.
    capacity: usize,
    open: Cell<usize>,
    /// The number of open connections that are only sent a response with the status 503.
    refusing: Cell<usize>,
    /// The token of the main task while it waits for the last connection to close; otherwise
    /// `None`.
    draining: Cell<Option<Token>>,
}

/// A guard that closes the idle connections when it is dropped. The runtime's `activate` function
/// owns the guard, and is dropped when the runtime ends.
struct CloseIdle(Rc<ServerState>);

impl Drop for CloseIdle {
    fn drop(&mut self) {
        let idle = take(&mut *self.0.idle.borrow_mut());
        drop(idle); // closes the connections, after the slab's borrow has ended
    }
}

impl ServerState {
    /// # Errors
    ///
    /// `ENOMEM` if the process may not have the memory of the buffer into which connections are
    /// read.
    fn new(
        site: &Arc<Site>,
        options: &Options,
        handle: &Handle,
        make_worker: MakeWorker,
    ) -> io::Result<Rc<ServerState>> {
        // `vec!` would end the process with no line that says what to do.
        let mut scratch = Vec::new();
        let reserved = scratch.try_reserve_exact(SCRATCH);
        reserved.map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        scratch.resize(SCRATCH, 0);
        let server = Rc::new(ServerState {
            site: site.clone(),
            timeouts: options.timeouts(),
            handle: handle.clone(),
            idle: RefCell::default(),
            make_worker,
            workers: RefCell::default(),
            handed: Cell::default(),
            scratch: RefCell::new(scratch),
            capacity: options.max_connections,
            open: Cell::new(0),
            refusing: Cell::new(0),
            draining: Cell::new(None),
        });
        let idle = CloseIdle(server.clone());
        handle.on_activate(Rc::new(move |token| idle.0.activate(token)));
        Ok(server)
    }

    // ANCHOR: accept_batch
    /// Accepts up to `ACCEPT_BATCH` connections. Returns whether more may be waiting.
    ///
    /// # Errors
    ///
    /// The error of accept(2) if no descriptors are left; the caller then has to pause.
    fn accept_batch(self: &Rc<Self>, listener: &Listener) -> io::Result<bool> {
        for _ in 0..ACCEPT_BATCH {
            match listener.accept_now(Mode::NonBlocking) {
                Ok(Some(client)) => self.admit(client),
                Ok(None) => return Ok(false),
                Err(error) => {
                    trace::set_connection(0);
                    trace!("pause", "{error}");
                    return Err(error);
                }
            }
        }
        Ok(true)
    }
    // ANCHOR_END: accept_batch

    /// Admits an accepted connection, or rejects it with a 503.
    fn admit(self: &Rc<Self>, Client { socket, number }: Client) {
        // `others` is the number of other open connections, over all threads.
        let others = self.site.stats.connection_opened();
        let refusing = self.refusing.get();
        let admission =
            Admission::decide(others.saturating_sub(refusing), refusing, self.capacity);
        if admission == Admission::RejectedAtOnce {
            self.refuse_now(&mut Socket(socket));
            trace!("close", "done");
            return self.site.stats.connection_closed();
        }
        let socket = match self.handle.register(Socket(socket), Interest::READ) {
            Ok(socket) => socket,
            Err(error) => {
                trace!("close", "{error}");
                return self.site.stats.connection_closed();
            }
        };
        let served = admission == Admission::Admitted;
        self.open.update(|count| count + 1);
        self.refusing.update(|count| count + usize::from(!served));
        Connection {
            socket,
            server: self.clone(),
            timer: NO_TIMER,
            late: false,
            number: number as u32,
            served,
        }
        .store_idle(served);
    }

    // ANCHOR: activate
    /// Hands the idle connection with this token to a worker, because the connection is
    /// readable, its idle time is up, or the server stops. Returns the worker's token,
    /// and the connection's number for the trace; `None` if the connection no longer
    /// exists, or was closed because no worker can be created.
    fn activate(self: &Rc<Self>, token: Token) -> Option<(Token, u64)> {
        let mut idle = self.idle.borrow_mut();
        let entry = idle.get_mut(token.index as usize)?;
        let mut connection = entry.take_if(|it| it.socket.token == token)?;
        drop(idle);
        let number = connection.number.into();
        trace::set_connection(number);
        connection.socket.unsubscribe(Readiness::Readable);
        connection.late = !self.handle.timers().runs(connection.timer);
        let free = self.workers.borrow_mut().pop();
        match free.map_or_else(|| (self.make_worker)(self), Ok) {
            Ok(worker) => {
                self.handed.set(Some(connection));
                Some((worker, number))
            }
            Err(error) => {
                // No worker can wait for the client, so only the part of a 503 is sent
                // that the socket takes at once. An admitted connection without a
                // request (its idle time is up, or the server stops) gets no response.
                if !connection.served || connection.socket.is_ready(Readiness::Readable) {
                    self.refuse_now(connection.socket.get_mut());
                }
                trace!("close", "no worker can be made: {error}");
                None
            }
        }
    }
    // ANCHOR_END: activate

    /// Adds the running worker to the idle workers. Returns false, and adds nothing, if enough
    /// workers are idle; the running worker then has to end.
    fn keeps_worker(&self) -> bool {
        let mut workers = self.workers.borrow_mut();
        let keeps = workers.len() < KEPT_WORKERS;
        workers.extend(self.handle.current().filter(|_| keeps));
        keeps
    }

    /// Rejects a connection with a 503, in one attempt to send that does not wait.
    fn refuse_now(&self, socket: &mut Socket) {
        let mut outbox = Outbox::new(self.site.limits.output);
        push_error(HttpError::BUSY, &self.site, &mut outbox);
        // A client whose socket has no room for the 503 does not get it.
        let _ = outbox.flush(socket).and_then(|()| socket.shutdown_write());
        // Closing a socket that holds unread bytes would cause a reset, so they are read first. An
        // error of this read is ignored: the caller closes the socket in any case.
        let _ = socket.fill(&mut Inbox::new());
    }

    /// Writes to the trace how a connection has ended, and counts timeouts.
    fn log_close(&self, ended: io::Result<()>) {
        match ended {
            Ok(()) => trace!("close", "done"),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.site.stats.timeouts.add();
                trace!("close", "out of patience");
            }
            // Errors other than a timeout are usually caused by the client or the
            // network, and appear in the trace only.
            Err(error) => trace!("close", "{error}"),
        }
    }

    /// Begins the shutdown: idle connections are closed now, and each of the others after its
    /// current request.
    fn begin_drain(&self) {
        self.site.drain();
        trace::set_connection(0);
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            self.open.get(),
            self.timeouts.drain.as_secs_f64()
        );
        self.handle.wake_all();
        let idle = self.idle.borrow();
        let tokens = idle.iter().flatten().map(|connection| connection.socket.token);
        tokens.for_each(|token| self.handle.enqueue(Turn::Activate(token)));
    }
}

impl Connection {
    // ANCHOR: store_idle
    /// Stores the connection in the slab, without a task, until it is readable or its
    /// idle time is up; either may be the case already. `served_one` says whether a
    /// request was served since the connection was last idle: only then is the idle
    /// timer restarted. A connection that is only sent a 503 has no timer, and is
    /// activated at once.
    fn store_idle(mut self, served_one: bool) {
        let server = self.server.clone();
        let scheduler = &server.handle;
        let token = self.socket.token;
        let waiter = || Waiter::Idle(token);
        let readable = match self.socket.subscribe(Readiness::Readable, waiter()) {
            Ok(reported) => reported,
            Err(error) => return trace!("close", "{error}"), // dropping `self` closes it
        };
        if served_one {
            let within = server.timeouts.idle;
            trace!("rest", "{}, and owns next to nothing", Describe(Wait::Idle, within));
            let mut timers = scheduler.timers();
            self.timer = timers.set_after_round(self.timer, waiter(), within);
        }
        let is_late = || !scheduler.timers().runs(self.timer);
        // In these cases the connection is activated now: the poller and the timer may
        // have nothing more to report.
        if readable || server.site.is_draining() || !served_one && is_late() {
            scheduler.enqueue(Turn::Activate(token));
        }
        let mut idle = server.idle.borrow_mut();
        let index = token.index as usize;
        if idle.len() <= index {
            idle.resize_with(index + 1, || None);
        }
        idle[index] = Some(self);
    }
    // ANCHOR_END: store_idle
}

impl Drop for Connection {
    /// Removes the connection from the counts. Wakes the main task if it waits for the last
    /// connection to close, and this was the last one.
    fn drop(&mut self) {
        let server = &self.server;
        server.handle.clear_timer(self.timer);
        server.site.stats.connection_closed();
        server.refusing.update(|count| count - usize::from(!self.served));
        server.open.update(|count| count - 1);
        if server.open.get() == 0
            && let Some(main) = server.draining.take()
        {
            server.handle.wake(main);
        }
    }
}
