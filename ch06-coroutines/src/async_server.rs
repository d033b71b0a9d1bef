//! `async`: chapter 1's code with marks, which the compiler makes chapter 3's of.
//!
//! Lay it beside the [`server`](crate::server) of coroutines. One task has the door opened
//! and waits for the signal to stop, and each client has one while it is busy.

use crate::best;
use crate::executor::{Executor, Spawner, yield_now};
use crate::house::{Came, House};
use crate::race::{Either, race};
use crate::reactor::Watch;
use crate::server::on_threads;
use crate::source::{Descriptor, Source, Until};
use crate::visitor::{self, Visitor};
use crate::waker::Bell;
use ch01_blocking::server::listener::ACCEPT_BACKOFF;
use ch01_blocking::server::stop::is_readable;
use ch01_blocking::server::trace::trace;
use ch01_blocking::{Listener, Options as Common, Site, Stop};
use ch02_threadpool::options::With;
use ch03_nonblocking::poller::{Interest, Poller};
use ch03_nonblocking::table::Table;
use clap::{Args, value_parser};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// What `async` is told at its start.
pub type Options = With<Own>;

/// What only `async` is told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Futures")]
pub struct Own {
    /// Executors, a thread each [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// Bytes of a client's place in the reactor's table: while it rests, this is all of it but
/// its deadline.
pub const PLACE: usize = Table::<Source<Visitor<'_, best::Best>, Waker>>::PLACE;

/// Bytes of the future that serves a client, which it has only while it is not idle.
pub fn future_size() -> usize {
    visitor::future_size::<best::Best>()
}

// ANCHOR: run
/// Serves until `stop`, with an executor for each thread.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own: Own { threads } } = options;
    let make = || Ok((best::poller()?, Bell::new()?));
    on_threads(listener, *threads, stop, make, |(poller, bell), listener, stop| {
        serve_on(Executor::with_bell(poller, bell), listener, site, common, stop)
    })
}

/// Serves until `stop`, on this thread, with this poller.
pub fn run_one(
    poller: impl Poller + 'static,
    listener: Listener,
    site: &Site,
    options: &Common,
    stop: &Stop,
) -> io::Result<()> {
    let stop = stop.as_fd().try_clone_to_owned()?;
    serve_on(Executor::new(poller)?, listener, site, options, stop)
}

/// The tasks borrow the site, as threads in a scope would.
fn serve_on<'a, P: Poller + 'static>(
    executor: Executor<'a, P, Visitor<'a, P>>,
    listener: Listener,
    site: &'a Site,
    options: &Common,
    stop: OwnedFd,
) -> io::Result<()> {
    let house = House::new(site, options);
    executor
        .run(|spawner| host(house, listener, stop, spawner))?
        .unwrap_or_else(|_| Err(io::Error::other("a task of the server panicked")))
}
// ANCHOR_END: run

// ANCHOR: host
/// The first task: has the door opened, waits for the stop, and sees the guests off. When
/// it ends, whoever is still here is dropped.
async fn host<'a, P: Poller + 'static>(
    house: Rc<House<'a, Waker>>,
    listener: Listener,
    stop: OwnedFd,
    spawner: Spawner<'a, P, Visitor<'a, P>>,
) -> io::Result<()> {
    {
        let open = pin!(accept(&house, listener, &spawner));
        let stopped = pin!(asked(stop, &spawner));
        match race(open, stopped).await {
            Either::First(failed) | Either::Second(failed) => failed?,
        }
    } // both are dropped, and the door with them: who comes now is refused by the kernel
    house.site.drain();
    house.say_stop();
    let waiting = spawner.reactor(|reactor| {
        reactor.call_all();
        reactor.waiting()
    });
    waiting.into_iter().for_each(Waker::wake); // for each to see what has changed
    let due = Instant::now() + house.timeouts.drain;
    let left = poll_fn(|context| match house.guests.get() {
        0 => Poll::Ready(()),
        _ => {
            house.host.set(Some(context.waker().clone()));
            Poll::Pending
        }
    });
    if let Either::Second(()) = race(left, spawner.sleep(due)).await {
        trace!("stop", "{} connections cut off", house.guests.get());
    }
    Ok(())
}

/// Accepts whoever comes, until it is dropped.
async fn accept<'a, P: Poller + 'static>(
    house: &Rc<House<'a, Waker>>,
    listener: Listener,
    spawner: &Spawner<'a, P, Visitor<'a, P>>,
) -> io::Result<()> {
    let door =
        Descriptor::new(listener, Interest::ACCEPT, spawner).map_err(|(_, why)| why)?;
    door.get().ready()?;
    loop {
        match house.let_in(&door) {
            Came::Crowd => yield_now().await, // and others are inside
            Came::Nobody => {
                door.read_would_block();
                door.ready(Until::Readable).await?;
            }
            Came::NoDescriptors => {
                // Not a sleep: the poller would go on telling of those who wait outside.
                door.ready_by(Until::Over, spawner.now() + ACCEPT_BACKOFF).await?;
            }
        }
    }
}

/// Ready when the server is to stop.
async fn asked<'a, P: Poller + 'static>(
    stop: OwnedFd,
    spawner: &Spawner<'a, P, Visitor<'a, P>>,
) -> io::Result<()> {
    let stop = Descriptor::new(stop, Interest::READ, spawner).map_err(|(_, why)| why)?;
    while !is_readable(&[stop.get().as_fd()], Some(Duration::ZERO))[0] {
        stop.read_would_block();
        stop.ready(Until::Readable).await?;
    }
    Ok(())
}
// ANCHOR_END: host
