//! A pool of threads behind a bounded queue, for the `workers` cases: the pool has a fixed size or,
//! for the project `project_pool`, grows and shrinks between two bounds.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection;
use crate::listener::{ACCEPT_BACKOFF, STACK};
use crate::mutations::Mutation;
use crate::options::Elastic;
use crate::server::Server;
use crate::switch::wrong;

/// The interval at which a thread that waits for room in the queue checks for shutdown, and a
/// thread that waits for the workers to exit checks for the drain deadline.
const RECHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The worker threads, and the queue of connections that wait for a free worker.
pub(crate) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    queue: usize,
    size: Elastic,
}

struct State {
    waiting: VecDeque<TcpStream>,
    /// Number of idle workers.
    free: usize,
    /// Number of workers that have not exited.
    alive: usize,
    closed: bool,
}

impl Pool {
    /// Starts a pool with its smallest number of threads.
    pub(crate) fn start(server: &Arc<Server>, size: Elastic) -> io::Result<Arc<Self>> {
        let workers =
            if wrong(Mutation::ElasticStartsWithAll) { size.max } else { size.min };
        server.stats.workers.store(workers, Ordering::Relaxed);
        let state = State {
            waiting: VecDeque::new(),
            free: workers,
            alive: workers,
            closed: false,
        };
        let queue = server.options.queue;
        let pool = Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            queue,
            size,
        });
        for _ in 0..workers {
            pool.spawn(server)?;
        }
        Ok(pool)
    }

    fn spawn(self: &Arc<Self>, server: &Arc<Server>) -> io::Result<()> {
        let (pool, server) = (Arc::clone(self), Arc::clone(server));
        thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || pool.run_worker(&server))
            .map(drop)
    }

    /// Starts one more worker for a client that is about to be queued, if the queue already has at
    /// least as many clients as there are idle workers, and if the pool is below its largest size.
    /// If no thread can be created, the new client waits for one of the existing workers.
    fn grow(self: &Arc<Self>, state: &mut State, server: &Arc<Server>) {
        let wanted = state.waiting.len() >= state.free
            && !wrong(Mutation::ElasticNeverGrows)
            || wrong(Mutation::ElasticGrowsForEveryClient);
        let may = state.alive < self.size.max || wrong(Mutation::ElasticWithoutBound);
        if wanted && may && self.spawn(server).is_ok() {
            state.free += 1;
            state.alive += 1;
            server.stats.workers.store(state.alive, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State) -> bool {
        if wrong(Mutation::UnboundedQueue) {
            return true;
        }
        let free = if wrong(Mutation::FreeWorkersDoNotCount) { 0 } else { state.free };
        state.waiting.len()
            < free + self.size.max.saturating_sub(state.alive) + self.queue
    }

    /// Blocks until the queue has room, unless connections are to be rejected when the queue is
    /// full.
    pub(crate) fn wait_for_room(&self, server: &Server) {
        let refuses = server.options.refuse || wrong(Mutation::DropsWhenFull);
        let mut state = self.lock();
        while !refuses && !self.has_room(&state) && !server.stop.requested() {
            let waited = self.changed.wait_timeout(state, RECHECK_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Queues a connection, or rejects it if the queue is full.
    pub(crate) fn push(self: &Arc<Self>, stream: TcpStream, server: &Arc<Server>) {
        let mut state = self.lock();
        if state.free == 0 && wrong(Mutation::GrowsWhenBusy) {
            state.free += 1;
            state.alive += 1;
            let (pool, server) = (Arc::clone(self), Arc::clone(server));
            thread::spawn(move || pool.run_worker(&server));
        }
        if server.options.elastic.is_some() {
            self.grow(&mut state, server);
        }
        if self.has_room(&state) {
            state.waiting.push_back(stream);
            self.changed.notify_all();
            return;
        }
        drop(state);
        if !wrong(Mutation::DropsWhenFull) && !wrong(Mutation::FullWithoutAnswer) {
            connection::reject(
                &stream,
                server,
                "every worker is busy and the queue is full",
                ACCEPT_BACKOFF,
            );
        }
    }

    fn run_worker(&self, server: &Server) {
        let counted = || {
            let Server { stats, .. } = server;
            [&stats.panics, &stats.timeouts]
                .map(|counter| counter.load(Ordering::Relaxed))
        };
        while let Some(stream) = self.take(server) {
            let [panics, timeouts] = counted();
            connection::serve(&stream, server);
            drop(stream);
            let [more_panics, more_timeouts] = counted();
            if more_panics > panics && wrong(Mutation::PanicCostsWorker)
                || more_timeouts > timeouts && wrong(Mutation::DeadlineKeepsWorker)
            {
                thread::park();
            }
            if more_panics > panics && wrong(Mutation::ElasticPanicCostsWorker) {
                thread::park();
            }
            self.lock().free += 1;
            self.changed.notify_all();
        }
    }

    /// Returns whether a worker that has been idle since `idle_since` is to exit.
    fn is_superfluous(&self, state: &State, idle_since: Instant) -> bool {
        let past = idle_since.elapsed() >= self.size.shrink_after
            || wrong(Mutation::ElasticShrinksAtOnce);
        past && state.alive > self.size.min && !wrong(Mutation::ElasticNeverShrinks)
    }

    /// Returns the next connection, or `None` if this worker is to exit: the worker is then no
    /// longer counted.
    fn take(&self, server: &Server) -> Option<TcpStream> {
        let mut state = self.lock();
        if wrong(Mutation::ForgetsQueueAtStop) && server.stop.requested() {
            state.waiting.clear();
        }
        let idle_since = Instant::now();
        while state.waiting.is_empty() {
            if state.closed || self.is_superfluous(&state, idle_since) {
                state.free -= 1;
                state.alive -= 1;
                server.stats.workers.store(state.alive, Ordering::Relaxed);
                self.changed.notify_all();
                return None;
            }
            let left = self.size.shrink_after.saturating_sub(idle_since.elapsed());
            // A worker that may not exit, because the pool has its smallest size, waits without a
            // timeout for the next client.
            state = if state.alive > self.size.min && !left.is_zero() {
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
        state.free -= 1;
        if wrong(Mutation::LastComeFirst) {
            return state.waiting.pop_back();
        }
        state.waiting.pop_front()
    }

    /// Closes the queue, and waits until every worker has exited, but no longer than until `end`.
    pub(crate) fn drain(&self, end: Instant) {
        let mut state = self.lock();
        if wrong(Mutation::ForgetsQueueAtStop) {
            state.waiting.clear();
        }
        state.closed = !wrong(Mutation::FreeWorkersStay);
        self.changed.notify_all();
        while state.alive > 0 && Instant::now() < end {
            let waited = self.changed.wait_timeout(state, RECHECK_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
