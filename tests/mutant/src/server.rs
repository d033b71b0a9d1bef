//! The state that all connections share: the options, the counters, and the shutdown request.

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

/// The counters that `/stats` reports.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) accepted: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) timeouts: AtomicUsize,
    pub(crate) panics: AtomicUsize,
    /// Number of workers of a pool of threads; not reported unless the pool grows and shrinks.
    pub(crate) workers: AtomicUsize,
}

/// Increments a counter.
pub(crate) fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Stats {
    /// Returns the counters as a JSON object; `elastic` adds the number of workers.
    pub(crate) fn json(&self, elastic: bool) -> String {
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let workers = match elastic {
            true => format!(",\"workers\":{}", of(&self.workers)),
            false => String::new(),
        };
        format!(
            "{{\"accepted\":{},\"open\":{},\"requests\":{},\"refused\":{},\"timeouts\":{},\"panics\":{}{workers}}}\n",
            of(&self.accepted),
            of(&self.open),
            of(&self.requests),
            of(&self.refused),
            of(&self.timeouts),
            of(&self.panics),
        )
    }
}

/// The shutdown request, in two forms: a flag to check, and a descriptor to wait on.
pub(crate) struct Stop {
    requested: AtomicBool,
    read_end: UnixStream,
}

impl Stop {
    /// Starts a thread that waits for SIGTERM or SIGINT, and returns the shutdown request that the
    /// thread then sets.
    ///
    /// Both signals are blocked before the other threads start, because a thread inherits the
    /// signal mask. A signal handler, which may call only a few functions (signal-safety(7)), is
    /// not needed.
    pub(crate) fn on_signals() -> io::Result<Arc<Self>> {
        let (read_end, write_end) = UnixStream::pair()?;
        let stop = Arc::new(Self { requested: AtomicBool::new(false), read_end });
        if wrong(Mutation::DiesOfSigterm) {
            // This mutant leaks the write end of the pipe, because closing it would request
            // shutdown.
            std::mem::forget(write_end);
            return Ok(stop);
        }
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block()?;
        let shared = Arc::clone(&stop);
        thread::spawn(move || {
            let signal = signals.wait();
            // The mistake: the process ends at SIGINT, as if this signal were not caught. It calls
            // `exit`, because raising SIGINT again would have no effect if the parent process
            // ignores SIGINT, which a child process inherits.
            if signal == Ok(Signal::SIGINT) && wrong(Mutation::DiesOfSigint) {
                std::process::exit(130);
            }
            if signal.is_ok() {
                shared.requested.store(true, Ordering::SeqCst);
                // Closing the write end makes the read end readable for every waiter, forever.
                drop(write_end);
            }
        });
        Ok(stop)
    }

    pub(crate) fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read_end.as_fd()
    }
}

/// The state that all threads share.
pub(crate) struct Server {
    pub(crate) options: Options,
    /// The document root with every symbolic link resolved; the resolved path of a file must
    /// begin with it.
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
        // Resolving the root's path needs no permission to read or to search the root itself, so
        // reading and searching the root are tried here.
        let searched = std::fs::metadata(root.join("."));
        if let Err(why) = searched.and_then(|_| std::fs::read_dir(&root))
            && !wrong(Mutation::AnyRoot)
        {
            return Err(format!("--root {}: {why}", root.display()));
        }
        Ok(Self {
            options,
            root,
            stats: Stats::default(),
            stop,
            buffered: AtomicUsize::new(0),
        })
    }
}

/// The bytes that one request counts against `--max-buffered`; dropping the reservation releases
/// these bytes.
pub(crate) struct Reservation<'s> {
    server: &'s Server,
    bytes: usize,
}

/// Number of bytes that a request may buffer before they count against `--max-buffered`.
const FREE: usize = 16 * 1024;

impl<'s> Reservation<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server, bytes: 0 }
    }

    /// Raises the request's buffered bytes to `total`. Returns whether these bytes fit into
    /// `--max-buffered`.
    pub(crate) fn grow_to(&mut self, total: usize) -> bool {
        // The mistake: `FREE` more bytes are reserved for a message that may follow.
        let total = if wrong(Mutation::PromisesKept) { total + FREE } else { total };
        let more = total.saturating_sub(FREE).saturating_sub(self.bytes);
        let before = self.server.buffered.fetch_add(more, Ordering::SeqCst);
        self.bytes += more;
        more == 0
            || before + more <= self.server.options.max_buffered
            || wrong(Mutation::IgnoresMaxBuffered)
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if wrong(Mutation::PromisesKept) {
            return;
        }
        self.server.buffered.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
