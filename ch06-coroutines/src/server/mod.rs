//! What the two servers share: the connections of one thread, and how each arrives, becomes
//! idle, becomes active again, and leaves.
//!
//! An idle connection has no task. It lies in the slab of `ServerState`; its descriptor
//! and a timer name it to the runtime. When there is something to read, or when it is late,
//! the runtime calls `ServerState::activate`, which makes a task for it.

mod async_serve;
pub mod async_server;
mod async_stream;
pub mod coroutine_server;
mod stream;
mod threads;

use crate::runtime::{Descriptor, Handle, NO_TIMER, Readiness, SOURCE, TIMER, Waiter};
use ch01_blocking::deadlines::{Describe, Timeouts, Wait};
use ch01_blocking::http::{HttpError, Inbox, Outbox};
use ch01_blocking::serve::push_error;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::listener::{Client, Mode};
use ch01_blocking::server::log;
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::stream::Transport;
use ch01_blocking::{Listener, Options, Site};
use ch03_nonblocking::poller::{Interest, Token};
use ch03_nonblocking::socket::Socket;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read};
use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;

/// Connections accepted in one turn, at most.
const ACCEPT_BATCH: usize = 64;
/// Pairs of buffers that are kept for the next connections, at most.
const KEPT_BUFFERS: usize = 64;
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

/// Makes the task that serves a connection. `None` if there is nothing left to make it of;
/// then the connection has been closed.
type MakeTask = fn(Connection) -> Option<Token>;

/// The connections of one thread, and what they share.
pub(crate) struct ServerState {
    site: Arc<Site>,
    timeouts: Timeouts,
    handle: Handle,
    buffers: Buffers,
    make_task: MakeTask,
    /// The idle connections, by the index of their source.
    idle: RefCell<Vec<Option<Connection>>>,
    /// Connections served at once, at most, on all threads together.
    capacity: usize,
    open: Cell<usize>,
    /// Those of them that are only being refused.
    refusing: Cell<usize>,
    /// The main task, once it waits for the last connection to close.
    draining: Cell<Option<Token>>,
}

/// What became of the connections in the backlog.
enum AcceptBatch {
    /// Some were accepted, and there may be more.
    More,
    /// None is left.
    Empty,
    /// There are no descriptors to accept them with: pause.
    OutOfDescriptors,
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
        make_task: MakeTask,
    ) -> Rc<ServerState> {
        let server = Rc::new(ServerState {
            site: site.clone(),
            timeouts: options.timeouts(),
            handle: handle.clone(),
            buffers: Buffers::new(site.limits.output),
            make_task,
            idle: RefCell::default(),
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
    /// Accepts as many connections as may be accepted in one turn.
    fn accept_batch(self: &Rc<Self>, listener: &Listener) -> AcceptBatch {
        for _ in 0..ACCEPT_BATCH {
            match listener.accept_now(Mode::NonBlocking) {
                Ok(Some(client)) => self.admit(client),
                Ok(None) => return AcceptBatch::Empty,
                Err(error) => {
                    trace::set_connection(0);
                    trace!("pause", "{error}");
                    return AcceptBatch::OutOfDescriptors;
                }
            }
        }
        AcceptBatch::More
    }
    // ANCHOR_END: accept_batch

    /// Admits an accepted connection, or refuses it.
    fn admit(self: &Rc<Self>, client: Client) {
        let Client { socket, number } = client;
        // Counted over all threads that serve the same site.
        let others = self.site.stats.connection_opened();
        let refusing = self.refusing.get();
        let admission =
            Admission::decide(others.saturating_sub(refusing), refusing, self.capacity);
        if admission == Admission::RejectedAtOnce {
            return self.refuse_at_once(Socket(socket));
        }
        let socket = match self.handle.register(Socket(socket), Interest::READ) {
            Ok(socket) => socket,
            Err((socket, error)) => {
                // The poller has no room for it: `select` knows such a limit.
                trace!("poller", "{error}");
                return self.refuse_at_once(socket);
            }
        };
        let served = admission == Admission::Admitted;
        self.open.update(|count| count + 1);
        self.refusing.update(|count| count + usize::from(!served));
        let connection = Connection {
            socket,
            server: self.clone(),
            timer: NO_TIMER,
            late: false,
            number: number as u32,
            served,
        };
        if served {
            connection.park_idle(true);
        } else if let Some(task) = (self.make_task)(connection) {
            self.handle.enqueue(task);
        }
    }

    // ANCHOR: activate
    /// Makes a task for the idle connection of this source, which has something to read, or
    /// is late, or has to see that the server stops.
    fn activate(&self, source: Token) -> Option<Token> {
        let mut idle = self.idle.borrow_mut();
        let entry = idle.get_mut(source.index as usize)?;
        let mut connection = entry.take_if(|it| it.socket.token() == source)?;
        drop(idle);
        trace::set_connection(connection.number.into());
        connection.socket.unsubscribe(Readiness::Readable);
        connection.late = !self.handle.timers().runs(connection.timer);
        (self.make_task)(connection)
    }
    // ANCHOR_END: activate

    /// Refuses a connection in one attempt, without waiting for anything.
    fn refuse_at_once(&self, mut socket: Socket) {
        self.send_busy(&mut socket);
        // What has come already is read, or closing would answer it with a reset.
        let _ = socket.0.read(&mut self.buffers.scratch.borrow_mut()); // or nothing has
        trace!("close", "done");
        self.site.stats.connection_closed();
    }

    fn send_busy(&self, socket: &mut Socket) {
        let mut outbox = Outbox::new(self.site.limits.output);
        push_error(HttpError::BUSY, &self.site, &mut outbox);
        // A client that does not take it learns nothing.
        let _ = outbox.flush(socket).and_then(|()| socket.shutdown_write());
    }

    /// Notes that a connection has closed, and wakes the main task if it was the last one.
    fn closed(&self, served: bool) {
        self.site.stats.connection_closed();
        self.refusing.update(|count| count - usize::from(!served));
        self.open.update(|count| count - 1);
        if self.open.get() == 0
            && let Some(main) = self.draining.take()
        {
            self.handle.wake(main);
        }
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
        let sources = idle.iter().flatten().map(|connection| connection.socket.token());
        sources.for_each(|source| self.handle.queue_idle(source));
    }
}

/// Logs at once that a thread has failed, which stops all: the others may take the whole drain
/// timeout to end.
fn log_failure(error: &io::Error) {
    log::line(&format!("a thread of the server has failed, and all stop: {error}"));
}

impl Connection {
    // ANCHOR: park_idle
    /// Leaves the connection in the slab, without a task, until there is something to read
    /// or it is late, which may be now. Its timer begins anew if a request was served.
    fn park_idle(mut self, served_one: bool) {
        let server = self.server.clone();
        let scheduler = &server.handle;
        let source = self.socket.token();
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
            scheduler.queue_idle(source); // nothing will report that
        }
        let mut idle = server.idle.borrow_mut();
        let index = source.index as usize;
        if idle.len() <= index {
            idle.resize_with(index + 1, || None);
        }
        idle[index] = Some(self);
    }
    // ANCHOR_END: park_idle

    /// Returns whether it may become idle, or go on being so.
    fn may_be_idle(&self) -> bool {
        !self.late && !self.server.site.is_draining()
    }

    /// Refuses its request in one attempt, without waiting for anything: for want of a
    /// stack. If nothing has come, it is closed without a word.
    fn refuse_now(mut self) {
        let received = {
            let scratch = &mut *self.server.buffers.scratch.borrow_mut();
            self.socket.get_mut().0.read(scratch)
        };
        if matches!(received, Ok(n) if n > 0) {
            let server = self.server.clone();
            server.send_busy(self.socket.get_mut());
        }
        trace!("close", "no stack");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.handle.clear_timer(self.timer); // or it has expired
        self.server.closed(self.served);
    }
}

/// A connection's buffers, while it is in the middle of something.
pub(crate) struct Work {
    inbox: Inbox,
    outbox: Outbox,
}

impl Work {
    /// Returns whether nothing is in the buffers that is still needed.
    fn is_unused(&self) -> bool {
        self.inbox.is_pristine() && self.outbox.is_empty()
    }
}

/// The buffers of a thread, of whose connections only one runs at a time.
pub(crate) struct Buffers {
    #[allow(clippy::vec_box)] // boxes go in and out; what is in them never moves
    free: RefCell<Vec<Box<Work>>>,
    /// Where bytes arrive, before they are copied to the connection that they belong to.
    scratch: RefCell<Vec<u8>>,
    /// `--max-output`
    output: usize,
}

impl Buffers {
    /// For connections that may have `output` bytes of answers waiting.
    fn new(output: usize) -> Buffers {
        Buffers {
            free: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH]),
            output,
        }
    }

    fn take(&self) -> Box<Work> {
        self.free.borrow_mut().pop().unwrap_or_else(|| {
            Box::new(Work { inbox: Inbox::new(), outbox: Outbox::new(self.output) })
        })
    }

    fn give_back(&self, mut work: Box<Work>) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT_BUFFERS {
            if !work.is_unused() {
                work.inbox.clear();
                work.outbox.clear();
            }
            free.push(work);
        }
    }
}

// ANCHOR: leased
/// The buffers of one connection, taken when it needs them. They are returned when this
/// is dropped.
pub(crate) struct LeasedBuffers<'b> {
    buffers: &'b Buffers,
    work: Option<Box<Work>>,
}

impl<'b> LeasedBuffers<'b> {
    fn new(buffers: &'b Buffers) -> LeasedBuffers<'b> {
        LeasedBuffers { buffers, work: None }
    }

    /// Returns the buffers.
    fn work(&mut self) -> &mut Work {
        self.work.get_or_insert_with(|| self.buffers.take())
    }

    /// Gives the buffers back, if there is nothing in them that is still needed.
    fn clear(&mut self) {
        if let Some(work) = self.work.take_if(|work| work.is_unused()) {
            self.buffers.give_back(work);
        }
    }
}

impl Drop for LeasedBuffers<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.buffers.give_back(work);
        }
    }
}
// ANCHOR_END: leased
