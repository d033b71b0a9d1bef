//! What Rust cannot vouch for: that a borrow outlives the coroutines that use it.
#![allow(unsafe_code)]

use crate::guest::OnStack;
use crate::scheduler::{Handle, Scheduler};
use ch01_blocking::Site;
use ch03_nonblocking::poller::Poller;
use std::io;
use std::ptr;
use std::thread;

/// Runs a scheduler whose coroutines know the site, as long as it takes.
///
/// The body of a coroutine may not borrow, and for a reason: one that is leaked never runs
/// what stands on its stack to its end, and a guard there that promises to wait for
/// somebody, as a scope of threads does, could not keep its word. Here none is leaked.
pub(crate) fn lend<P: Poller, T: 'static>(
    scheduler: Scheduler<P, OnStack<P>>,
    site: &Site,
    first: impl FnOnce(&'static Site, &Handle<P, OnStack<P>>) -> T + 'static,
) -> io::Result<thread::Result<T>> {
    // SAFETY: the borrow ends after this function. What is given the longer one is this
    // crate's: `first`, and who is spawned by it or rests with the scheduler, and none of
    // these puts it elsewhere, be it into what it comes to or what it panics with. `run`
    // takes the scheduler, and however it ends, the scheduler is dropped by then and all
    // of them with it (`Scheduler::drop`).
    let site: &'static Site = unsafe { &*ptr::from_ref(site) };
    scheduler.run(move |handle| first(site, handle))
}
