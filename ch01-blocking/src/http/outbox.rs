//! The output buffer: answers as bytes, until they are sent.

use super::body_stream::{BodyStream, Live};
use super::date::HttpDate;
use super::request::{Method, ResponseContext, Version};
use super::response::{Body, ExtraHeader, HttpError, Response, reason_phrase};
use crate::stream::Transport;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::UNIX_EPOCH;

/// Bodies up to this size, in bytes, are copied after their heads: one write is cheaper than
/// two, and a small file is cheaper to read than to send by itself.
const SMALL: u64 = 16 * 1024;

/// The line that [`Body::Pattern`] repeats.
const LINE: &[u8; 64] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

thread_local! {
    /// An empty buffer that no connection uses at the moment. A thread writes one
    /// answer at a time, and nearly always sends it at once. So one buffer is enough
    /// for all connections of a thread, and a waiting connection holds no buffer.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The answers of one connection that are not sent yet.
///
/// Heads and small bodies are gathered in a buffer and leave in one write for a whole
/// burst of pipelined requests. At most one large body follows them and is not copied:
/// bytes in memory, a file, or a body that is generated piece by piece. So a client that
/// never reads occupies a bounded amount of memory: `--max-output` bytes, one more head
/// with a small body, and the large body if it is in memory. While the buffer is full,
/// the servers answer no further request (`serve` in chapter 1, `Connection::advance` in
/// chapter 3), and therefore read nothing. The received bytes of a connection are
/// limited, too: to 16 KiB, and beyond that to a share of `--max-buffered`
/// ([`Inbox`](super::Inbox)). `--write-timeout` limits the time that a client may take
/// to read.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    tail: Tail,
    /// The number of unsent bytes from which the buffer counts as full:
    /// [`Limits::output`](super::Limits::output).
    limit: usize,
    /// The date of all answers queued since the last flush; `None` if none is queued.
    date: Option<HttpDate>,
    status_line_cache: StatusLineCache,
}

/// The body that follows the buffered bytes: a body too large to copy, or a body that
/// is generated while it is sent.
#[derive(Debug)]
enum Tail {
    None,
    Bytes { bytes: Vec<u8>, at: usize },
    Pattern { at: u64, left: u64 },
    File { file: File, at: u64, left: u64 },
    Live(Live),
}

impl Outbox {
    /// Returns an empty buffer that counts as full at `limit` bytes. An empty buffer is
    /// never full, even if `limit` is 0.
    pub fn new(limit: usize) -> Outbox {
        Outbox {
            bytes: Vec::new(),
            sent: 0,
            tail: Tail::None,
            limit: limit.max(1),
            date: None,
            status_line_cache: StatusLineCache {
                status: 0,
                date: HttpDate::from(UNIX_EPOCH),
                text: String::new(),
            },
        }
    }

    /// Returns whether all queued answers were sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && matches!(self.tail, Tail::None)
    }

    /// Returns whether a [`flush`](Outbox::flush) is needed before the next answer.
    pub fn is_full(&self) -> bool {
        self.bytes.len() - self.sent >= self.limit || !matches!(self.tail, Tail::None)
    }

    /// Drops all queued answers, or the rest of them that was not sent.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
        self.date = None;
        self.tail = Tail::None;
    }

    // ANCHOR: push
    /// Queues an answer. Only the first answer of a burst reads the `clock`; the other
    /// answers get the same date. The outbox must not be [full](Outbox::is_full): with
    /// debug assertions `push` panics, without them the queued answers may be corrupted.
    pub fn push(
        &mut self,
        response: Response,
        context: ResponseContext,
        clock: &dyn Fn() -> HttpDate,
    ) {
        debug_assert!(!self.is_full());
        let date = *self.date.get_or_insert_with(clock);
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        let begin = self.bytes.len();
        self.head(&response, context, date);
        if context.method == Method::Head || matches!(response.status, 204 | 304) {
            // An answer to HEAD, and an answer with status 204 or 304, has header
            // fields but no content (RFC 9110 sections 9.3.2, 15.3.5 and 15.4.5).
            return;
        }
        match response.body {
            Body::Empty => {}
            Body::Static(bytes) => self.bytes.extend_from_slice(bytes),
            Body::Bytes(bytes) if bytes.len() as u64 <= SMALL => {
                self.bytes.extend_from_slice(&bytes)
            }
            Body::Bytes(bytes) => self.tail = Tail::Bytes { bytes, at: 0 },
            Body::Pattern(len) => {
                self.tail = Tail::Pattern { at: 0, left: len };
                self.make(SMALL);
            }
            Body::File { file, at, len } if len <= SMALL => {
                let content = self.bytes.len();
                self.bytes.resize(content + len as usize, 0);
                if file.read_exact_at(&mut self.bytes[content..], at).is_err() {
                    // The file has shrunk since its length was read. No byte of the
                    // answer is sent yet, so a 500 can replace it.
                    self.bytes.truncate(begin);
                    self.push(
                        Response::text(500, "the file changed while it was read\n"),
                        context,
                        clock,
                    );
                }
            }
            Body::File { file, at, len } => {
                self.tail = Tail::File { file, at, left: len }
            }
            Body::Live(source) => {
                let chunked = context.version == Version::Http11;
                self.tail = Tail::Live(Live { source, chunked });
            }
        }
    }
    // ANCHOR_END: push

    /// Queues the interim answer `100 Continue`.
    pub fn push_continue(&mut self) {
        self.bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Queues a refusal, the last answer of this connection.
    pub fn push_error(&mut self, why: HttpError, clock: &dyn Fn() -> HttpDate) {
        let mut response = Response::text(
            why.status,
            format!("{} {}: {}\n", why.status, reason_phrase(why.status), why.reason),
        );
        if why.status == 503 {
            response.extra = ExtraHeader::RetryAfter(1);
        }
        response.close = true;
        self.push(
            response,
            ResponseContext {
                method: why.method,
                version: Version::Http11,
                keep_alive: false,
            },
            clock,
        );
    }

    // ANCHOR: flush
    /// Sends all queued answers, or as many of their bytes as the stream accepts.
    ///
    /// # Errors
    ///
    /// Those of the stream, and `UnexpectedEof` if the stream accepts no byte, or a file
    /// ends before its announced length. After `WouldBlock` the next call continues where
    /// this one stopped.
    pub fn flush(&mut self, stream: &mut impl Transport) -> io::Result<()> {
        loop {
            // ANCHOR: flush_bytes
            while self.sent < self.bytes.len() {
                self.sent += nonzero(stream.write(&self.bytes[self.sent..])?)?;
            }
            // ANCHOR_END: flush_bytes
            self.bytes.clear();
            self.sent = 0;
            self.date = None;
            match &mut self.tail {
                Tail::None => {
                    // A connection that waits for its next request owns no buffer.
                    let bytes = std::mem::take(&mut self.bytes);
                    if (1..=2 * SMALL as usize).contains(&bytes.capacity()) {
                        SPARE.set(bytes);
                    }
                    return Ok(());
                }
                Tail::Bytes { bytes, at } if *at < bytes.len() => {
                    *at += nonzero(stream.write(&bytes[*at..])?)?
                }
                // ANCHOR: flush_file
                Tail::File { file, at, left } if *left > 0 => {
                    let sent = nonzero(stream.send_file(file, *at, *left)?)? as u64;
                    *at += sent;
                    *left -= sent;
                }
                // ANCHOR_END: flush_file
                Tail::Pattern { left, .. } if *left > 0 => {
                    self.make(SMALL.max(self.limit as u64))
                }
                Tail::Live(live) => {
                    // Waits for the next piece. Only chapter 6's transports can wait;
                    // all others fail with `Unsupported`.
                    if !live.next(stream, &mut self.bytes)? {
                        self.tail = Tail::None;
                    }
                }
                Tail::Bytes { .. } | Tail::File { .. } | Tail::Pattern { .. } => {
                    self.tail = Tail::None
                }
            }
        }
    }
    // ANCHOR_END: flush

    /// Returns the source of the streamed body, for a caller that waits for its next
    /// piece itself. Returns `None` if no body is streamed, or bytes before it are not
    /// sent yet.
    pub fn source(&mut self) -> Option<&mut dyn BodyStream> {
        match &mut self.tail {
            Tail::Live(live) if self.sent == self.bytes.len() => Some(&mut *live.source),
            _ => None,
        }
    }

    /// Queues a piece of the streamed body. An empty piece ends the body.
    pub fn push_piece(&mut self, content: &[u8]) {
        if let Tail::Live(live) = &self.tail
            && !live.frame(content, &mut self.bytes)
        {
            self.tail = Tail::None;
        }
    }

    /// Appends the next bytes of a [`Body::Pattern`], at most `most` bytes.
    fn make(&mut self, most: u64) {
        if let Tail::Pattern { at, left } = &mut self.tail {
            let now = most.min(*left);
            // The pattern goes on where the previous call stopped, perhaps in the
            // middle of a line. Whole lines are appended until there are `now` bytes or
            // more; then the bytes beyond `now` are cut off.
            let from = (*at % 64) as usize;
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(&LINE[from..]);
            while self.bytes.len() < begin + now as usize {
                self.bytes.extend_from_slice(LINE);
            }
            self.bytes.truncate(begin + now as usize);
            *at += now;
            *left -= now;
            if *left == 0 {
                self.tail = Tail::None;
            }
        }
    }

    // ANCHOR: head
    /// Appends the head of an answer piece by piece, and not with `write!`: formatting
    /// calls a function through a pointer for every piece, and took several times as
    /// long (measured with `lab request`).
    fn head(&mut self, response: &Response, context: ResponseContext, date: HttpDate) {
        let mut digits = itoa::Buffer::new();
        let bytes = &mut self.bytes;
        let mut put = |text: &str| bytes.extend_from_slice(text.as_bytes());
        put(self.status_line_cache.of(response.status, date));
        if response.body.is_live() {
            if context.version == Version::Http11 {
                put("\r\nTransfer-Encoding: chunked");
            }
        } else if !matches!(response.status, 204 | 304) {
            put("\r\nContent-Length: ");
            put(digits.format(response.body.len()));
        }
        if let Some(kind) = response.content_type {
            put("\r\nContent-Type: ");
            put(kind);
            if kind.starts_with("text/")
                || kind.ends_with("javascript")
                || kind.ends_with("json")
            {
                put("; charset=utf-8");
            }
        }
        match &response.extra {
            ExtraHeader::None => {}
            ExtraHeader::Location(target) => put(&format!("\r\nLocation: {target}")),
            ExtraHeader::Allow(methods) => put(&format!("\r\nAllow: {methods}")),
            ExtraHeader::RetryAfter(seconds) => {
                put(&format!("\r\nRetry-After: {seconds}"))
            }
            ExtraHeader::NoSuchRange { len } => {
                put(&format!("\r\nContent-Range: bytes */{len}"))
            }
            ExtraHeader::File(version) => {
                // Last-Modified must not be later than Date (RFC 9110 section 8.8.2.1).
                let modified = HttpDate::from(version.modified).min(date);
                put(&format!("\r\nETag: {version}\r\nLast-Modified: {modified}"));
                put("\r\nAccept-Ranges: bytes");
                if let (206, Body::File { at, len, .. }) =
                    (response.status, &response.body)
                {
                    let (last, all) = (at + len - 1, version.len);
                    put(&format!("\r\nContent-Range: bytes {at}-{last}/{all}"));
                }
            }
        }
        if !context.keep_alive {
            put("\r\nConnection: close");
        } else if context.version == Version::Http10 {
            put("\r\nConnection: keep-alive");
        }
        put("\r\n\r\n");
    }
    // ANCHOR_END: head
}

/// Returns `sent`, the number of bytes sent, or an error if the number is 0: a file has
/// become shorter than the length that the head has announced.
fn nonzero(sent: usize) -> io::Result<usize> {
    if sent == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(sent) }
}

/// The status line and `Date` field of the latest answer, for further answers with the same
/// status in the same second.
#[derive(Debug)]
struct StatusLineCache {
    status: u16,
    date: HttpDate,
    text: String,
}

impl StatusLineCache {
    fn of(&mut self, status: u16, date: HttpDate) -> &str {
        if self.status != status || self.date != date {
            let reason_phrase = reason_phrase(status);
            self.text = format!("HTTP/1.1 {status} {reason_phrase}\r\nDate: {date}");
            (self.status, self.date) = (status, date);
        }
        &self.text
    }
}
