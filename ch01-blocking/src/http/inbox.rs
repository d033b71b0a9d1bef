//! The input buffer: bytes as received, and the requests that they form.
//!
//! ```text
//!  start              start + head                          end
//!    │ head of a request │ its content │ the next requests … │ free
//! ```

use super::chunked::Chunked;
use super::head::{self, Framing, Head};
use super::limits::Claim;
use super::{HttpError, Limits, Method, Request};
use memchr::memrchr;

/// The initial size of a buffer, in bytes; any growth is claimed from
/// [`Limits::buffered`].
const BASE: usize = 16 * 1024;

// ANCHOR: parsed
/// The result of parsing the bytes received so far.
#[derive(Debug)]
// The request is not boxed although it is large: the value is short-lived, and a Box
// would cost an allocation per request.
#[allow(clippy::large_enum_variant)]
pub enum Parsed<'b> {
    /// A complete request; the next call to [`Inbox::next`] counts it as answered.
    Complete(Request<'b>),
    /// The request is not complete yet.
    Partial {
        /// Whether the client waits for `100 Continue` before it sends its content.
        /// This is `true` at most once for each request.
        wants_continue: bool,
    },
    /// The bytes cannot become a request: the server sends this error as the last
    /// answer, and closes the connection.
    Refused(HttpError),
}
// ANCHOR_END: parsed

/// The bytes received on one connection that are not answered yet.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The buffer: `start..end` holds received bytes, and `end..` is free space.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The length in bytes of the request that `next` returned last; 0 after the bytes
    /// of that request were dropped.
    answered: usize,
    lines: Lines,
    /// The head of the message at `start`, once it is complete, and the state of its
    /// content.
    begun: Option<(Head, Content)>,
    room: Room,
}

/// The size in bytes to which the buffer may grow while a message arrives, and the
/// claim on the memory budget that covers this size.
#[derive(Debug, Default)]
struct Room {
    bytes: usize,
    claim: Claim,
}

/// The state of the search for the end of the head of the message at `start`.
#[derive(Debug, Default)]
struct Lines {
    /// Whether an empty line before the message was skipped.
    empty_line: bool,
    /// The number of bytes that have been searched for line ends.
    searched: usize,
    /// The number of bytes up to the end of the last line that has arrived completely.
    /// Meaningless once the whole head has arrived.
    complete: usize,
}

#[derive(Debug)]
enum Content {
    Length(usize),
    Chunked(Chunked),
}

impl Inbox {
    /// Returns an empty buffer, which owns no memory yet.
    pub fn new() -> Inbox {
        Inbox::default()
    }

    /// Returns whether all bytes received so far have been answered.
    pub fn is_empty(&self) -> bool {
        self.end - self.start == self.answered
    }

    /// Returns whether a new inbox could replace this one: all received bytes are
    /// answered, and no empty line was skipped. (Only one empty line before a request
    /// is skipped, and a new inbox would skip a second one.)
    pub fn is_pristine(&self) -> bool {
        self.is_empty() && !self.lines.empty_line
    }

    /// Returns the number of content bytes received so far if the head of a request is
    /// complete and its content is not; otherwise `None`.
    pub fn content_received(&self) -> Option<u64> {
        let (head, _) = self.begun.as_ref()?;
        Some((self.end - self.start - head.len) as u64)
    }

    /// Returns the space to write received bytes to; never empty after a
    /// [`Parsed::Partial`].
    pub fn space(&mut self) -> &mut [u8] {
        self.reserve(1, self.room.bytes.max(BASE));
        &mut self.buffer[self.end..]
    }

    /// Records that `bytes` bytes were written to [`Inbox::space`].
    ///
    /// # Panics
    ///
    /// Panics if `bytes` is greater than the length of that space: this method with debug
    /// assertions, a later method without them.
    pub fn received(&mut self, bytes: usize) {
        self.end += bytes;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// Returns the number of bytes that can be [received](Inbox::receive) before the
    /// buffer must claim more of the memory budget. Returns 1 instead of 0, because a
    /// read of 0 bytes would look like the end of the connection.
    pub fn room(&self) -> usize {
        self.room.bytes.max(BASE).saturating_sub(self.end - self.start).max(1)
    }

    /// Appends received bytes, and makes room for them.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len(), 0);
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Shrinks the buffer to the received bytes that it holds, if more than half of its
    /// capacity is unused.
    pub fn shrink(&mut self) {
        let held = self.end - self.start;
        if self.buffer.capacity() > 2 * held {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
            self.buffer.truncate(held);
            self.buffer.shrink_to_fit();
        }
    }

    /// Makes room for `bytes` more bytes. If the buffer has to grow, it grows to at least
    /// `size` bytes.
    fn reserve(&mut self, bytes: usize, size: usize) {
        if self.buffer.len() - self.end >= bytes {
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let size = size.max(self.end + bytes);
        if self.buffer.len() < size && self.buffer.len() - self.end < bytes {
            self.buffer.resize(size, 0);
        }
    }

    /// Drops all received bytes.
    pub fn clear(&mut self) {
        self.answered = self.end - self.start;
        (self.lines, self.begun) = (Lines::default(), None);
        self.drop_answered();
    }

    // ANCHOR: next
    /// Parses the next request, and drops the request that the previous call returned.
    pub fn next(&mut self, limits: &Limits) -> Parsed<'_> {
        self.drop_answered();
        if self.start == self.end {
            // No received byte is left, the usual case after a request.
            return Parsed::Partial { wants_continue: false };
        }
        self.skip_empty_line();
        // The method is determined first, because a parsed request borrows the buffer.
        let method = self.method();
        self.parse(limits)
            .unwrap_or_else(|why| Parsed::Refused(HttpError { method, ..why }))
    }
    // ANCHOR_END: next

    /// Returns the refusal of a request that the end of input has cut off.
    pub fn cut_off(&self) -> HttpError {
        HttpError { method: self.method(), ..HttpError::CUT_OFF }
    }

    /// Returns the refusal (408) of a request that was not complete at its deadline, or
    /// `None` if no request has begun.
    pub fn too_late(&self) -> Option<HttpError> {
        let why = match self.content_received() {
            None if self.is_empty() => return None,
            None => HttpError::SLOW_HEAD,
            Some(_) => HttpError::SLOW_BODY,
        };
        Some(HttpError { method: self.method(), ..why })
    }

    /// Returns [`Method::Head`] if the request at `start` begins with `HEAD `,
    /// otherwise [`Method::Other`]. A refusal needs no other distinction: only the
    /// refusal of a HEAD request is sent without content.
    fn method(&self) -> Method {
        match self.buffer[self.start..self.end].starts_with(b"HEAD ") {
            true => Method::Head,
            false => Method::Other,
        }
    }

    /// Skips one empty line before a request, which some old clients send (RFC 9112
    /// section 2.2).
    fn skip_empty_line(&mut self) {
        let at_start = self.begun.is_none() && !self.lines.empty_line;
        if at_start && self.buffer[self.start..self.end].starts_with(b"\r\n") {
            self.start += 2;
            self.lines = Lines { empty_line: true, ..Lines::default() };
        }
    }

    fn drop_answered(&mut self) {
        self.start += std::mem::take(&mut self.answered);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.room = Room::default(); // returns the claimed bytes to the budget
            if self.buffer.len() > BASE {
                self.buffer = Vec::new();
            }
        }
    }

    fn parse(&mut self, limits: &Limits) -> Result<Parsed<'_>, HttpError> {
        let Inbox { buffer, start, end, lines, begun, room, answered } = self;
        let received = *end - *start;
        let bytes = &mut buffer[*start..*end];
        let mut wants_continue = false;
        let (head, content) = match begun {
            Some(begun) => begun,
            None => match lines.find_head(bytes, limits)? {
                Some(head) => {
                    wants_continue = head.expects_continue && head.len == received;
                    let content = Content::framed(head.framing);
                    begun.insert((head, content))
                }
                None => {
                    room.grow(limits.head + 2, received, limits)?;
                    return Ok(Parsed::Partial { wants_continue });
                }
            },
        };
        if !content.advance(&mut bytes[head.len..], end, limits)? {
            room.grow(content.need(head.len, limits), received, limits)?;
            return Ok(Parsed::Partial { wants_continue });
        }
        *answered = head.len + content.received();
        let (in_head, body) = bytes[..*answered].split_at(head.len);
        let request = head.request(in_head, body);
        *begun = None;
        *lines = Lines::default();
        Ok(Parsed::Complete(request))
    }
}

impl Lines {
    /// Parses the head if it is complete, otherwise returns `None`.
    ///
    /// The complete lines of an incomplete head are parsed too, so that a malformed
    /// head is refused before its end, which may never arrive. An incomplete head is
    /// parsed at most once for each line, however slowly the bytes arrive.
    fn find_head(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<Head>, HttpError> {
        // The fast path: nearly always the whole head arrives at once and is valid.
        // Otherwise `find_head_by_lines` parses only complete lines, as long as no limit
        // is exceeded: so the result does not depend on how the bytes were split.
        if self.searched == 0
            && let Ok(Some(head)) = head::parse(bytes, limits)
        {
            return Ok(Some(head));
        }
        self.find_head_by_lines(bytes, limits)
    }

    #[cold]
    fn find_head_by_lines(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<Head>, HttpError> {
        let before = self.complete;
        if let Some(newline) = memrchr(b'\n', &bytes[self.searched..]) {
            self.complete = self.searched + newline + 1;
        }
        self.searched = bytes.len();
        let no_line = self.complete == 0 && bytes.len() > limits.line;
        match bytes.len() > limits.head || no_line {
            true => head::parse(bytes, limits),
            false if self.complete > before => {
                head::parse(&bytes[..self.complete], limits)
            }
            false => Ok(None),
        }
    }
}

impl Room {
    /// Lets the buffer grow to twice the number of bytes `received`, but not beyond
    /// `need`, and claims the growth from the memory budget. So a client that only
    /// announces much content costs little.
    fn grow(
        &mut self,
        need: usize,
        received: usize,
        limits: &Limits,
    ) -> Result<(), HttpError> {
        self.bytes = need.min(received.saturating_mul(2)).max(BASE);
        match self.claim.grow_to(self.bytes - BASE, &limits.buffered) {
            true => Ok(()),
            false => Err(HttpError::new(
                503,
                "all memory for requests is taken; come back in a moment",
            )),
        }
    }
}

impl Content {
    fn framed(framing: Framing) -> Content {
        match framing {
            Framing::None => Content::Length(0),
            Framing::Length(length) => Content::Length(length as usize), // at most `limits.body`
            Framing::Chunked => Content::Chunked(Chunked::new()),
        }
    }

    /// Returns the length in bytes of the decoded content, which must be complete.
    fn received(&self) -> usize {
        match self {
            Content::Length(length) => *length,
            Content::Chunked(chunks) => chunks.decoded,
        }
    }

    /// Returns the largest size in bytes that the message can reach, including its `head`
    /// bytes of head.
    fn need(&self, head: usize, limits: &Limits) -> usize {
        match self {
            Content::Length(length) => head + length,
            // The head is followed by the decoded content, and then by at most one line
            // that is not decoded because its end has not arrived. `limits.head + 1024`
            // bytes are enough for any such line: a trailer has at most `limits.head`
            // bytes, a line with a chunk's size fewer than 1024.
            Content::Chunked(_) => head + limits.body as usize + limits.head + 1024,
        }
    }

    /// Decodes the content that has arrived in `bytes`, and lowers `end` by the number
    /// of bytes of framing that it removes. Returns whether the content is complete.
    fn advance(
        &mut self,
        bytes: &mut [u8],
        end: &mut usize,
        limits: &Limits,
    ) -> Result<bool, HttpError> {
        match self {
            Content::Length(length) => Ok(bytes.len() >= *length),
            Content::Chunked(chunks) => {
                let rubbish = chunks.decode(bytes, limits)?;
                bytes.copy_within(chunks.decoded + rubbish.., chunks.decoded);
                *end -= rubbish;
                Ok(chunks.is_done())
            }
        }
    }
}
