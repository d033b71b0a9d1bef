// ANCHOR: head
//! A process for each client, a deadline for each request, and an orderly stop.
//!
//! This server limits neither the number of processes nor the duration of the stop. At
//! the stop it does not distinguish an idle connection from one in the middle of a
//! request: half a request is cut off.
#![allow(unsafe_code)] // fork, and a signal handler

use ch01_blocking::small::{self, deadline::DeadlineStream, signals};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitPidFlag, wait, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::collections::HashSet;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::exit;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::thread;

// ANCHOR_END: head
// ANCHOR: child
/// The descriptor of the client's socket in a child process; -1 in the parent.
static CLIENT: AtomicI32 = AtomicI32::new(-1);

/// Handles SIGTERM: ends the connection after the requests that have arrived. When no
/// received bytes are left, a read returns 0, as if the client had finished.
extern "C" fn hang_up(_: c_int) {
    let errno = Errno::last_raw(); // belongs to the code that was interrupted
    // SAFETY: shutdown(2) is async-signal-safe, and the descriptor is never closed.
    unsafe { libc::shutdown(CLIENT.load(SeqCst), libc::SHUT_RD) };
    Errno::set_raw(errno);
}

/// Serves one client in a child process. Installs a handler, then unblocks `sigterm`.
fn run_child(client: &TcpStream, sigterm: SigSet) -> io::Result<()> {
    CLIENT.store(client.as_raw_fd(), SeqCst);
    let handler = SigHandler::Handler(hang_up);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: `hang_up` calls only functions that are async-signal-safe.
    unsafe { sigaction(Signal::SIGTERM, &action) }?;
    sigterm.thread_unblock()?;
    small::serve(&mut DeadlineStream::new(client)?, thread::sleep)
}
// ANCHOR_END: child
// ANCHOR: main
fn main() -> io::Result<()> {
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let exits = signals::pipe_of(&[Signal::SIGCHLD])?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    let mut children = HashSet::new();
    let sigterm = SigSet::from_iter([Signal::SIGTERM]);
    loop {
        match signals::accept(&listener, &[&stop, &exits])? {
            Some(client) => {
                // SIGTERM stays blocked until the child has its own handler, so that it
                // misses no signal.
                sigterm.thread_block()?;
                // SAFETY: one thread runs here, so fork(2) does not restrict the child.
                match unsafe { fork() } {
                    Ok(ForkResult::Child) => {
                        drop(listener);
                        // If serving fails, the cause is the client or the network, and
                        // only this connection ends.
                        let _ = run_child(&client, sigterm);
                        exit(0);
                    }
                    Ok(ForkResult::Parent { child }) => drop(children.insert(child)),
                    Err(_) => {} // fork failed, so the client's connection is closed
                }
                sigterm.thread_unblock()?;
            } // closes the parent's copy of the socket
            None if signals::take(&exits) => reap(&mut children),
            None => break,
        }
    }
    drop(listener); // further connections are refused
    for &child in &children {
        let _ = kill(child, Signal::SIGTERM);
    }
    while wait().is_ok() {}
    Ok(())
}

/// Reaps every child that has exited. One SIGCHLD may stand for several exits.
fn reap(children: &mut HashSet<Pid>) {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG))
        && let Some(child) = status.pid()
    {
        children.remove(&child);
    }
}
// ANCHOR_END: main
