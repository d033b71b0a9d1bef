//! The journal of a run: the events that the run has reported so far, and its followers, which are
//! the event streams of the browsers that watch the run.
//!
//! A follower owns an index into the journal and nothing else; the follower takes the next entry
//! when its browser has received the previous entry. The follower skips an entry that has been
//! replaced in the meantime (by a newer step, or a newer chart of the same name), so a slow browser
//! shows fewer pictures, not older ones. The journal frees the text of a replaced entry, and keeps
//! only the entry's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use ch01_blocking::http::{BodyStream, NextPiece};

/// The most followers (browsers' event streams) of one run: enough for two browsers, each of which
/// opens at most six connections to a server.
const FOLLOWERS: usize = 16;
/// The number of bytes after which a piece of an event stream ends. Entries are never split, so
/// a piece may be longer.
const PIECE: usize = 16 * 1024;
/// The most bytes of entries in a journal, not counting those that have been replaced: far more
/// than an experiment reports.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most entries in a journal, including those that have been replaced.
const MAX_ENTRIES: usize = 100_000;

/// A run's journal, shared by the thread that writes entries and by all followers.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    /// The run's number, which is part of each entry's ID. A browser that reconnects names the ID
    /// of the last entry that it has received.
    pub(super) run: u64,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// The entries, as they are sent; `None` takes the place of an entry that a newer entry has
    /// replaced.
    entries: Vec<Option<String>>,
    /// Total length of the entries, in bytes.
    bytes: usize,
    /// The index of the latest entry for each thing that entries show (`step`, `chart NAME`).
    current: HashMap<String, usize>,
    over: bool,
    /// The followers (browsers' event streams) by number. A follower that waits for an entry has
    /// left its waker here.
    followers: HashMap<u64, Option<Waker>>,
    next_follower: u64,
    /// The time at which the last browser stopped following the run; `None` while a browser follows
    /// it.
    alone_since: Option<Instant>,
}

impl Journal {
    /// Returns an empty journal for the run with the number `run`.
    pub(super) fn new(run: u64) -> Journal {
        let inner = Inner {
            entries: Vec::new(),
            bytes: 0,
            current: HashMap::new(),
            over: false,
            followers: HashMap::new(),
            next_follower: 0,
            alone_since: Some(Instant::now()),
        };
        Journal { run, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Appends an entry of the event type `kind`, with one line of JSON as its data, and
    /// removes the earlier entry with the same `shows`: the name of what an entry shows, such as
    /// `step` or `chart NAME`. Returns false, and appends nothing, if
    /// the journal is full or has ended.
    pub(super) fn write(&self, kind: &str, json: &str, shows: String) -> bool {
        let mut inner = self.lock();
        let entry = format!("event: {kind}\ndata: {json}\n\n");
        if inner.over
            || inner.bytes + entry.len() > MAX_BYTES
            || inner.entries.len() == MAX_ENTRIES
        {
            return false;
        }
        let at = inner.entries.len();
        if let Some(old) = inner.current.insert(shows, at) {
            let old = inner.entries[old].take();
            inner.bytes -= old.map_or(0, |old| old.len());
        }
        inner.bytes += entry.len();
        inner.entries.push(Some(entry));
        inner.wake_all();
        true
    }

    /// Appends the last entry, even if the journal is full.
    pub(super) fn end(&self, kind: &str, json: &str) {
        let mut inner = self.lock();
        if !inner.over {
            inner.entries.push(Some(format!("event: {kind}\ndata: {json}\n\n")));
        }
        inner.over = true;
        inner.wake_all();
    }

    /// Returns whether the journal's last entry has been written.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Returns the time since the last browser stopped following the run, or `None` while a browser
    /// follows it.
    pub(super) fn alone_for(&self) -> Option<Duration> {
        self.lock().alone_since.map(|since| since.elapsed())
    }

    /// Adds an event stream for a browser whose last received entry has the ID `last_seen`. The
    /// stream starts at the next entry, or at the first entry if the ID is missing or is not of
    /// this run.
    pub(super) fn follow(&self, last_seen: Option<&str>) -> Followed {
        let mut inner = self.lock();
        let seen = last_seen.and_then(|id| {
            let (run, at) = id.split_once('.')?;
            (run.parse() == Ok(self.run)).then_some(at.parse::<usize>().ok()?)
        });
        let next = seen.map_or(0, |at| at.saturating_add(1));
        if inner.over && next >= inner.entries.len() {
            return Followed::Seen;
        }
        if inner.followers.len() >= FOLLOWERS {
            return Followed::Crowd;
        }
        let number = inner.next_follower;
        inner.next_follower += 1;
        inner.followers.insert(number, None);
        inner.alone_since = None;
        Followed::Source(Box::new(Follower { journal: self.clone(), number, next }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wake_all(&mut self) {
        self.followers.values_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

/// The result of [`Journal::follow`]: an event stream, or the reason why there is none.
pub(super) enum Followed {
    /// A stream of the entries that the browser has not received.
    Source(Box<dyn BodyStream>),
    /// No stream: the run has ended, and the browser has received every entry.
    Seen,
    /// No stream: as many browsers follow the run as are allowed.
    Crowd,
}

/// A browser's event stream: the entries from the index `next` on.
struct Follower {
    journal: Journal,
    number: u64,
    next: usize,
}

impl BodyStream for Follower {
    fn more(&mut self, waker: &Waker, content: &mut Vec<u8>) -> NextPiece {
        let Journal { run, inner } = &self.journal;
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        while content.len() < PIECE && self.next < inner.entries.len() {
            if let Some(entry) = &inner.entries[self.next] {
                content
                    .extend_from_slice(format!("id: {run}.{}\n", self.next).as_bytes());
                content.extend_from_slice(entry.as_bytes());
            }
            self.next += 1;
        }
        match () {
            () if !content.is_empty() => NextPiece::Ready,
            () if inner.over => NextPiece::End,
            () => {
                inner.followers.insert(self.number, Some(waker.clone()));
                NextPiece::Pending
            }
        }
    }

    /// Returns an empty comment of an event stream, which browsers ignore. The server sends it to
    /// notice whether the connection is closed.
    fn heartbeat(&self) -> &'static [u8] {
        b":\n\n"
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut inner = self.journal.lock();
        inner.followers.remove(&self.number);
        if inner.followers.is_empty() {
            inner.alone_since = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(source: &mut dyn BodyStream) -> (String, NextPiece) {
        let mut content = Vec::new();
        let more = source.more(Waker::noop(), &mut content);
        (String::from_utf8(content).expect("text"), more)
    }

    fn follow(journal: &Journal, last: Option<&str>) -> Box<dyn BodyStream> {
        match journal.follow(last) {
            Followed::Source(source) => source,
            Followed::Seen | Followed::Crowd => panic!("there is something to see"),
        }
    }

    #[test]
    fn a_late_follower_sees_what_there_is_and_a_returning_one_the_rest() {
        let journal = Journal::new(7);
        journal.write("step", "{\"done\":0}", "step".into());
        journal.write("chart", "{\"a\":1}", "chart a".into());
        journal.write("chart", "{\"a\":2}", "chart a".into());
        let mut late = follow(&journal, None);
        let expected = "id: 7.0\nevent: step\ndata: {\"done\":0}\n\n\
                        id: 7.2\nevent: chart\ndata: {\"a\":2}\n\n";
        assert_eq!(all(&mut *late), (expected.to_owned(), NextPiece::Ready));
        assert_eq!(all(&mut *late), (String::new(), NextPiece::Pending));
        journal.end("done", "{}");
        let end = "id: 7.3\nevent: done\ndata: {}\n\n";
        assert_eq!(all(&mut *late), (end.to_owned(), NextPiece::Ready));
        assert_eq!(all(&mut *late), (String::new(), NextPiece::End));
        assert_eq!(all(&mut *follow(&journal, Some("7.2"))).0, end);
        assert!(matches!(journal.follow(Some("7.3")), Followed::Seen));
        // If the browser names the ID of an entry of another run, its stream begins with the first
        // entry of this run.
        assert!(all(&mut *follow(&journal, Some("6.3"))).0.starts_with("id: 7.0\n"));
        for nonsense in ["", "7", "7.", "7.x", "7.-1", "7.99999999999999999999"] {
            assert!(
                all(&mut *follow(&journal, Some(nonsense))).0.starts_with("id: 7.0\n")
            );
        }
    }

    #[test]
    fn an_entry_wakes_the_followers_that_wait_and_so_does_the_end() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        use std::task::Wake;
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let journal = Journal::new(1);
        let mut source = follow(&journal, None);
        assert!(journal.alone_for().is_none());
        assert_eq!(source.more(&waker, &mut Vec::new()), NextPiece::Pending);
        journal.write("step", "{}", "step".into());
        journal.write("step", "{}", "step".into());
        assert_eq!(count.0.load(SeqCst), 1, "once for both");
        source.more(&waker, &mut Vec::new());
        assert_eq!(source.more(&waker, &mut Vec::new()), NextPiece::Pending);
        journal.end("failed", "{}");
        assert_eq!(count.0.load(SeqCst), 2);
        drop(source);
        assert!(journal.alone_for().is_some());
    }

    #[test]
    fn a_journal_is_bounded() {
        let journal = Journal::new(1);
        let large = "x".repeat(1 << 20);
        let fits = (0..100).take_while(|n| journal.write("chart", &large, n.to_string()));
        assert!(fits.count() < 20);
        // An entry that has been replaced no longer counts toward `MAX_BYTES`.
        let journal = Journal::new(1);
        assert!((0..100).all(|_| journal.write("chart", &large, "a".into())));
    }

    #[test]
    fn the_seventeenth_follower_is_refused() {
        let journal = Journal::new(1);
        let _all: Vec<_> = (0..FOLLOWERS).map(|_| follow(&journal, None)).collect();
        assert!(matches!(journal.follow(None), Followed::Crowd));
    }
}
