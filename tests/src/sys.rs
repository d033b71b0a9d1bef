//! Unsafe code: raw descriptors opened elsewhere, and signal dispositions.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Sets close-on-exec, so that programs started from here do not inherit the descriptor. A
/// descriptor that is not open is not an error.
pub(crate) fn set_cloexec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: the borrow ends with this function and is used only to set a flag. Whether the
    // descriptor is still open, and which code owns it, does not matter for that: fcntl fails
    // with EBADF if it is closed.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    match fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) | Err(Errno::EBADF) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Resets a signal to its default disposition.
pub(crate) fn reset_to_default(signal: Signal) -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: SIG_DFL installs no handler, so no code can run in signal context.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}
