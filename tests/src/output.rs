//! Captures the output of a process.

use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Maximum number of bytes kept from each pipe; further bytes are read and discarded.
const KEEP: usize = 256 * 1024;

/// The output of a process: a pipe that a thread reads to its end, so that the process never blocks
/// on a full pipe.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// A pipe that is not read, kept open so that the process's writes to the pipe do not fail.
    #[allow(dead_code, reason = "it is only kept")]
    unread: Option<OwnedFd>,
}

impl Output {
    /// Starts reading a pipe. The bytes are kept if `keep` is set, and otherwise discarded.
    pub(crate) fn capture(pipe: impl Read + Send + 'static, keep: bool) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = if keep { Arc::clone(&bytes) } else { Arc::default() };
        let reader = thread::spawn(move || read(pipe, &into));
        Self { bytes, reader: Some(reader), unread: None }
    }

    /// Keeps a pipe open and does not read it. The pipe is full after 4 KiB, or after 64 KiB on a
    /// system where the size of a pipe cannot be set.
    pub(crate) fn unread(pipe: OwnedFd) -> Self {
        #[cfg(target_os = "linux")]
        let _ = nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096));
        Self { unread: Some(pipe), ..Self::default() }
    }

    /// Returns everything captured so far.
    pub(crate) fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns whether the pipe has been read to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn read(pipe: impl Read, into: &Mutex<Vec<u8>>) {
    let mut pipe = BufReader::new(pipe);
    while let Ok(bytes) = pipe.fill_buf() {
        let n = bytes.len();
        if n == 0 {
            break;
        }
        let mut all = into.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEEP.saturating_sub(all.len()).min(n);
        all.extend_from_slice(&bytes[..room]);
        drop(all);
        pipe.consume(n);
    }
}
