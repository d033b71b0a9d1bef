// ANCHOR: pipe
//! Signals as bytes in a pipe (TLPI 63.5.2, the self-pipe trick), and an accept that
//! watches such pipes.
#![allow(unsafe_code)] // a signal handler

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{self, ErrorKind, PipeReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// The write end of the pipe that each signal's handler writes to, by signal number.
static PIPES: [AtomicI32; 32] = [const { AtomicI32::new(-1) }; 32];

extern "C" fn write_byte(signal: libc::c_int) {
    let errno = Errno::last_raw(); // write may change the interrupted code's errno
    let pipe = PIPES[signal as usize].load(SeqCst);
    // SAFETY: write is async-signal-safe (signal-safety(7)), the byte is static, and
    // the descriptor is never closed. If the pipe is full, it is readable already.
    unsafe { libc::write(pipe, b"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

/// Returns a pipe into which the handler of each of `signals` writes a byte from now
/// on. A read from the pipe never blocks.
///
/// # Errors
///
/// Those of pipe(2), fcntl(2) and sigaction(2).
pub fn pipe_of(signals: &[Signal]) -> io::Result<PipeReader> {
    let (read, write) = io::pipe()?;
    for end in [read.as_fd(), write.as_fd()] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let write = write.into_raw_fd();
    let handler = SigHandler::Handler(write_byte);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    for &signal in signals {
        PIPES[signal as usize].store(write, SeqCst);
        // SAFETY: `write_byte` calls only functions that are async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(read)
}

/// Reads at most 64 bytes from a pipe, and returns whether the pipe had any bytes.
pub fn take(mut pipe: &PipeReader) -> bool {
    matches!(pipe.read(&mut [0; 64]), Ok(1..))
}

// ANCHOR_END: pipe
// ANCHOR: accept
/// The pause after a failed accept. The process is usually out of descriptors, so
/// another accept at once would fail too.
pub const PAUSE: Duration = Duration::from_millis(50);

/// Waits for the next client of a non-blocking listener, and returns it. Returns `None`
/// as soon as one of the pipes has bytes.
///
/// # Errors
///
/// Those of poll(2).
pub fn accept(
    listener: &TcpListener,
    pipes: &[&PipeReader],
) -> io::Result<Option<TcpStream>> {
    loop {
        let mut polled = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        polled.extend(pipes.iter().map(|p| PollFd::new(p.as_fd(), PollFlags::POLLIN)));
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) if polled[1..].iter().any(|p| p.any() == Some(true)) => {
                return Ok(None);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(false)?; // BSDs pass the listener's setting on
                return Ok(Some(client));
            }
            // No client waits: either the reported one has already closed, or a signal
            // has interrupted poll(2).
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The error is usually EMFILE, and the client stays in the backlog. Trying
            // again at once would only use up the processor.
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
// ANCHOR_END: accept
