//! What was sent and what came, in order: the evidence that a failure shows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So much of the sent bytes is kept, enough to repeat nearly every case by hand.
const KEEP_SENT: usize = 256 * 1024;
/// So much of the received bytes is kept; the rest is only counted.
const KEEP_RECEIVED: usize = 2048;

/// One thing that happened on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The connection was opened.
    Connected,
    /// Bytes left the client: the first ones, and how many in all.
    Sent(Vec<u8>, usize),
    /// Bytes came to the client: the first ones, and how many in all.
    Received(Vec<u8>, usize),
    /// The client closed its sending side.
    HalfClosed,
    /// The client closed.
    Closed,
    /// The client reset the connection.
    Reset,
    /// The server closed its sending side in good order.
    PeerClosed,
    /// The server reset the connection.
    PeerReset,
    /// The client waited until the server had taken what was sent: a cut in it.
    Cut,
    /// The client waited for so many milliseconds, on purpose.
    Paused(u64),
    /// Anything else worth telling.
    Note(String),
}

/// An event and the client that saw it (empty for the suite itself).
#[derive(Debug, Clone)]
pub struct Event {
    /// The client's letter.
    pub who: String,
    /// What happened.
    pub what: What,
}

/// A transcript that several clients write into; cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    events: Arc<Mutex<Vec<Event>>>,
    live: bool,
}

impl Transcript {
    /// A transcript that also prints each event as it happens.
    pub fn live() -> Self {
        Self { live: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event. Neighbouring pieces of one direction become one, so that
    /// the transcript does not depend on how the network cut them.
    pub fn add(&self, who: &str, what: What) {
        if self.live {
            println!(
                "{}",
                crate::show::event(&Event { who: who.to_owned(), what: what.clone() })
            );
        }
        let mut events = self.lock();
        let last = events.last().filter(|last| last.who == who).map(|last| &last.what);
        let told = match &what {
            What::Cut => !matches!(last, Some(What::Sent(..))),
            What::Note(_) => last == Some(&what),
            _ => false,
        };
        if told {
            return;
        }
        if let Some(last) = events.last_mut().filter(|last| last.who == who) {
            match (&mut last.what, &what) {
                (What::Sent(kept, all), What::Sent(more, n)) => {
                    return join(kept, all, more, *n, KEEP_SENT);
                }
                (What::Received(kept, all), What::Received(more, n)) => {
                    return join(kept, all, more, *n, KEEP_RECEIVED);
                }
                _ => {}
            }
        }
        events.push(Event { who: who.to_owned(), what });
    }

    /// Bytes that left.
    pub fn sent(&self, who: &str, bytes: &[u8]) {
        let keep = bytes.len().min(KEEP_SENT);
        self.add(who, What::Sent(bytes[..keep].to_vec(), bytes.len()));
    }

    /// Bytes that came.
    pub fn received(&self, who: &str, bytes: &[u8]) {
        let keep = bytes.len().min(KEEP_RECEIVED);
        self.add(who, What::Received(bytes[..keep].to_vec(), bytes.len()));
    }

    /// Everything so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }
}

fn join(kept: &mut Vec<u8>, all: &mut usize, more: &[u8], n: usize, limit: usize) {
    // Only a gapless beginning is kept: what is shown must be what was there.
    if kept.len() == *all {
        let room = limit.saturating_sub(kept.len()).min(more.len());
        kept.extend_from_slice(&more[..room]);
    }
    *all += n;
}
