//! Loops that serve together, a thread each: all of them, or none.
//!
//! ```
//! use ch01_blocking::Stop;
//! use ch05_epoll::together::together;
//!
//! let (stop, _stopper) = Stop::pipe()?;
//! let ended = together(vec![1, 2, 3], &stop, |number| match number {
//!     2 => Err(std::io::Error::other("the second fell over")),
//!     _ => Ok(stop.wait()),
//! });
//! assert!(ended.is_err()); // and the others do not wait for ever
//! # std::io::Result::Ok(())
//! ```

use ch01_blocking::Stop;
use ch02_threadpool::pool::too_many;
use std::io;
use std::thread;

// ANCHOR: together
/// Serves with a thread for each of the shares, until all have ended. One that fails takes
/// the others with it: a server that goes on with fewer loops than it was told would lose
/// the clients in one's queue, and nobody would know why.
/// An error is the first one's, in the order of the shares, or says that there was no
/// thread for one of them.
pub fn together<T: Send>(
    shares: Vec<T>,
    stop: &Stop,
    serve: impl Fn(T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let (wanted, serve) = (shares.len(), &serve);
    thread::scope(|scope| {
        let _all = EndsAll(stop);
        let mut threads = Vec::new();
        for share in shares {
            let life = move || {
                let _all = EndsAll(stop);
                serve(share)
            };
            let thread = thread::Builder::new()
                .spawn_scoped(scope, life)
                .map_err(|error| too_many(threads.len() + 1, wanted, &error))?;
            threads.push(thread);
        }
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a loop panicked")))
        })
    })
}

/// Whoever has it asks for the stop by ending, however that comes about. In good order,
/// it has been asked for before.
struct EndsAll<'s>(&'s Stop);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.ask();
    }
}
// ANCHOR_END: together
