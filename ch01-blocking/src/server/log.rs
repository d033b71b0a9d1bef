//! The log: lines on standard error, none of which is waited for.
//!
//! Standard error may be a pipe whose reader is slow, or has stopped. write(2) to a full pipe
//! blocks (pipe(7)), and a thread that blocks there serves no client and hears no signal to
//! stop; if it is an event loop's, no client is served at all. So a line for which there is no
//! room is dropped, and the next one that fits says how many were.
//!
//! The usual way not to block, O_NONBLOCK, is closed: that flag belongs to the open file, which
//! the shell and its other programs share (fcntl(2), F_SETFL).

use crate::server::sys;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Lines that were dropped since the last one that was written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Writes one line, or drops it. One write for each line, so that the lines of many threads and
/// processes do not mix.
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
