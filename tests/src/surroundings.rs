//! The same surroundings for every server, whoever started the suite.
//!
//! A process inherits more than its arguments: open descriptors, ignored signals,
//! the umask, limits (execve(2), "Effect on process attributes"). A server whose
//! number of free descriptors depends on the terminal, the editor or the build
//! machine that began it all would be judged differently on each of them.

use std::os::fd::RawFd;
use std::{fs, io};

use nix::libc::rlim_t;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};

use crate::sys;
use crate::verdict::{Stop, Verdict};

/// Descriptors that a process may have: many more than the suite's clients need at
/// once, and few enough that a program which walks through all of them is not slow.
const DESCRIPTORS: rlim_t = 16_384;
/// With fewer the suite cannot hold its clients: a case has up to two hundred of them,
/// and several cases run at once.
const TOO_FEW: rlim_t = 1024;

/// The signals by which a server may be told something, or learn of its children.
/// SIGPIPE is not among them: Rust ignores it here, and restores it in what it starts.
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

/// Makes this process, and so every program that it starts, independent of what it
/// was started from. It comes before signals are handled; best first in `main`.
pub fn make_plain() -> io::Result<()> {
    for descriptor in inherited()? {
        sys::keep_to_ourselves(descriptor)?;
    }
    // A shell's background job ignores SIGINT, and so would a server that has no
    // handler for it; a parent that ignores SIGCHLD would leave nobody to wait for.
    for signal in SIGNALS {
        sys::by_default(signal)?;
    }
    // Some cases start the server as another user, who must be able to read the files.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < TOO_FEW {
        return Err(io::Error::other(format!(
            "this process may have {most} descriptors, too few for the suite's clients: raise the hard limit to {TOO_FEW} (ulimit -Hn) or more"
        )));
    }
    setrlimit(Resource::RLIMIT_NOFILE, most.min(DESCRIPTORS), most)?;
    Ok(())
}

/// Every open descriptor but the three standard streams. The one by which the
/// directory is read is among them, and closed when the list is there.
fn inherited() -> io::Result<Vec<RawFd>> {
    let mut open = Vec::new();
    // Where the system does not show them, we live with what there is.
    let Ok(all) = fs::read_dir("/dev/fd") else { return Ok(open) };
    for entry in all {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<RawFd>().ok());
        open.extend(number.filter(|descriptor| *descriptor > 2));
    }
    Ok(open)
}

/// Skips a case that holds so many clients where neither it nor the server could,
/// beside the cases that run at the same time.
pub(crate) fn room_for(clients: rlim_t) -> Verdict {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(rlim_t::MAX, |(soft, _)| soft);
    if most < clients + TOO_FEW / 2 {
        return Err(Stop::skip(format!(
            "{clients} clients at once, where a process may have {most} descriptors (ulimit -n)"
        )));
    }
    Ok(())
}
