//! `coroutine`: chapter 1's code, and chapter 5's way to wait.
//!
//! Everything here is a coroutine that reads as chapter 1 does: one accepts, one waits
//! for the signal to stop, and each client has one while it is busy. They wait by parking,
//! and one thread runs them all.

use crate::best;
use crate::guest::OnStack;
use crate::house::{House, accept};
use crate::scheduler::{Handle, Scheduler};
use crate::source::{Descriptor, Source, Until};
use crate::stack::Stacks;
use crate::sys;
use ch01_blocking::server::stop::is_readable;
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Listener, Options as Common, Site, Stop};
use ch02_threadpool::options::With;
use ch03_nonblocking::poller::{Interest, Poller, Token};
use ch03_nonblocking::table::Table;
use ch05_epoll::run_threads::run_threads;
use clap::{Args, value_parser};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// What `coroutine` is told at its start.
pub type Options = With<Own>;

/// What only `coroutine` is told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Coroutines")]
pub struct Own {
    /// Schedulers, a thread each [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// A coroutine's stack, in bytes; only pages that are touched cost memory
    #[arg(long, value_name = "SIZE", default_value_t = Stacks::DEFAULT_SIZE)]
    stack: usize,
}

/// Bytes of a client's place in the reactor's table: while it rests, this is all of it but
/// its deadline.
pub const PLACE: usize = Table::<Source<OnStack<best::Best>, Token>>::PLACE;

// ANCHOR: run
/// Serves until `stop`, with a scheduler for each thread.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own: Own { threads, stack } } = options;
    on_threads(listener, *threads, stop, best::poller, |poller, listener, stop| {
        serve_on(poller, listener, site, common, *stack, stop)
    })
}

/// Serves on so many threads, each with a listener of its own, and whatever else is made
/// for it. All is made here, so that a failure is one of the start.
pub(crate) fn on_threads<T: Send>(
    listener: Listener,
    threads: Option<u16>,
    stop: &Stop,
    make: impl Fn() -> io::Result<T>,
    serve: impl Fn(T, Listener, OwnedFd) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let threads = threads.map_or_else(cores, usize::from);
    if threads == 1 {
        return serve(make()?, listener, stop.as_fd().try_clone_to_owned()?);
    }
    let own: Vec<_> = deal(listener, threads)?
        .into_iter()
        .map(|listener| Ok((make()?, listener, stop.as_fd().try_clone_to_owned()?)))
        .collect::<io::Result<_>>()?;
    run_threads(own, stop, |(own, listener, stop)| serve(own, listener, stop))
}

/// Serves until `stop`, on this thread, with this poller and stacks of this size.
pub fn run_one(
    poller: impl Poller + 'static,
    listener: Listener,
    site: &Site,
    options: &Common,
    stack: usize,
    stop: &Stop,
) -> io::Result<()> {
    let stop = stop.as_fd().try_clone_to_owned()?;
    serve_on(poller, listener, site, options, stack, stop)
}

fn serve_on(
    poller: impl Poller + 'static,
    listener: Listener,
    site: &Site,
    options: &Common,
    stack: usize,
    stop: OwnedFd,
) -> io::Result<()> {
    let options = options.clone();
    let scheduler = Scheduler::new(poller, Stacks::new(stack)?);
    let served = sys::lend(scheduler, site, move |site, handle| {
        host(&House::new(site, &options), listener, stop, handle)
    });
    served?
        .unwrap_or_else(|_| Err(io::Error::other("a coroutine of the server panicked")))
}
// ANCHOR_END: run

// ANCHOR: host
/// The first coroutine: has the door opened, waits for the stop, and sees the guests off.
/// When it ends, whoever is still here is unwound.
fn host<P: Poller + 'static>(
    house: &Rc<House<'static, Token>>,
    listener: Listener,
    stop: OwnedFd,
    handle: &Handle<P, OnStack<P>>,
) -> io::Result<()> {
    let stop = Descriptor::new(stop, Interest::READ, handle).map_err(|(_, why)| why)?;
    let door =
        Descriptor::new(listener, Interest::ACCEPT, handle).map_err(|(_, why)| why)?;
    let host = handle.current();
    let accepting = {
        let house = house.clone();
        handle.spawn(move |_| accept(&house, &door))? // and the door is closed
    };
    if let Some(host) = host {
        accepting.wakes(host); // it ends early only if it failed
    }
    while !is_readable(&[stop.get().as_fd()], Some(Duration::ZERO))[0] {
        stop.wait(Until::Readable, None)?;
        if accepting.has_ended() {
            break;
        }
    }
    drop(stop); // it stays readable, and some pollers would say so again and again
    house.site.drain();
    handle.wake(accepting.token());
    accepting.join().unwrap_or_else(|_| Err(io::Error::other("accepting panicked")))?;

    house.say_stop();
    house.host.set(host);
    handle.call_all();
    let deadline = Instant::now() + house.timeouts.drain;
    while house.guests.get() > 0 && handle.now() < deadline {
        handle.park(Some(deadline));
    }
    if house.guests.get() > 0 {
        trace!("stop", "{} connections cut off", house.guests.get());
    }
    if trace::is_on() {
        let (most, deepest) =
            handle.stacks(|stacks| (stacks.most_used(), stacks.high_water()));
        trace!("stacks", "{most} in use at most, {deepest} bytes of one touched at most");
    }
    Ok(())
}
// ANCHOR_END: host

/// A listener for each thread.
fn deal(listener: Listener, threads: usize) -> io::Result<Vec<Listener>> {
    #[cfg(target_os = "linux")]
    return ch05_epoll::reactors::deal(
        listener,
        ch05_epoll::reactors::Listeners::Each,
        threads,
    );
    #[cfg(not(target_os = "linux"))]
    {
        let mut all = vec![listener];
        while all.len() < threads {
            all.push(all[0].shared()?);
        }
        Ok(all)
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}
