//! Unsafe code: raw descriptors that other code has opened, and signal dispositions.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Sets close-on-exec, so that the programs that this process starts do not inherit the descriptor.
/// A descriptor that is not open is not an error.
pub(crate) fn set_cloexec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD takes an integer, so the kernel accesses no memory of this process. If the
    // descriptor is not open, the call fails with EBADF and changes nothing.
    let done = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    match Errno::result(done) {
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

/// Takes a lease on a file, which lasts until `file` and all duplicates of its descriptor are
/// closed. While the lease is held, open(2) of the same file blocks, or fails with `EWOULDBLOCK` if
/// it may not block.
///
/// # Errors
///
/// Fails as fcntl(2) does: if the file system has no leases, or if the file is open elsewhere.
#[cfg(target_os = "linux")]
pub(crate) fn lease(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    /// The fcntl(2) command that chooses the signal for a descriptor's events. The libc crate lacks
    /// it (`asm-generic/fcntl.h`).
    const F_SETSIG: libc::c_int = 10;
    // When another process opens the file, the kernel sends the holder of the lease a signal. The
    // default signal, SIGIO, would end this process; SIGURG is ignored.
    for (command, argument) in
        [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)]
    {
        // SAFETY: the descriptor is open, and both commands take an integer, so the kernel accesses
        // no memory of this process.
        let done = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
        Errno::result(done)?;
    }
    Ok(())
}

/// Fails, because only Linux has file leases.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lease(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
