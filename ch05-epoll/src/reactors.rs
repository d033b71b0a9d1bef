//! `reactors`: a loop for each core, and nothing shared between them but the clients
//! that have yet to come.
//!
//! A loop that never waits uses one core, and a machine has several. So run several
//! loops, each with connections of its own, in threads or, where descriptors are
//! limited for each process, in processes too. What remains is to deal out the clients:
//! see [`Listeners`].

use crate::epoll::{Epoll, Trigger};
use crate::run_threads::run_threads;
use ch01_blocking::server::sys::Signal;
use ch01_blocking::{Listener, Options as Common, Site, Stop};
use ch02_threadpool::options::With;
use ch02_threadpool::prefork::supervise;
use ch03_nonblocking::event_loop::EventLoop;
use clap::{Args, ValueEnum, value_parser};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::available_parallelism;

/// What `reactors` is told at its start.
pub type Options = With<Own>;

/// What only `reactors` is told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Loops")]
pub struct Own {
    /// Loops in each process, a thread each [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Processes
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), default_value = "1")]
    processes: u16,
    /// How clients are dealt out
    #[arg(long, value_enum, default_value = "each")]
    listeners: Listeners,
}

// ANCHOR: listeners
/// How clients are dealt out among the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listeners {
    /// A listening socket for each loop; the kernel deals out by a hash (SO_REUSEPORT)
    Each,
    /// One for all; the kernel wakes one loop that waits (EPOLLEXCLUSIVE)
    One,
    /// One for all; the kernel wakes every loop that waits, and all but one in vain
    Herd,
}
// ANCHOR_END: listeners

// ANCHOR: run
/// Serves until `stop`. With several processes, only from one that has one thread.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own: Own { threads, processes, listeners } } = options;
    let threads = threads.map_or_else(cores, usize::from);
    if *processes == 1 {
        let own = deal(listener, *listeners, threads)?;
        return run_loops(own, site, common, *listeners, None, stop);
    }
    // All are made before the first child: if one dies, its queue waits for the next.
    let all = deal(listener, *listeners, threads * usize::from(*processes))?;
    // Where processes share a socket, one that is out of descriptors wakes the others.
    let siblings = (*listeners == Listeners::One).then(siblings).transpose()?;
    let siblings = siblings.as_ref().map(AsFd::as_fd);
    supervise(all, site, common, *processes, stop, |number, mut all, parent| {
        let first = threads * (usize::from(number) - 1);
        let own = all.drain(first..first + threads).collect();
        let own = Listener::reported(own, parent);
        drop(all); // the others' own
        let stop = Stop::on(&[Signal::SIGTERM])?;
        run_loops(own, site, common, *listeners, siblings, &stop)
    })
}

/// A loop for each of the listeners, in a thread each.
fn run_loops(
    listeners: Vec<Listener>,
    site: &Site,
    options: &Common,
    how: Listeners,
    siblings: Option<BorrowedFd<'_>>,
    stop: &Stop,
) -> io::Result<()> {
    // Made here, so that a failure is one of the start.
    let loops: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let epoll = Epoll::new(Trigger::Edge)?.non_exclusive(how == Listeners::Herd);
            let own = EventLoop::new(epoll, listener, site, options, stop)?;
            match siblings {
                Some(siblings) => own.sharing(siblings),
                None => Ok(own),
            }
        })
        .collect::<io::Result<_>>()?;
    run_threads(loops, stop, EventLoop::run)
}
// ANCHOR_END: run

// ANCHOR: deal
/// A listener for each loop: a socket, or another descriptor of the same socket.
/// An error means that there are no descriptors left.
pub fn deal(
    listener: Listener,
    how: Listeners,
    loops: usize,
) -> io::Result<Vec<Listener>> {
    let mut all = vec![listener];
    while all.len() < loops {
        let next = match how {
            Listeners::Each => all[0].sibling(),
            Listeners::One | Listeners::Herd => all[0].shared(),
        };
        all.push(next?);
    }
    Ok(all)
}
// ANCHOR_END: deal

/// A descriptor whose every write wakes all loops that watch it. It is never read.
fn siblings() -> io::Result<EventFd> {
    Ok(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?)
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}
