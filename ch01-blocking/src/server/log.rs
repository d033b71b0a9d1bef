//! The log: lines on standard error, written without ever blocking.
//!
//! Standard error may be a pipe whose reader is slow, or has stopped. write(2) to a full pipe
//! blocks (pipe(7)), and a thread that blocks there neither serves its connection nor notices
//! the stop; an event loop that blocks there serves no connection at all. So a line for which
//! there is no room is dropped, and the next line that fits says how many were dropped.
//!
//! O_NONBLOCK, the usual way to avoid blocking, is no option: the flag belongs to the open
//! file, which the shell and its other programs share (fcntl(2), F_SETFL).

use crate::server::sys;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Number of lines dropped since the last line that was written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Writes one line to standard error, or drops the line if the write would block.
/// Each line is one write, so that the lines of several threads and processes do not
/// mix.
pub fn line(text: &str) {
    let dropped = DROPPED.swap(0, Relaxed);
    let text = match dropped {
        0 => format!("{text}\n"),
        _ => format!("({dropped} lines are missing here)\n{text}\n"),
    };
    if let Err(error) = sys::write_now(io::stderr().as_fd(), text.as_bytes())
        && error.kind() == ErrorKind::WouldBlock
    {
        DROPPED.fetch_add(dropped + 1, Relaxed);
    }
}
