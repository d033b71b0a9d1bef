//! Responses: the head, the content, and the way in which both are written to the connection.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use crate::mutations::Mutation;
use crate::switch::wrong;
use crate::wire::{End, Wire};

/// The content of a response.
pub(crate) enum Body {
    None,
    Bytes(Vec<u8>),
    Pattern(u64),
    File { file: File, at: u64, len: u64 },
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Pattern(len) | Self::File { len, .. } => *len,
        }
    }
}

/// A response that has not been formatted yet.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) delay: Duration,
    pub(crate) close: bool,
    pub(crate) error: bool,
}

impl Response {
    pub(crate) fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body,
            delay: Duration::ZERO,
            close: false,
            error: false,
        }
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::new(status, Body::Bytes(text.into_bytes()))
            .with("Content-Type", "text/plain; charset=utf-8")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// An error response: a status, and the reason given to the client.
pub(crate) struct HttpError {
    status: u16,
    why: &'static str,
    close: bool,
}

impl HttpError {
    /// Returns an error response after which the connection stays open.
    pub(crate) fn kept(status: u16, why: &'static str) -> Self {
        Self { status, why, close: false }
    }

    /// Returns an error response that closes the connection, because the beginning of the next
    /// request is unknown.
    pub(crate) fn closing(status: u16, why: &'static str) -> Self {
        Self { status, why, close: true }
    }
}

impl From<HttpError> for Response {
    fn from(error: HttpError) -> Self {
        let HttpError { status, why, close } = error;
        let mut response =
            Self::text(status, format!("{status} {}: {why}\n", reason(status)));
        if status == 503 && !wrong(Mutation::NoRetryAfter) {
            response = response.with("Retry-After", "1");
        }
        response.close = (close && !wrong(Mutation::KeepsAfterRefusal))
            || wrong(Mutation::ClosesAfterRefusal);
        response.error = true;
        response
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
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

/// The properties of a request and its connection that change how its response is formatted.
#[derive(Clone, Copy)]
pub(crate) struct ResponseContext {
    pub(crate) head_only: bool,
    pub(crate) close: bool,
    /// Whether to send `Connection: keep-alive`, which only an HTTP/1.0 client that asked for
    /// keep-alive needs.
    pub(crate) say_keep_alive: bool,
}

/// Formats the head of a response.
pub(crate) fn head(response: &Response, context: ResponseContext) -> Vec<u8> {
    let status = response.status;
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    if !wrong(Mutation::NoDate) {
        head += &format!("Date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
    }
    for (name, value) in &response.fields {
        head += &format!("{name}: {value}\r\n");
    }
    if status != 204 && status != 304 {
        let len = if context.head_only && wrong(Mutation::HeadZeroLength) {
            0
        } else {
            length(response)
        };
        head += &format!("Content-Length: {len}\r\n");
    }
    if context.close && !wrong(Mutation::CloseUnannounced) {
        head += "Connection: close\r\n";
    } else if context.say_keep_alive && !wrong(Mutation::Http10KeepAliveUntold) {
        head += "Connection: keep-alive\r\n";
    }
    head += "\r\n";
    head.into_bytes()
}

fn length(response: &Response) -> u64 {
    if wrong(Mutation::CountsCharacters) {
        let text = match &response.body {
            Body::File { file, at, len } if *len < 1 << 20 => {
                let mut bytes = vec![0; usize::try_from(*len).unwrap_or(0)];
                file.read_exact_at(&mut bytes, *at).ok().map(|()| bytes)
            }
            Body::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        };
        if let Some(Ok(text)) = text.map(String::from_utf8) {
            return text.chars().count() as u64;
        }
    }
    response.body.len()
}

/// The 64-byte line that fills a response to `/bytes/N`, a route that returns `N` generated bytes.
const LINE: &[u8; 64] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

/// Number of bytes per write of generated content and of files: a multiple of the length of
/// [`LINE`].
const PIECE: usize = 16 * 1024;

/// Queues a response in the output buffer, and flushes the buffer whenever it is full.
pub(crate) fn push(
    wire: &mut Wire<'_>,
    response: Response,
    context: ResponseContext,
) -> Result<(), End> {
    wire.all_written = None;
    wire.queue(&head(&response, context));
    let bodiless = (context.head_only && !wrong(Mutation::HeadWithBody))
        || response.status == 204
        || (response.status == 304 && !wrong(Mutation::NotModifiedWithBody));
    if bodiless {
        return wire.relieve();
    }
    match response.body {
        Body::None => {}
        Body::Bytes(bytes) => wire.queue(&bytes),
        Body::Pattern(len) => {
            let piece = LINE.repeat(PIECE / LINE.len());
            let mut left = usize::try_from(len).unwrap_or(usize::MAX);
            while left > 0 {
                let now = left.min(PIECE);
                wire.queue(&piece[..now]);
                left -= now;
                if wrong(Mutation::WholeAnswerInMemory) {
                    continue;
                }
                wire.relieve()?;
            }
        }
        Body::File { file, mut at, len } => {
            let end = at + len;
            let mut piece = [0; PIECE];
            while at < end {
                let now = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
                match file.read_at(&mut piece[..now], at) {
                    Ok(0) if wrong(Mutation::PadsShrunkFile) => {
                        wire.queue(&vec![0; now]);
                        at += now as u64;
                    }
                    // The file has become shorter than the announced `Content-Length`: only closing
                    // the connection can tell the client that bytes are missing.
                    Ok(0) | Err(_) => return Err(End::Gone),
                    Ok(read) => {
                        wire.queue(&piece[..read]);
                        at += read as u64;
                    }
                }
                if wrong(Mutation::WholeFileInMemory) {
                    continue;
                }
                wire.relieve()?;
            }
        }
    }
    wire.relieve()
}
