//! What all connections share: the options, the counters, the wish to stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::mutations::Mutation;
use crate::options::Options;
use crate::switch::wrong;

/// The counters that `/stats` shows.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) accepted: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) timeouts: AtomicUsize,
    pub(crate) panics: AtomicUsize,
}

/// One more of something.
pub(crate) fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Stats {
    pub(crate) fn json(&self) -> String {
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        format!(
            "{{\"accepted\":{},\"open\":{},\"requests\":{},\"refused\":{},\"timeouts\":{},\"panics\":{}}}\n",
            of(&self.accepted),
            of(&self.open),
            of(&self.requests),
            of(&self.refused),
            of(&self.timeouts),
            of(&self.panics),
        )
    }
}

/// The wish to stop, in two shapes: a flag to ask, a descriptor to wait on.
pub(crate) struct Stop {
    asked: AtomicBool,
    watched: UnixStream,
}

impl Stop {
    /// Catches SIGTERM and SIGINT. They are blocked first, so that every thread
    /// made later inherits that, and one thread waits for them: no handler, and
    /// nothing that a handler must not do.
    pub(crate) fn on_signals() -> io::Result<Arc<Self>> {
        let (watched, held) = UnixStream::pair()?;
        let stop = Arc::new(Self { asked: AtomicBool::new(false), watched });
        if wrong(Mutation::DiesOfSigterm) {
            // Never closed, or the other end would become readable.
            std::mem::forget(held);
            return Ok(stop);
        }
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block()?;
        let told = Arc::clone(&stop);
        thread::spawn(move || {
            let signal = signals.wait();
            // Not by the signal itself: who started us may have it ignored.
            if signal == Ok(Signal::SIGINT) && wrong(Mutation::DiesOfSigint) {
                std::process::exit(130);
            }
            if signal.is_ok() {
                told.asked.store(true, Ordering::SeqCst);
                // Closing it makes `watched` readable for everybody, for ever.
                drop(held);
            }
        });
        Ok(stop)
    }

    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watched.as_fd()
    }
}

/// Everything that the threads share.
pub(crate) struct Server {
    pub(crate) options: Options,
    /// The root with every link resolved, to compare with.
    pub(crate) root: PathBuf,
    pub(crate) stats: Stats,
    pub(crate) stop: Arc<Stop>,
    buffered: AtomicUsize,
}

impl Server {
    pub(crate) fn new(options: Options, stop: Arc<Stop>) -> Result<Self, String> {
        let root = options
            .root
            .canonicalize()
            .map_err(|why| format!("--root {}: {why}", options.root.display()))?;
        Ok(Self {
            options,
            root,
            stats: Stats::default(),
            stop,
            buffered: AtomicUsize::new(0),
        })
    }
}

/// What one request holds beyond its free share, given back when it ends.
pub(crate) struct Held<'s> {
    server: &'s Server,
    bytes: usize,
}

/// What a request may hold without being counted.
const FREE: usize = 16 * 1024;

impl<'s> Held<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server, bytes: 0 }
    }

    /// The request now holds `total` bytes: does that fit?
    pub(crate) fn grow_to(&mut self, total: usize) -> bool {
        // "The next message will want as much again."
        let total = if wrong(Mutation::PromisesKept) { total + FREE } else { total };
        let more = total.saturating_sub(FREE).saturating_sub(self.bytes);
        let before = self.server.buffered.fetch_add(more, Ordering::SeqCst);
        self.bytes += more;
        more == 0
            || before + more <= self.server.options.max_buffered
            || wrong(Mutation::IgnoresMaxBuffered)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if wrong(Mutation::PromisesKept) {
            return;
        }
        self.server.buffered.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
