//! Gives every server the same process environment, whatever program started the suite.
//!
//! A process inherits more than its arguments: open descriptors, ignored signals, the umask,
//! and limits (execve(2), "Effect on process attributes"). Without this module the verdict on a
//! server that runs out of descriptors would depend on the terminal, editor, or build machine.

use std::os::fd::RawFd;
use std::{fs, io};

use nix::libc::rlim_t;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};

use crate::sys;
use crate::verdict::{Abort, Verdict};

/// The soft limit on descriptors for the suite and its servers: many more than the suite's clients
/// need at the same time, and few enough that a program which closes all of them in a loop is not
/// slow.
const DESCRIPTORS: rlim_t = 16_384;
/// The smallest hard limit on descriptors that the suite accepts: enough for several cases that run
/// at the same time, with up to two hundred clients each. A case with more clients can check the
/// limit with [`require_descriptors`].
const MIN_DESCRIPTORS: rlim_t = 1024;

/// Signals that control a server or report its children. SIGPIPE is not in the list: Rust ignores
/// SIGPIPE in this process, and restores it in the programs that this process starts.
const SIGNALS: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGALRM,
    Signal::SIGCHLD,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Makes this process, and so every program that it starts, independent of its parent. Must be
/// called first in `main`, before any signal handler is installed.
///
/// # Errors
///
/// Fails if the hard limit on descriptors is too low.
pub fn normalize() -> io::Result<()> {
    for descriptor in inherited_descriptors()? {
        sys::set_cloexec(descriptor)?;
    }
    // A program inherits ignored signals. A shell's background job ignores SIGINT, and so would a
    // server without a handler for SIGINT. If SIGCHLD were ignored, a server could not wait for its
    // children.
    for signal in SIGNALS {
        sys::reset_to_default(signal)?;
    }
    // New files get a mode that lets every user read them, because some cases start the server as
    // another user.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < MIN_DESCRIPTORS {
        return Err(io::Error::other(format!(
            "the hard limit of {most} descriptors is too low for the suite's clients: raise it to {MIN_DESCRIPTORS} or more (ulimit -Hn)"
        )));
    }
    setrlimit(Resource::RLIMIT_NOFILE, most.min(DESCRIPTORS), most)?;
    Ok(())
}

/// Returns every open descriptor except the three standard streams. The result includes the
/// descriptor with which this function read the directory `/dev/fd`, which is closed by then.
fn inherited_descriptors() -> io::Result<Vec<RawFd>> {
    let mut open = Vec::new();
    // If the system has no /dev/fd, inherited descriptors stay open.
    let Ok(all) = fs::read_dir("/dev/fd") else { return Ok(open) };
    for entry in all {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<RawFd>().ok());
        open.extend(number.filter(|descriptor| *descriptor > 2));
    }
    Ok(open)
}

/// Skips a case with `clients` connections if the descriptor limit is too low for these
/// connections, the server, and the cases that run at the same time.
pub(crate) fn require_descriptors(clients: rlim_t) -> Verdict {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(rlim_t::MAX, |(soft, _)| soft);
    if most < clients + MIN_DESCRIPTORS / 2 {
        return Err(Abort::skip(format!(
            "it needs more clients at once than the limit of {most} descriptors allows: {clients} (ulimit -n)"
        )));
    }
    Ok(())
}
