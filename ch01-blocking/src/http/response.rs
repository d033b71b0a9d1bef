//! A response: what the application decided, before it becomes bytes.

use super::body_stream::BodyStream;
use super::request::{Method, ResponseContext, Version};
use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The application's answer to a request.
#[derive(Debug)]
pub struct Response {
    /// The answer's status code, such as 200.
    pub status: u16,
    /// The media type of the content, if any; `charset=utf-8` is added to text types.
    pub content_type: Option<&'static str>,
    /// The answer's header fields beyond `Content-Type` and `Content-Length`.
    pub extra: ExtraHeader,
    /// The content. It is not sent in an answer to HEAD, or with the status 204 or 304.
    pub body: Body,
    /// The time to wait before the answer is sent (`/sleep`): in chapter 1 the thread
    /// blocks, in an event loop a timer runs, in chapter 6 the coroutine is parked.
    pub delay: Option<Duration>,
    /// Whether the server closes the connection after this answer.
    pub close: bool,
}

impl Response {
    /// Returns an answer without content.
    pub fn new(status: u16) -> Response {
        Response {
            status,
            content_type: None,
            extra: ExtraHeader::None,
            body: Body::Empty,
            delay: None,
            close: false,
        }
    }

    /// Returns an answer with content of the given media type.
    pub fn content(status: u16, content_type: &'static str, body: Body) -> Response {
        Response {
            status,
            content_type: Some(content_type),
            extra: ExtraHeader::None,
            body,
            delay: None,
            close: false,
        }
    }

    /// Returns an answer in plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Response {
        Response::content(status, "text/plain", Body::Bytes(text.into().into_bytes()))
    }

    /// Returns whether the connection closes after this answer; `context` has the
    /// properties of the request.
    pub fn is_last(&self, context: ResponseContext) -> bool {
        // In HTTP/1.0 the end of the connection ends a streamed body.
        let ends_with_it = self.body.is_live() && context.version == Version::Http10;
        self.close || !context.keep_alive || ends_with_it
    }
}

/// The content of a response.
#[derive(Debug)]
pub enum Body {
    /// The answer has no content.
    Empty,
    /// Content with static lifetime, such as a literal.
    Static(&'static [u8]),
    /// Content made for this answer.
    Bytes(Vec<u8>),
    /// The given number of bytes of a repeating 64-byte line, generated while they are
    /// sent.
    Pattern(u64),
    /// A part of a file, sent without passing through user space where that is
    /// possible.
    File {
        /// The file, open for reading; its own offset is not used.
        file: File,
        /// The offset in the file of the first byte to send, in bytes.
        at: u64,
        /// The number of bytes to send.
        len: u64,
    },
    /// A body that is generated while it is sent. Its length is not known, and only
    /// chapter 6 can wait for the next piece
    /// ([`Transport::more`](crate::stream::Transport::more)).
    Live(Box<dyn BodyStream>),
}

impl Body {
    /// Returns the content's length in bytes; 0 for a streamed body.
    pub fn len(&self) -> u64 {
        match self {
            Body::Empty | Body::Live(_) => 0,
            Body::Static(bytes) => bytes.len() as u64,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Pattern(len) | Body::File { len, .. } => *len,
        }
    }

    /// Returns whether the body is streamed, so that its length is not known.
    pub fn is_live(&self) -> bool {
        matches!(self, Body::Live(_))
    }

    /// Returns whether the content is known to be empty; `false` for a streamed body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !self.is_live()
    }
}

/// Header fields beyond `Content-Type` and `Content-Length`. No answer has two of these
/// variants, so one field of [`Response`] holds any of them: a response is created and
/// moved for every request, and should be small.
#[derive(Debug)]
pub enum ExtraHeader {
    /// The answer has no field beyond `Content-Type` and `Content-Length`.
    None,
    /// `Location`: the path at which the resource is.
    Location(String),
    /// `Allow`: the methods that the resource supports.
    Allow(&'static str),
    /// `Retry-After`: the number of seconds after which a client may try again.
    RetryAfter(u32),
    /// `ETag`, `Last-Modified` and `Accept-Ranges` of a file that is sent, or that is not
    /// sent because the client has it; with 206, `Content-Range` too.
    File(FileVersion),
    /// `Content-Range` of a 416 answer, which names the length of the file.
    NoSuchRange {
        /// The length of the whole file, in bytes.
        len: u64,
    },
}

/// The version of a file: its modification time and length. A change goes unnoticed if
/// it keeps the length and follows the previous change within one tick of the file
/// system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// The time of the file's last change, which may be before 1970.
    pub modified: SystemTime,
    /// The file's length in bytes.
    pub len: u64,
}

/// Formats the version as a strong entity tag (RFC 9110 section 8.8.3).
impl std::fmt::Display for FileVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, modified) = match self.modified.duration_since(UNIX_EPOCH) {
            Ok(time) => ("", time),
            Err(before) => ("-", before.duration()),
        };
        write!(f, "\"{sign}{:x}-{:x}\"", modified.as_nanos(), self.len)
    }
}

/// The refusal of a message or a connection: a status and a reason. The connection
/// closes after a refusal. (After a refused message, it is unknown where the next one
/// begins.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// The status code of the refusal.
    pub status: u16,
    /// The reason, a line of text for the client.
    pub reason: &'static str,
    /// [`Method::Head`] if a HEAD request is refused, because the answer then has no
    /// content (RFC 9110 section 9.3.2); otherwise [`Method::Other`].
    pub method: Method,
}

impl HttpError {
    pub(crate) const fn new(status: u16, reason: &'static str) -> HttpError {
        HttpError { status, reason, method: Method::Other }
    }

    pub(super) const fn bad(reason: &'static str) -> HttpError {
        HttpError::new(400, reason)
    }

    /// The refusal of a connection beyond `--max-connections`, or beyond the descriptors,
    /// processes or threads that the system allows.
    pub const BUSY: HttpError =
        HttpError::new(503, "all places are taken; come back in a moment");
    /// The refusal of a head that was not complete at its deadline.
    pub const SLOW_HEAD: HttpError =
        HttpError::new(408, "the request's head took too long");
    /// The refusal of content that was not complete at its deadline, or came too slowly.
    pub const SLOW_BODY: HttpError =
        HttpError::new(408, "the request's content came too slowly");
    /// The refusal of a message that the end of input has cut off (RFC 9112 section 8).
    pub const CUT_OFF: HttpError = HttpError::new(400, "the request ended in the middle");
}

/// Returns the reason phrase of a status code (RFC 9110 section 15), or `Unknown` for a
/// status code that no server of the book sends.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
