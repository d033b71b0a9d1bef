//! What a process prints.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// So much is kept; the rest is read and forgotten.
const KEEP: usize = 256 * 1024;

/// A pipe that is read to its end, always, so that no server ever blocks on it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    /// Begins to read; `keep` says whether anybody will want to know what came.
    pub(crate) fn of(pipe: impl Read + Send + 'static, keep: bool) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = if keep { Arc::clone(&bytes) } else { Arc::default() };
        let reader = thread::spawn(move || read(pipe, &into));
        Self { bytes, reader: Some(reader) }
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether nothing more will come.
    pub(crate) fn is_whole(&self) -> bool {
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
