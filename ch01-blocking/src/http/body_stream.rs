//! A content that comes into being while it is sent: a stream of events, say.
//!
//! Nobody knows its length, so every piece says its own (chunked, RFC 9112 section 7.1);
//! HTTP/1.0 does not know that, and there the end of the connection ends it. It is pulled,
//! never pushed: whoever sends asks for more when the client has taken what was there. So
//! nothing is queued for a slow client, who gets less often what is by then newer.

use crate::stream::Transport;
use std::fmt;
use std::io;
use std::task::Waker;
use std::time::Duration;

/// Where a live content comes from. It never waits.
pub trait BodyStream: Send {
    /// Puts the next piece into `content`: some 16 KiB, or more if one thing is larger. If
    /// there is nothing, the waker is to be kept, and called when there is; the one of an
    /// earlier call need not be.
    fn more(&mut self, waker: &Waker, content: &mut Vec<u8>) -> NextPiece;

    /// What to send when there has been nothing for [`heartbeat_interval`](BodyStream::heartbeat_interval), so that a
    /// client who is gone is noticed. Means nothing to one who is not.
    fn heartbeat(&self) -> &'static [u8];

    /// How long nothing may be sent.
    fn heartbeat_interval(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// What [`BodyStream::more`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPiece {
    /// A piece.
    Ready,
    /// Nothing; but there will be.
    Pending,
    /// Nothing, and there will not be.
    End,
}

/// What is left of a live content: that is, its source.
pub(super) struct Live {
    pub(super) source: Box<dyn BodyStream>,
    pub(super) chunked: bool,
}

impl Live {
    /// Waits for the next bytes to send, into what is empty. Says whether there will be more.
    pub(super) fn next(
        &mut self,
        stream: &mut impl Transport,
        bytes: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let mut content = Vec::new();
        *bytes = Vec::new(); // who waits owns no buffer meanwhile
        stream.more(&mut *self.source, &mut content)?;
        Ok(self.frame(&content, bytes))
    }

    /// Frames a piece. Says whether there will be more: an empty one is how the end looks.
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
