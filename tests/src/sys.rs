//! What Rust cannot vouch for: descriptors that somebody else opened, and signals.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Programs that this process starts do not inherit the descriptor any more. One
/// that is not open is no error.
pub(crate) fn keep_to_ourselves(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: it is used in this function only, and for nothing but its flags: that it
    // was open a moment ago, and who owns it, does not matter for them. fcntl refuses
    // a number that is not open (EBADF).
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    match fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) | Err(Errno::EBADF) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A signal that was ignored, or handled, does again what it does by default.
pub(crate) fn by_default(signal: Signal) -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed, so none can do what a handler may not.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}
