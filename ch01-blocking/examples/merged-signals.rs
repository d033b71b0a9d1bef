//! Standard signals do not queue: three children exit, and the handler for SIGCHLD runs once.
#![allow(unsafe_code)]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::io;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

// ANCHOR: merged
static RUNS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    RUNS.fetch_add(1, SeqCst); // async-signal-safe (signal-safety(7))
}

fn main() -> io::Result<()> {
    let action =
        SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only increments an atomic, and that is async-signal-safe.
    unsafe { sigaction(Signal::SIGCHLD, &action) }?;

    let sigchld = SigSet::from_iter([Signal::SIGCHLD]);
    sigchld.thread_block()?; // from now on SIGCHLD stays pending
    for status in 1..=3 {
        // SAFETY: this process has one thread, so fork(2) does not restrict the child.
        match unsafe { fork() }? {
            ForkResult::Child => process::exit(status),
            ForkResult::Parent { child } => wait_until_exited(child),
        }
    }
    sigchld.thread_unblock()?; // now SIGCHLD is delivered
    println!("3 children have exited; the handler ran {} time(s)", RUNS.load(SeqCst));
    while let Ok(WaitStatus::Exited(_, status)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {
        println!("reaped the child with exit status {status}");
    }
    Ok(())
}
// ANCHOR_END: merged

/// Blocks until `child` has exited, without reaping it.
fn wait_until_exited(child: Pid) {
    // SAFETY: a `siginfo_t` consists of numbers and pointers, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: waitid(2) writes at most one `siginfo_t` through the pointer to `info`.
    unsafe {
        libc::waitid(libc::P_PID, child.as_raw() as libc::id_t, &raw mut info, flags)
    };
}
