//! The server `reactors`: one event loop per core. A connection belongs to the loop that
//! accepts it.
//!
//! An event loop uses one core, and a machine has several. So this server runs several
//! loops, each with its own connections, in threads and, since descriptors are limited per
//! process, also in processes. What remains is to distribute new clients among the loops:
//! see [`Listeners`].

use crate::epoll::{Epoll, Trigger};
use crate::run_threads::{cores, run_threads};
use ch01_blocking::server::sys::Signal;
use ch01_blocking::{Listener, Options as Common, Site, Stop};
use ch02_threadpool::options::With;
use ch02_threadpool::prefork::supervise;
use ch03_nonblocking::event_loop::EventLoop;
use clap::{Args, ValueEnum, value_parser};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The command-line options of `reactors`.
pub type Options = With<Own>;

/// The options that only `reactors` has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Loops")]
pub struct Own {
    /// Number of event loops per process, each in its own thread [default: one per core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Number of processes, each with --threads event loops
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), default_value = "1")]
    processes: u16,
    /// How clients are distributed among the loops
    #[arg(long, value_enum, default_value = "each")]
    listeners: Listeners,
}

// ANCHOR: listeners
/// The distribution of clients among the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listeners {
    /// One listening socket per loop; the kernel picks one by a hash (SO_REUSEPORT)
    Each,
    /// One socket for all loops; the kernel wakes one waiting loop (EPOLLEXCLUSIVE)
    One,
    /// One socket for all loops; the kernel wakes them all, although one is enough
    Herd,
}
// ANCHOR_END: listeners

// ANCHOR: run
/// Serves until `stop` is requested and the connections are drained. If the options ask
/// for several processes, the calling process must have only one thread, because
/// fork(2) copies only the thread that calls it.
///
/// # Errors
///
/// The errors of creating the listeners, pollers, threads and processes.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own: Own { threads, processes, listeners } } = options;
    let threads = threads.map_or_else(cores, usize::from);
    if *processes == 1 {
        let own = split_listener(listener, *listeners, threads)?;
        return run_loops(own, site, common, *listeners, None, stop);
    }
    // All listeners are created before the first child process, and stay open in the
    // parent: if a child dies, clients in the backlogs of its listeners wait for its
    // replacement.
    let all = split_listener(listener, *listeners, threads * usize::from(*processes))?;
    // Where processes share a socket, a process that is out of descriptors wakes the
    // other processes, which then accept the waiting clients.
    let siblings = (*listeners == Listeners::One).then(siblings).transpose()?;
    let siblings = siblings.as_ref().map(AsFd::as_fd);
    supervise(all, site, common, *processes, stop, |number, mut all, parent| {
        let first = threads * (usize::from(number) - 1);
        let own = all.drain(first..first + threads).collect();
        let own = Listener::reported(own, parent);
        drop(all); // closes this child's copies of the other children's listeners
        let stop = Stop::on(&[Signal::SIGTERM])?;
        run_loops(own, site, common, *listeners, siblings, &stop)
    })
}

/// Runs an event loop for each listener, each in its own thread.
fn run_loops(
    listeners: Vec<Listener>,
    site: &Site,
    options: &Common,
    how: Listeners,
    siblings: Option<BorrowedFd<'_>>,
    stop: &Stop,
) -> io::Result<()> {
    // All loops are created before any thread starts, so that an error prevents the
    // start of the server.
    let loops: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let herd = how == Listeners::Herd;
            let epoll = Epoll::new(Trigger::Edge)?.non_exclusive(herd);
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

// ANCHOR: split_listener
/// Returns a listener for each of `loops` loops: as `how` says, each has its own
/// socket, or all share the socket of `listener`.
///
/// # Errors
///
/// The socket or the descriptor cannot be created, for example because the process has
/// reached its limit of descriptors.
pub fn split_listener(
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
// ANCHOR_END: split_listener

/// Returns an eventfd(2) that, once written, wakes all loops in which it is registered.
/// No loop reads it, because edge-triggered epoll reports each write.
fn siblings() -> io::Result<EventFd> {
    Ok(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?)
}
