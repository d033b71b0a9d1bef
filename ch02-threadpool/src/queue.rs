//! A bounded queue: one thread puts jobs in, many workers take them out.
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
//!     queue.close(); // what is in it is still done
//! });
//! assert_eq!(squares.into_inner().unwrap().iter().sum::<u32>(), 1 + 4 + 9);
//! ```

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that wait for a worker, and how many workers wait for a job.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// Jobs that may be in the queue or under way: one for each worker, and those that
    /// may wait.
    capacity: usize,
    /// There is a job, or there never will be one.
    job: Condvar,
    /// There is room, or nobody needs any more.
    room: Condvar,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<T>,
    /// Jobs that are being done.
    running: usize,
    /// Nobody is to wait for room any more.
    ending: bool,
    /// No job will come any more.
    closed: bool,
}

impl<T> Queue<T> {
    /// A queue for `workers` workers, in which at most `most` jobs wait. A worker more does
    /// no harm, but a job that it could do counts as one that waits.
    pub fn new(workers: usize, most: usize) -> Queue<T> {
        let state =
            State { jobs: VecDeque::new(), running: 0, ending: false, closed: false };
        Queue {
            state: Mutex::new(state),
            capacity: workers.saturating_add(most),
            job: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Whether a job would find neither a worker nor a place.
    pub fn is_full(&self) -> bool {
        !self.has_room(&self.lock())
    }

    /// A job for which a worker is free does not have to wait, so it takes no place.
    fn has_room(&self, state: &State<T>) -> bool {
        state.jobs.len() + state.running < self.capacity
    }

    // ANCHOR: put
    /// Waits until there is room for a job. Says `false` when the end has come instead.
    /// Only the one thread that puts jobs in may rely on the answer.
    pub fn wait_for_room(&self) -> bool {
        let full = |state: &mut State<T>| !self.has_room(state) && !state.ending;
        let state = self.room.wait_while(self.lock(), full);
        !state.unwrap_or_else(PoisonError::into_inner).ending
    }

    /// Nobody is to wait for room any more. A job that is on its way may still be put
    /// in, and the workers stay for it until the queue is closed.
    pub fn end(&self) {
        self.lock().ending = true;
        self.room.notify_all();
    }

    /// Puts a job in. It waits for nothing: see [`wait_for_room`](Queue::wait_for_room)
    /// and [`is_full`](Queue::is_full).
    pub fn put(&self, job: T) {
        self.lock().jobs.push_back(job);
        self.job.notify_one();
    }
    // ANCHOR_END: put

    // ANCHOR: work
    /// A worker's life: takes one job after another, the oldest first, until the queue
    /// is closed and empty. A worker that waits here costs no processor time.
    pub fn work(&self, mut work: impl FnMut(T)) {
        while let Some(job) = self.take() {
            work(job);
            self.lock().running -= 1; // `take` has counted it
            self.room.notify_one();
        }
    }

    fn take(&self) -> Option<T> {
        let nothing = |state: &mut State<T>| state.jobs.is_empty() && !state.closed;
        let state = self.job.wait_while(self.lock(), nothing);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let job = state.jobs.pop_front()?;
        state.running += 1;
        Some(job)
    }

    /// No more jobs: wakes all who wait for one. Those that are in the queue are done.
    pub fn close(&self) {
        self.end();
        self.lock().closed = true;
        self.job.notify_all();
    }
    // ANCHOR_END: work

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here can be left half done by a panic.
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
            assert!(!queue.is_full(), "two workers and one guard, {job} jobs");
            queue.put(job);
        }
        assert!(queue.is_full());
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
            queue.put(1); // it came together with the stop
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
