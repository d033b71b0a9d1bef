//! What the two servers share: the connections of one thread, and how each arrives, becomes
//! idle, becomes active again, and leaves.
//!
//! An idle connection has no task. It lies in the slab of `ServerState`; its descriptor
//! and a timer name it to the runtime. When there is something to read, or when it is late,
//! the runtime calls `ServerState::activate`, which hands it to a worker: a coroutine or a
//! future that serves one connection after another, as the threads of chapter 2 do.

mod async_serve;
pub mod async_server;
mod async_stream;
pub mod coroutine_server;
mod stream;
mod threads;

use crate::runtime::{Descriptor, Handle, NO_TIMER, Readiness, SOURCE, TIMER};
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

/// Connections accepted in one turn, at most.
const ACCEPT_BATCH: usize = 64;
/// Workers that are kept while there is no connection for them, at most.
const KEPT_WORKERS: usize = 64;
/// Bytes received by one read, at most.
const SCRATCH: usize = 64 * 1024;

/// Bytes of an idle connection: its places in the slab and in the reactor's table, and its
/// timer. It has nothing else.
pub const IDLE_CONNECTION: usize = size_of::<Option<Connection>>() + SOURCE + TIMER;

// ANCHOR: connection
/// An open connection. While it is idle, this is all that there is of it; a task that
/// serves it has it on its stack, or in its future.
pub(crate) struct Connection {
    socket: Descriptor<Socket>,
    server: Rc<ServerState>,
    /// Runs since it became idle the last time.
    timer: Token,
    /// Whether it has been idle for too long.
    late: bool,
    /// For the trace.
    number: u32,
    /// Whether it counts against the limit; one that is only being refused does not.
    served: bool,
}
// ANCHOR_END: connection

/// Makes a worker, which takes the connection that was handed over.
type MakeWorker = fn(&Rc<ServerState>) -> io::Result<Token>;

/// The connections of one thread, and what they share.
pub(crate) struct ServerState {
    site: Arc<Site>,
    timeouts: Timeouts,
    handle: Handle,
    /// The idle connections, by the index of their source.
    idle: RefCell<Vec<Option<Connection>>>,
    make_worker: MakeWorker,
    /// The workers that have no connection. The one that came last is the next one to get one:
    /// its stack is still in the processor's cache.
    workers: RefCell<Vec<Token>>,
    /// The connection that the worker takes that runs next.
    handed: Cell<Option<Connection>>,
    /// Where bytes arrive, before they are copied to the connection that they belong to.
    scratch: RefCell<Vec<u8>>,
    /// Connections served at once, at most, on all threads together.
    capacity: usize,
    open: Cell<usize>,
    /// Those of them that are only being refused.
    refusing: Cell<usize>,
    /// The main task, once it waits for the last connection to close.
    draining: Cell<Option<Token>>,
}

/// Closes the idle connections when the runtime ends, which drops what would activate them.
struct CloseIdle(Rc<ServerState>);

impl Drop for CloseIdle {
    fn drop(&mut self) {
        let idle = take(&mut *self.0.idle.borrow_mut());
        drop(idle); // not while the slab is borrowed
    }
}

impl ServerState {
    fn new(
        site: &Arc<Site>,
        options: &Options,
        handle: &Handle,
        make_worker: MakeWorker,
    ) -> Rc<ServerState> {
        let server = Rc::new(ServerState {
            site: site.clone(),
            timeouts: options.timeouts(),
            handle: handle.clone(),
            idle: RefCell::default(),
            make_worker,
            workers: RefCell::default(),
            handed: Cell::default(),
            scratch: RefCell::new(vec![0; SCRATCH]),
            capacity: options.max_connections,
            open: Cell::new(0),
            refusing: Cell::new(0),
            draining: Cell::new(None),
        });
        let idle = CloseIdle(server.clone());
        handle.on_activate(Rc::new(move |source| idle.0.activate(source)));
        server
    }

    // ANCHOR: accept_batch
    /// Accepts as many connections as may be accepted in one turn. Returns whether there
    /// may be more.
    ///
    /// # Errors
    ///
    /// There are no descriptors to accept them with: pause.
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

    /// Admits an accepted connection, or refuses it.
    fn admit(self: &Rc<Self>, Client { socket, number }: Client) {
        // Counted over all threads that serve the same site.
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
        .park_idle(served);
    }

    // ANCHOR: activate
    /// Hands the idle connection of this source to a worker: it has something to read, or
    /// is late, or has to see that the server stops. Returns the worker, and the
    /// connection's number.
    fn activate(self: &Rc<Self>, source: Token) -> Option<(Token, u64)> {
        let mut idle = self.idle.borrow_mut();
        let entry = idle.get_mut(source.index as usize)?;
        let mut connection = entry.take_if(|it| it.socket.token == source)?;
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
                // A longer answer would have to wait, which is what stacks are for. And
                // a connection that is late, or ends with the server, has asked nothing.
                if !connection.served || connection.socket.is(Readiness::Readable) {
                    self.refuse_now(connection.socket.get_mut());
                }
                trace!("close", "no worker can be made: {error}");
                None
            }
        }
    }
    // ANCHOR_END: activate

    /// Lists the running worker as one without a connection. Returns `false` if there are
    /// enough: then it is to end.
    fn keeps_worker(&self) -> bool {
        let mut workers = self.workers.borrow_mut();
        let keeps = workers.len() < KEPT_WORKERS;
        workers.extend(self.handle.current().filter(|_| keeps));
        keeps
    }

    /// Refuses a connection in one attempt, without waiting for anything.
    fn refuse_now(&self, socket: &mut Socket) {
        let mut outbox = Outbox::new(self.site.limits.output);
        push_error(HttpError::BUSY, &self.site, &mut outbox);
        // A client that does not take it learns nothing.
        let _ = outbox.flush(socket).and_then(|()| socket.shutdown_write());
        // What has come already is read, or closing would answer it with a reset.
        let _ = socket.fill(&mut Inbox::new()); // or nothing has
    }

    /// Traces how a connection has ended, and counts those that were late.
    fn log_close(&self, ended: io::Result<()>) {
        match ended {
            Ok(()) => trace!("close", "done"),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.site.stats.timeouts.add();
                trace!("close", "out of patience");
            }
            // The client's doing, and of no interest otherwise.
            Err(error) => trace!("close", "{error}"),
        }
    }

    /// Begins to stop: every connection ends with its current request, and an idle one now.
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
        let sources = idle.iter().flatten().map(|connection| connection.socket.token);
        sources.for_each(|source| self.handle.enqueue(Turn::Activate(source)));
    }
}

impl Connection {
    // ANCHOR: park_idle
    /// Leaves the connection in the slab, without a task, until there is something to read
    /// or it is late, which may be now. Its timer begins anew if a request was served; one
    /// that is only being refused has none, and is active again at once.
    fn park_idle(mut self, served_one: bool) {
        let server = self.server.clone();
        let scheduler = &server.handle;
        let source = self.socket.token;
        let waiter = || Waiter::Idle(source);
        let readable = match self.socket.subscribe(Readiness::Readable, waiter()) {
            Ok(reported) => reported,
            Err(error) => return trace!("close", "{error}"), // it is closed
        };
        if served_one {
            let within = server.timeouts.idle;
            trace!("rest", "{}, and owns next to nothing", Describe(Wait::Idle, within));
            let mut timers = scheduler.timers();
            self.timer = timers.set_after_round(self.timer, waiter(), within);
        }
        let is_late = || !scheduler.timers().runs(self.timer);
        if readable || server.site.is_draining() || !served_one && is_late() {
            scheduler.enqueue(Turn::Activate(source)); // nothing will report that
        }
        let mut idle = server.idle.borrow_mut();
        let index = source.index as usize;
        if idle.len() <= index {
            idle.resize_with(index + 1, || None);
        }
        idle[index] = Some(self);
    }
    // ANCHOR_END: park_idle
}

impl Drop for Connection {
    /// Notes that it has closed, and wakes the main task if it waits for that.
    fn drop(&mut self) {
        let server = &self.server;
        server.handle.clear_timer(self.timer); // or it has expired
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
