//! A bounded queue: one thread puts jobs in, many workers take jobs out.
//!
//! ```
//! use ch02_threadpool::Queue;
//! use std::sync::Mutex;
//! use std::thread;
//!
//! let (queue, squares) = (Queue::new(2, 10), Mutex::new(Vec::new()));
//! thread::scope(|scope| {
//!     for _worker in 0..2 {
//!         scope.spawn(|| queue.work(|n: u32| squares.lock().unwrap().push(n * n)));
//!     }
//!     (1..=3).for_each(|n| queue.put(n));
//!     queue.close(); // jobs in the queue are still done
//! });
//! assert_eq!(squares.into_inner().unwrap().iter().sum::<u32>(), 1 + 4 + 9);
//! ```

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

// ANCHOR: state
/// A bounded queue of jobs.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// Maximum number of jobs that are queued or running: one for each worker, and the
    /// jobs that may wait.
    capacity: usize,
    /// Notified when a job is queued, and when the queue is closed.
    job: Condvar,
    /// Notified when there is room for a job, and when [`Queue::end`] is called.
    room: Condvar,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<T>,
    /// Number of running jobs.
    running: usize,
    /// Whether [`Queue::end`] was called: waits for room return `false`.
    ending: bool,
    /// Whether [`Queue::close`] was called: no further job will be queued.
    closed: bool,
}
// ANCHOR_END: state

impl<T> Queue<T> {
    /// Returns a queue for `workers` workers, in which at most `waiting` jobs wait.
    ///
    /// More than `workers` workers do no harm, but a job that one of the additional
    /// workers could run counts as waiting.
    pub fn new(workers: usize, waiting: usize) -> Queue<T> {
        let state =
            State { jobs: VecDeque::new(), running: 0, ending: false, closed: false };
        Queue {
            state: Mutex::new(state),
            capacity: workers.saturating_add(waiting),
            job: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Returns whether a further job would find neither a free worker nor room to wait.
    pub fn is_full(&self) -> bool {
        !self.has_room(&self.lock())
    }

    // ANCHOR: has_room
    /// Returns whether a further job can be queued. Each free worker makes room for one
    /// job.
    fn has_room(&self, state: &State<T>) -> bool {
        state.jobs.len() + state.running < self.capacity
    }
    // ANCHOR_END: has_room

    // ANCHOR: put
    /// Blocks until there is room for a job, and returns `true`; returns `false` if
    /// [`end`](Queue::end) was called. The room is not reserved: the result is reliable
    /// only if a single thread queues jobs.
    pub fn wait_for_room(&self) -> bool {
        let full = |state: &mut State<T>| !self.has_room(state) && !state.ending;
        let state = self.room.wait_while(self.lock(), full);
        !state.unwrap_or_else(PoisonError::into_inner).ending
    }

    /// Ends all waits for room: they return false. Jobs can still be added afterwards,
    /// because the workers run until the queue is closed.
    pub fn end(&self) {
        self.lock().ending = true;
        self.room.notify_all();
    }

    /// Queues a job. Never waits, and does not check for room: the caller does so first,
    /// by [`wait_for_room`](Queue::wait_for_room) or [`is_full`](Queue::is_full). A job
    /// that is queued after [`close`](Queue::close) may never run.
    pub fn put(&self, job: T) {
        self.lock().jobs.push_back(job);
        self.job.notify_one();
    }
    // ANCHOR_END: put

    // ANCHOR: work
    /// Runs a worker: takes one job after another, the oldest first, until the queue is
    /// closed and empty. A worker that waits for a job costs no processor time. Panics
    /// if the closure panics; the job then counts as running for good.
    pub fn work(&self, mut work: impl FnMut(T)) {
        while let Some(job) = self.take() {
            work(job);
            self.lock().running -= 1; // `take` has counted the job
            self.room.notify_one();
        }
    }

    /// Blocks until a job can be taken, or returns `None` when the queue is closed and
    /// empty.
    fn take(&self) -> Option<T> {
        let nothing = |state: &mut State<T>| state.jobs.is_empty() && !state.closed;
        let state = self.job.wait_while(self.lock(), nothing);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let job = state.jobs.pop_front()?;
        state.running += 1;
        Some(job)
    }

    /// Closes the queue, and wakes the workers. Workers still run the jobs that are
    /// queued.
    pub fn close(&self) {
        self.end();
        self.lock().closed = true;
        self.job.notify_all();
    }
    // ANCHOR_END: work

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic cannot leave the state half changed, so the state is valid even if
        // the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use std::sync::Mutex;
    use std::thread;

    #[test]
    fn free_workers_count_as_room() {
        let queue = Queue::new(2, 1);
        for job in 0..3 {
            assert!(!queue.is_full(), "two workers and one place, {job} jobs");
            queue.put(job);
        }
        assert!(queue.is_full());
    }

    #[test]
    fn the_first_job_is_taken_and_counted() {
        let queue = Queue::new(2, 2);
        (1..=2).for_each(|job| queue.put(job));
        for job in 1..=2 {
            assert_eq!(queue.take(), Some(job), "the job that has waited longest");
            let running = queue.lock().running;
            assert_eq!(running, job, "{running} jobs are running");
        }
    }

    #[test]
    fn a_worker_that_was_not_announced_makes_no_room() {
        let queue = Queue::new(0, 1);
        queue.put(1);
        queue.close();
        let mut done = 0;
        queue.work(|_| {
            assert!(queue.is_full(), "one place, and one job under way");
            done += 1;
        });
        assert!(done == 1 && !queue.is_full());
    }

    #[test]
    fn a_job_that_is_on_its_way_at_the_end_is_done() {
        let queue = Queue::new(1, 0);
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            scope.spawn(|| queue.work(|job| done.lock().expect("whole").push(job)));
            queue.end();
            assert!(!queue.wait_for_room());
            queue.put(1); // the job came together with the stop
            queue.close();
        });
        assert_eq!(done.into_inner().expect("whole"), [1]);
    }

    #[test]
    fn jobs_are_done_in_their_order_also_after_the_end() {
        let queue = Queue::new(1, 9);
        (0..9).for_each(|job| queue.put(job));
        queue.close();
        assert!(!queue.wait_for_room());
        let mut done = Vec::new();
        queue.work(|job| done.push(job));
        assert_eq!(done, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn many_workers_do_every_job_once() {
        let (queue, done) = (Queue::new(4, 2), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    queue.work(|job| done.lock().expect("no panic").push(job));
                });
            }
            for job in 0..1000 {
                assert!(queue.wait_for_room());
                queue.put(job);
            }
            queue.close();
        });
        let mut done = done.into_inner().expect("no panic");
        done.sort_unstable();
        assert_eq!(done, (0..1000).collect::<Vec<_>>());
    }
}
