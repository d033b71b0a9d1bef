//! A body that is generated while it is sent, such as a stream of events.

use crate::stream::Transport;
use std::fmt;
use std::io;
use std::task::Waker;
use std::time::Duration;

/// The source of a streamed body. Its methods never wait.
///
/// The length of such a body is not known, so each piece carries its own length
/// (chunked, RFC 9112 section 7.1). HTTP/1.0 has no chunks; there the end of the
/// connection ends the body. The body is pulled, never pushed: the sender asks for the
/// next piece when the client has taken the previous one. So nothing is queued for a
/// slow client, which gets fewer and more recent pieces.
pub trait BodyStream: Send {
    /// Appends the next piece to `content`: about 16 KiB, or more if it cannot be
    /// divided. A piece is never empty, because the sender takes an empty piece for the
    /// end of the body.
    ///
    /// If no piece is available yet, the source returns [`NextPiece::Pending`], keeps
    /// `waker`, and wakes it as soon as a piece is available. The waker of a later call
    /// replaces it.
    fn more(&mut self, waker: &Waker, content: &mut Vec<u8>) -> NextPiece;

    /// Returns the bytes to send after a
    /// [`heartbeat_interval`](BodyStream::heartbeat_interval) without output, so that a
    /// closed connection is noticed. These bytes must have no meaning to the client. They
    /// must not be empty: an empty piece would end the body.
    fn heartbeat(&self) -> &'static [u8];

    /// Returns the longest time without output, after which a heartbeat is sent.
    fn heartbeat_interval(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// The outcome of [`BodyStream::more`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPiece {
    /// A piece of at least one byte was appended.
    Ready,
    /// No piece is available yet, and nothing was appended.
    Pending,
    /// The body has ended, and nothing was appended.
    End,
}

/// The part of a streamed body that is not sent yet.
pub(super) struct Live {
    pub(super) source: Box<dyn BodyStream>,
    pub(super) chunked: bool,
}

impl Live {
    /// Waits for the next bytes to send, and writes them to `bytes`, which must be
    /// empty. Returns whether more bytes will follow.
    pub(super) fn next(
        &mut self,
        stream: &mut impl Transport,
        bytes: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let mut content = Vec::new();
        *bytes = Vec::new(); // no buffer is kept during the wait
        stream.more(&mut *self.source, &mut content)?;
        Ok(self.frame(&content, bytes))
    }

    /// Appends `content` to `bytes`, as a chunk if the body is chunked. Returns whether
    /// more pieces will follow: an empty `content` marks the end.
    pub(super) fn frame(&self, content: &[u8], bytes: &mut Vec<u8>) -> bool {
        if self.chunked {
            bytes.extend_from_slice(format!("{:x}\r\n", content.len()).as_bytes());
            bytes.extend_from_slice(content);
            bytes.extend_from_slice(b"\r\n");
        } else {
            bytes.extend_from_slice(content);
        }
        !content.is_empty()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("chunked", &self.chunked).finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}
