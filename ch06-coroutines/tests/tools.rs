//! Tools that several modules of tests use.

use ch03_nonblocking::poller::Interest;
use ch06_coroutines::{Descriptor, Handle};
use std::io;
use std::os::unix::net::UnixStream;

/// Returns the two ends of a connection, the first of which is registered with the runtime.
pub(crate) fn pair(handle: &Handle) -> io::Result<(Descriptor<UnixStream>, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let ours = handle.register(ours, Interest::READ)?;
    Ok((ours, theirs))
}

/// A guard that calls a function when it is dropped.
pub(crate) struct Finally<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
