//! The self-pipe: a signal becomes a byte in a pipe, and poll(2) can wait for that
//! byte.
#![allow(unsafe_code)]

use ch01_blocking::server::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::alarm;
use std::io;
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

// ANCHOR: handler
/// The write end of the pipe, into which the signal handler writes.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn write_byte(_: libc::c_int) {
    let errno = Errno::last_raw(); // errno belongs to the interrupted code
    // SAFETY: write(2) is async-signal-safe, the buffer is one static byte, and the
    // descriptor in `PIPE` is never closed.
    unsafe { libc::write(PIPE.load(SeqCst), b"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

// ANCHOR: main
fn main() -> io::Result<()> {
    let (read, write) = sys::pipe()?; // both ends non-blocking
    PIPE.store(write.into_raw_fd(), SeqCst); // no owner is left to close it
    let action = SigAction::new(
        SigHandler::Handler(write_byte),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: `write_byte` calls only functions that are async-signal-safe.
    unsafe { sigaction(Signal::SIGALRM, &action) }?;
    alarm::set(1); // in one second the kernel sends SIGALRM

    let mut descriptors = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) => return Ok(()), // the pipe is readable: the signal has come
            Err(Errno::EINTR) => {} // the signal interrupted poll: repeat it
            Err(error) => return Err(error.into()),
        }
    }
}
// ANCHOR_END: main
