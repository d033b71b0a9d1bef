// ANCHOR: head
//! The HTTP of all small servers: [`parse`] reads one request from a buffer,
//! [`Response::write`] appends an answer to another buffer, and [`serve`] calls both
//! for each request of a connection.
//!
//! The parser is small but safe: a message that it does not understand is refused, and
//! the connection is closed. Left out are chunked content, `100 Continue`, keep-alive
//! for HTTP/1.0, the absolute form of a target, percent-encoding, dates, files, and
//! closing in stages. The parser's limits are constants.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// The largest head of a request, in bytes.
pub const MAX_HEAD: usize = 16 * 1024;

/// The largest content of a request, in bytes.
pub const MAX_CONTENT: usize = 1024 * 1024;

/// The largest `N` of the route `/bytes/N`, whose whole answer is held in memory.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Collected answers are sent as soon as they have this many bytes together.
pub const MAX_OUTPUT: usize = 64 * 1024;

// ANCHOR_END: head
// ANCHOR: parsed
/// A complete request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'b> {
    /// The request's method, such as `GET`.
    pub method: &'b str,
    /// The request's path, without the query.
    pub path: &'b str,
    /// The request's content, which may be empty.
    pub content: &'b [u8],
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
}

impl Request<'_> {
    /// Returns whether the method is HEAD. The answer to a HEAD request has no content
    /// (RFC 9110 section 9.3.2).
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// The result of parsing the bytes at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// A complete request, and its length in bytes.
    Complete(Request<'b>, usize),
    /// Only the beginning of a request.
    Partial,
    /// The bytes are not a request that this parser understands: the status and the
    /// reason of the refusal.
    Refused(u16, &'static str),
}

// ANCHOR_END: parsed
// ANCHOR: parse
/// Parses the request at the start of `bytes`, which may be incomplete.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    use Parsed::{Partial, Refused};
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Partial,
        Ok(_) => return Refused(431, "the head is too large"),
        Err(httparse::Error::TooManyHeaders) => return Refused(431, "too many fields"),
        Err(_) => return Refused(400, "a malformed head"),
    };
    // A line that ends with LF alone is refused: httparse accepts it, but other parsers
    // do not, so a proxy could read the request differently.
    let bare = |at: usize| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r');
    if (0..length).any(bare) {
        return Refused(400, "a line that ends with LF alone");
    }
    let target = head.path.unwrap_or_default();
    if !target.starts_with('/') {
        return Refused(400, "the target is no path");
    }
    let (mut keep_alive, mut hosts, mut content) = (head.version == Some(1), 0, None);
    for field in head.headers.iter() {
        let value = field.value.trim_ascii();
        match field.name.to_ascii_lowercase().as_str() {
            "host" if !value.is_empty() && value.iter().all(is_host) => hosts += 1,
            "host" => return Refused(400, "a malformed Host"),
            "connection" => {
                let mut options =
                    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                keep_alive &=
                    !options.any(|option| option.eq_ignore_ascii_case(b"close"));
            }
            "content-length" => match (content, decimal(value)) {
                (None, Some(n)) if n <= MAX_CONTENT => content = Some(n),
                (None, Some(_)) => return Refused(413, "the content is too large"),
                _ => return Refused(400, "Content-Length is not one number"),
            },
            "transfer-encoding" => return Refused(501, "content by its length only"),
            "expect" => return Refused(417, "no expectation can be met"),
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && head.version == Some(1)) {
        return Refused(400, "not exactly one Host field");
    }
    let end = length + content.unwrap_or(0);
    let Some(content) = bytes.get(length..end) else { return Partial };
    let (method, path) = (head.method.unwrap_or_default(), path_of(target));
    Parsed::Complete(Request { method, path, content, keep_alive }, end)
}

/// Returns whether this parser accepts the byte in the field `Host`. It accepts no
/// percent-encoded hosts.
fn is_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]".contains(byte)
}

/// Parses a decimal number. Returns `None` if `digits` is empty, contains anything but
/// digits, or does not fit in a `usize`.
fn decimal(digits: &[u8]) -> Option<usize> {
    // `str::parse` alone would accept `+5`.
    let text = str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Returns the path of a request target: the text before the first `?`.
fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

// ANCHOR_END: parse
// ANCHOR: response
/// The answer to a request, before it becomes bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    /// Header fields beyond `Content-Length` and `Connection`, as complete lines.
    fields: &'static str,
    content: Vec<u8>,
    /// The time to wait before the answer is sent.
    pub delay: Duration,
}

const TEXT: &str = "Content-Type: text/plain\r\n";
const BYTES: &str = "Content-Type: application/octet-stream\r\n";
const CLOSE: &str = "Connection: close\r\n";

impl Response {
    fn ok(fields: &'static str, content: impl Into<Vec<u8>>) -> Response {
        Response { status: 200, fields, content: content.into(), delay: Duration::ZERO }
    }

    /// Returns an error answer with the status `status` and a text that says `why`.
    pub fn error(status: u16, why: &str) -> Response {
        Response { status, ..Response::ok(TEXT, format!("{status} {why}\n")) }
    }

    /// Appends the answer's bytes to `out`, without content if the request was HEAD.
    /// Without `keep_alive`, the answer announces that the connection closes.
    pub fn write(&self, out: &mut Vec<u8>, is_head: bool, keep_alive: bool) {
        let Response { status, fields, content, .. } = self;
        let (length, end) = (content.len(), if keep_alive { "" } else { CLOSE });
        // The reason phrase after the status may be empty (RFC 9112 section 4).
        let line = format!("HTTP/1.1 {status} \r\n");
        let head = format!("{line}{fields}{end}Content-Length: {length}\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        if !is_head {
            out.extend_from_slice(content);
        }
    }
}

// ANCHOR_END: response
// ANCHOR: respond
/// Returns the answer to a request. Never waits: the caller waits for the answer's
/// `delay` before it sends the answer.
pub fn respond(request: &Request<'_>) -> Response {
    let is_get = matches!(request.method, "GET" | "HEAD");
    // `/sleep/20` is the route `/sleep/` and the number 20.
    let end = request.path[1..].find('/').map_or(request.path.len(), |at| at + 2);
    let (route, number) = request.path.split_at(end);
    match (route, decimal(number.as_bytes())) {
        ("/plaintext" | "/sleep/" | "/bytes/", _) if !is_get => Response {
            fields: "Allow: GET, HEAD\r\n",
            ..Response::error(405, "GET and HEAD only")
        },
        ("/echo", _) if request.method != "POST" => {
            Response { fields: "Allow: POST\r\n", ..Response::error(405, "POST only") }
        }
        ("/plaintext", _) => Response::ok(TEXT, "Hello, World!"),
        ("/echo", _) => Response::ok(BYTES, request.content),
        ("/sleep/", Some(ms @ ..=60_000)) => {
            let delay = Duration::from_millis(ms as u64);
            Response { delay, ..Response::ok(TEXT, format!("slept {ms} ms\n")) }
        }
        ("/bytes/", Some(n @ ..=MAX_BYTES)) => {
            let mut bytes = LINE.repeat(n.div_ceil(LINE.len()));
            bytes.truncate(n);
            Response::ok(BYTES, bytes)
        }
        ("/sleep/" | "/bytes/", _) => Response::error(400, "no number, or too large"),
        _ => Response::error(404, "no such route"),
    }
}

/// The line that the content of `/bytes/N` repeats.
const LINE: &[u8; 64] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

// ANCHOR_END: respond
// ANCHOR: serve
/// Serves one connection to its end: reads, answers every complete request, and sends
/// the answers to a burst of requests with one write. Before an answer with a delay,
/// calls `sleep` with that delay.
///
/// # Errors
///
/// The connection is broken.
pub fn serve(
    stream: &mut (impl Read + Write),
    sleep: impl Fn(Duration),
) -> io::Result<()> {
    let (mut inbox, mut outbox, mut buffer) = (Vec::new(), Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) if inbox.is_empty() => return Ok(()),
            Ok(0) => return refuse(stream, &inbox, 400, "the request has no end"),
            Ok(n) => inbox.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::TimedOut && !inbox.is_empty() => {
                return refuse(stream, &inbox, 408, "the request took too long");
            }
            Err(error) => return Err(error),
        }
        loop {
            match parse(&inbox) {
                Parsed::Complete(request, length) => {
                    let response = respond(&request);
                    if !response.delay.is_zero() {
                        send(stream, &mut outbox)?;
                        sleep(response.delay);
                    }
                    let (is_head, keep_alive) = (request.is_head(), request.keep_alive);
                    response.write(&mut outbox, is_head, keep_alive);
                    if !keep_alive {
                        return send(stream, &mut outbox);
                    }
                    inbox.drain(..length);
                    if outbox.len() >= MAX_OUTPUT {
                        send(stream, &mut outbox)?;
                    }
                }
                Parsed::Partial => break,
                Parsed::Refused(status, why) => {
                    send(stream, &mut outbox)?;
                    return refuse(stream, &inbox, status, why);
                }
            }
        }
        send(stream, &mut outbox)?;
    }
}

/// Sends the collected answers, and empties `outbox`. Makes no system call if `outbox`
/// is empty.
fn send(stream: &mut impl Write, outbox: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(outbox)?;
    outbox.clear();
    Ok(())
}

/// Sends a refusal, the last answer of a connection.
fn refuse(
    stream: &mut impl Write,
    inbox: &[u8],
    status: u16,
    why: &str,
) -> io::Result<()> {
    let mut outbox = Vec::new();
    Response::error(status, why).write(&mut outbox, inbox.starts_with(b"HEAD "), false);
    stream.write_all(&outbox)
}

// ANCHOR_END: serve
// ANCHOR: listen
/// Returns the value of the command-line option `name`, such as `--listen`, or `None`
/// if the option is missing. Options that a small server does not know are ignored, so
/// that it can be started with the command line of a complete server, such as `thread`.
pub fn option(name: &str) -> Option<String> {
    env::args().skip_while(|word| word != name).nth(1)
}

/// Listens on the address of the option `--listen`, and prints the address.
///
/// # Errors
///
/// The address is malformed or taken.
pub fn listen() -> io::Result<TcpListener> {
    let address = option("--listen").unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
// ANCHOR_END: listen

// ANCHOR: modules
pub mod deadline;
pub mod signals;
// ANCHOR_END: modules

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_out_of_a_buffer() {
        let bytes =
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET";
        let Parsed::Complete(request, length) = parse(bytes) else { panic!() };
        assert_eq!((request.method, request.path), ("POST", "/echo"));
        assert_eq!((request.content, &bytes[length..]), (&b"hello"[..], &b"GET"[..]));
        for cut in 0..length {
            assert_eq!(parse(&bytes[..cut]), Parsed::Partial, "cut at {cut}");
        }
    }

    #[test]
    fn two_meanings_are_refused() {
        for fields in ["Content-Length: +5", "Transfer-Encoding: chunked", "Host: y"] {
            let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
            assert!(matches!(parse(head.as_bytes()), Parsed::Refused(..)), "{fields}");
        }
    }
}
// ANCHOR_END: tests
