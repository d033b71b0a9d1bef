//! Event loops on one thread each, which run together: all of them or none.
//!
//! ```
//! use ch01_blocking::Stop;
//! use ch05_epoll::run_threads::run_threads;
//!
//! let (stop, _trigger) = Stop::pipe()?;
//! let ended = run_threads(vec![1, 2, 3], &stop, |number| match number {
//!     2 => Err(std::io::Error::other("the second failed")),
//!     _ => Ok(stop.wait()),
//! });
//! assert!(ended.is_err()); // and the others have ended, too
//! # std::io::Result::Ok(())
//! ```

use ch01_blocking::Stop;
use ch01_blocking::server::log;
use ch01_blocking::server::sys::claim_memory;
use ch02_threadpool::pool::too_many;
use std::io;
use std::thread::{self, available_parallelism};

/// Returns the number of cores that this process may use, or 1 if the number is
/// unknown.
pub fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Logs that a thread has failed after the server's start. The failure is logged at
/// once, because the other threads may take the whole drain timeout to end.
pub fn log_failure(error: &io::Error) {
    log::line(&format!("a thread of the server has failed, and all stop: {error}"));
}

// ANCHOR: run_threads
/// Calls `serve` once for each element of `shares`, each time on a new thread, and
/// returns when all threads have ended.
///
/// A thread that returns or panics stops the others: if the server went on without that
/// thread's event loop, clients in the loop's accept queue would wait in vain,
/// unnoticed.
///
/// # Errors
///
/// The first error in the order of `shares`, where a panic counts as an error, or the
/// error of creating a thread.
pub fn run_threads<T: Send>(
    shares: Vec<T>,
    stop: &Stop,
    serve: impl Fn(T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let (wanted, serve) = (shares.len(), &serve);
    thread::scope(|scope| {
        let _stop = StopOnDrop(stop);
        let mut threads = Vec::new();
        for share in shares {
            let main = move || {
                let _stop = StopOnDrop(stop);
                serve(share)
            };
            let thread = claim_memory(0)
                .and_then(|_claim| thread::Builder::new().spawn_scoped(scope, main))
                .map_err(|error| too_many(threads.len() + 1, wanted, &error))?;
            threads.push(thread);
        }
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a loop panicked")))
        });
        // All are joined: the scope panics if a thread that is not joined has panicked.
        results.fold(Ok(()), Result::and)
    })
}

/// A guard that requests the stop when it is dropped, so that a thread that returns or
/// panics stops the others. In an orderly shutdown, the stop is requested already when
/// the guard is dropped.
struct StopOnDrop<'s>(&'s Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}
// ANCHOR_END: run_threads
