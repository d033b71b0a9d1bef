//! The events of all clients, in order: the evidence for a failure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of bytes kept of one sending event: enough to repeat nearly every case by hand.
const KEEP_SENT: usize = 256 * 1024;
/// Maximum number of bytes kept of one receiving event; the rest is only counted.
const KEEP_RECEIVED: usize = 2048;

/// An event on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The client connected.
    Connected,
    /// The client sent bytes: the first bytes, and the total number.
    Sent(Vec<u8>, usize),
    /// The client received bytes: the first bytes, and the total number.
    Received(Vec<u8>, usize),
    /// The client shut down its sending side.
    HalfClosed,
    /// The client closed the connection.
    Closed,
    /// The client reset the connection.
    Reset,
    /// The server closed the connection in good order (FIN).
    PeerClosed,
    /// The server reset the connection (RST).
    PeerReset,
    /// The client waited until the server had read everything sent so far.
    WaitedUntilRead,
    /// The client paused for this many milliseconds.
    Paused(u64),
    /// A remark, for the reader of the transcript.
    Note(String),
}

/// An event, and the client that it happened to.
#[derive(Debug, Clone)]
pub struct Event {
    /// The client's letter; empty for the suite itself.
    pub client: String,
    /// What happened on the connection.
    pub kind: EventKind,
}

/// The events of all clients; clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    events: Arc<Mutex<Vec<Event>>>,
    live: bool,
}

impl Transcript {
    /// Returns a transcript that also prints each event as it happens.
    pub fn live() -> Self {
        Self { live: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event. Consecutive pieces in one direction are joined, so that the transcript does
    /// not depend on how the network cut the bytes into pieces.
    pub fn add(&self, client: &str, kind: EventKind) {
        if self.live {
            println!(
                "{}",
                crate::show::event(&Event {
                    client: client.to_owned(),
                    kind: kind.clone()
                })
            );
        }
        let mut events = self.lock();
        let last =
            events.last().filter(|last| last.client == client).map(|last| &last.kind);
        let redundant = match &kind {
            EventKind::WaitedUntilRead => !matches!(last, Some(EventKind::Sent(..))),
            EventKind::Note(_) => last == Some(&kind),
            _ => false,
        };
        if redundant {
            return;
        }
        if let Some(last) = events.last_mut().filter(|last| last.client == client) {
            match (&mut last.kind, &kind) {
                (EventKind::Sent(kept, all), EventKind::Sent(more, n)) => {
                    return join(kept, all, more, *n, KEEP_SENT);
                }
                (EventKind::Received(kept, all), EventKind::Received(more, n)) => {
                    return join(kept, all, more, *n, KEEP_RECEIVED);
                }
                _ => {}
            }
        }
        events.push(Event { client: client.to_owned(), kind });
    }

    /// Adds bytes that a client sent.
    pub fn sent(&self, client: &str, bytes: &[u8]) {
        let keep = bytes.len().min(KEEP_SENT);
        self.add(client, EventKind::Sent(bytes[..keep].to_vec(), bytes.len()));
    }

    /// Adds bytes that a client received.
    pub fn received(&self, client: &str, bytes: &[u8]) {
        if !self.live && self.is_only_counted(client, bytes.len()) {
            return;
        }
        let keep = bytes.len().min(KEEP_RECEIVED);
        self.add(client, EventKind::Received(bytes[..keep].to_vec(), bytes.len()));
    }

    /// Adds received bytes to the count of the last event if that event stores no further bytes, as
    /// for most pieces of a long response. Returns whether the bytes were added.
    fn is_only_counted(&self, client: &str, length: usize) -> bool {
        match self.lock().last_mut() {
            Some(Event { client: last, kind: EventKind::Received(kept, all) })
                if last == client && kept.len() == KEEP_RECEIVED =>
            {
                *all += length;
                true
            }
            _ => false,
        }
    }

    /// Returns all events so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }
}

fn join(kept: &mut Vec<u8>, all: &mut usize, more: &[u8], n: usize, limit: usize) {
    // Bytes are kept only as long as no earlier byte was left out, so that the bytes shown are
    // contiguous.
    if kept.len() == *all {
        let room = limit.saturating_sub(kept.len()).min(more.len());
        kept.extend_from_slice(&more[..room]);
    }
    *all += n;
}
