//! The head of a request: everything up to the empty line, and how the head determines
//! where the content ends.
//!
//! The crate httparse checks the grammar of the lines. This file decides what the lines
//! mean together (RFC 9112 sections 3, 6 and 9). Wherever two readings are possible, the
//! answer is 400: a proxy in front of the server may have chosen the other reading, and
//! such differences are how requests are smuggled.

use super::request::{Conditions, Method, Request, Version};
use super::response::HttpError;
use super::{Limits, decimal, limits::MAX_FIELDS, percent_signs_are_fine};
use memchr::{memchr, memchr_iter};
use std::mem::MaybeUninit;
use std::net::Ipv6Addr;
use std::ops::Range;

/// The way in which the content of a message is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// A complete head. It stores positions instead of borrows, so that the head can be
/// kept while the content arrives.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) framing: Framing,
    /// `Expect: 100-continue`: the client waits for an interim answer before it sends content.
    pub(super) expects_continue: bool,
    method: Method,
    version: Version,
    keep_alive: bool,
    path: Range<usize>,
    query: Option<Range<usize>>,
}

impl Head {
    /// Returns the request that consists of this head, whose bytes are `head`, and of
    /// the content `body`.
    pub(super) fn request<'b>(&self, head: &'b [u8], body: &'b [u8]) -> Request<'b> {
        Request {
            method: self.method,
            path: &head[self.path.clone()],
            query: self.query.clone().map(|query| &head[query]),
            version: self.version,
            keep_alive: self.keep_alive,
            head,
            body,
        }
    }
}

/// Parses the head at the start of `bytes`. Returns `None` if the head's end has not
/// arrived.
///
/// The result must not depend on how the bytes were split into reads. So each limit is
/// checked before the bytes beyond it are examined, and an error is returned only if
/// every continuation of `bytes` would lead to the same error.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, HttpError> {
    if bytes.starts_with(b"\r\n") || bytes.starts_with(b"\n") {
        return Err(HttpError::bad("an empty line where a request should begin"));
    }
    let window = &bytes[..bytes.len().min(limits.head + 1)];
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let fields = &mut fields[..limits.fields.min(MAX_FIELDS)];
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(window, fields);

    // The first header field begins right after the request line. If there is a field,
    // the end of the request line needs no search.
    let line = match (outcome, &*parsed.headers) {
        (Ok(httparse::Status::Complete(_)), [first, ..]) => {
            Some(offset(first.name, window) - 1)
        }
        _ => memchr(b'\n', bytes),
    };
    if line.unwrap_or(bytes.len()) >= limits.line + 2 {
        return Err(HttpError::new(414, "the request line is too long"));
    }
    let Some(line) = line else { return Ok(None) };
    let len = match outcome {
        Ok(httparse::Status::Complete(len)) if len <= limits.head => len,
        Ok(httparse::Status::Partial) if window.len() <= limits.head => return Ok(None),
        Ok(_) => return Err(HttpError::new(431, "the request's head is too large")),
        Err(error) => return Err(explain(error, &window[..line.min(window.len())])),
    };
    // httparse accepts LF alone as the end of a line, as RFC 9112 section 2.2 allows.
    // Other parsers do not accept such a line, so it is ambiguous.
    const BARE_LF: HttpError =
        HttpError::bad("a line ends with LF alone; HTTP ends its lines with CR LF");
    if !window[..len].ends_with(b"\r\n\r\n") {
        return Err(BARE_LF);
    }

    let version =
        if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let method = parsed.method.unwrap_or_default();
    if method == "CONNECT" {
        return Err(HttpError::new(501, "this is no proxy"));
    }
    let method = Method::from_name(method);
    let (path, query) = target(method, parsed.path.unwrap_or_default())
        .ok_or(HttpError::bad("the target is no path and no http:// URL"))?;
    let place = |part: &str| {
        let begin = offset(part, window);
        begin..begin + part.len()
    };
    let mut semantics = HeadSemantics::default();
    for field in &*parsed.headers {
        if !window[..offset(field.name, window)].ends_with(b"\r\n") {
            return Err(BARE_LF);
        }
        semantics.take(field.name, field.value)?;
    }
    match (version, semantics.hosts) {
        (Version::Http11, 0) => return Err(HttpError::bad("no Host field")),
        (_, 0 | 1) => {}
        _ => return Err(HttpError::bad("more than one Host field")),
    }
    let keep_alive =
        !semantics.close && (version == Version::Http11 || semantics.keep_alive);
    Ok(Some(Head {
        len,
        framing: semantics.framing(version, limits)?,
        expects_continue: semantics.expects_continue && version == Version::Http11,
        method,
        version,
        keep_alive,
        path: place(path),
        query: query.map(place),
    }))
}

/// Returns the offset in bytes of `part` in `window`, of which it is a slice.
fn offset(part: &str, window: &[u8]) -> usize {
    part.as_ptr() as usize - window.as_ptr() as usize
}

/// Turns an error of httparse into a refusal that tells the sender what is wrong.
fn explain(error: httparse::Error, request_line: &[u8]) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::new(431, "too many fields"),
        // A request line has three words, the last of which is the version. A fourth
        // word means that the target contains a space.
        httparse::Error::Version => match request_line.trim_ascii_end() {
            line if memchr_iter(b' ', line).count() != 2 => {
                HttpError::bad("a request line has three words")
            }
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                HttpError::new(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
            }
            _ => HttpError::bad(
                "the request line does not end with a version such as HTTP/1.1",
            ),
        },
        httparse::Error::HeaderName => HttpError::bad("a malformed field name"),
        httparse::Error::HeaderValue => HttpError::bad("a malformed field value"),
        _ => HttpError::bad("a malformed request line"),
    }
}

/// Splits a request target into path and query (RFC 9112 section 3.2). Returns `None` if
/// the target is malformed.
fn target(method: Method, target: &str) -> Option<(&str, Option<&str>)> {
    let (path, query) = match kinds(target.as_bytes()) & (QUERY | NOT_IN_TARGET) {
        0 => (target, None),
        QUERY => (target.split_once('?')).map(|(path, query)| (path, Some(query)))?,
        _ => return None,
    };
    if path.starts_with('/') {
        return Some((path, query));
    }
    if target == "*" && method == Method::Options {
        return Some((target, None));
    }
    // The absolute form, `http://host/path`, is for proxies, but every server must
    // understand it.
    let (scheme, rest) = path.split_at_checked(7)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !scheme.eq_ignore_ascii_case("http://") || !is_host(authority.as_bytes()) {
        return None;
    }
    // An empty path is the same as a slash (RFC 9110 section 4.2.3). The returned path
    // must be a part of the target, so it is the second slash of `http://`.
    Some((if path.is_empty() { &target[6..7] } else { path }, query))
}

/// The combined meaning of a head's fields.
#[derive(Default)]
struct HeadSemantics {
    hosts: usize,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    codings: Option<Codings>,
    expects_continue: bool,
}

/// The codings that `Transfer-Encoding` lists, over all its lines (RFC 9112 section 6.1).
#[derive(Clone, Copy, Default)]
struct Codings {
    all: usize,
    chunked: usize,
    last_is_chunked: bool,
}

impl HeadSemantics {
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), HttpError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // Only five fields matter here. Comparing the lengths of names first skips
        // nearly all other fields without comparing any text.
        match name.len() {
            4 if is("host") => {
                self.hosts += 1;
                if !is_host(value) {
                    return Err(HttpError::bad("the Host field names no host"));
                }
            }
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HttpError::new(
                        417,
                        "the only expectation known here is 100-continue",
                    ));
                }
                self.expects_continue = true;
            }
            10 if is("connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is("content-length") => {
                let length = decimal(value).ok_or(BAD_LENGTH)?;
                if self.length.replace(length).is_some() {
                    return Err(HttpError::bad("more than one Content-Length"));
                }
            }
            17 if is("transfer-encoding") => {
                let codings = self.codings.get_or_insert_default();
                for coding in list(value) {
                    codings.last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                    codings.chunked += usize::from(codings.last_is_chunked);
                    codings.all += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    // ANCHOR: framing
    /// Returns how the content is delimited (RFC 9112 section 6.3). Where the RFC says
    /// "ought to be handled as an error", this function returns an error.
    fn framing(&self, version: Version, limits: &Limits) -> Result<Framing, HttpError> {
        match (self.codings, self.length) {
            (Some(_), Some(_)) => {
                Err(HttpError::bad("both Content-Length and Transfer-Encoding"))
            }
            (Some(_), None) if version == Version::Http10 => {
                Err(HttpError::bad("HTTP/1.0 has no Transfer-Encoding"))
            }
            (Some(Codings { all: 1, chunked: 1, .. }), None) => Ok(Framing::Chunked),
            (Some(Codings { chunked: 1, last_is_chunked: true, .. }), None) => {
                Err(HttpError::new(501, "an unknown transfer coding"))
            }
            (Some(_), None) => {
                Err(HttpError::bad("the last transfer coding is not chunked, once"))
            }
            (None, Some(length)) if length > limits.body => Err(TOO_LARGE),
            (None, Some(0) | None) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
        }
    }
    // ANCHOR_END: framing
}

const BAD_LENGTH: HttpError = HttpError::bad("a malformed Content-Length");
pub(super) const TOO_LARGE: HttpError =
    HttpError::new(413, "the request's content is too large");

impl<'b> Request<'b> {
    /// Returns the request's conditions, such as `If-Match`. The head is searched for
    /// them by this call, not when it is parsed: few requests have conditions, and only
    /// the code that serves files uses them.
    pub fn conditions(&self) -> Conditions<'b> {
        conditions(self.head)
    }

    /// Returns the value of the field `name`, which may occur only once. An absent
    /// field is `None`; a field that occurs twice has an empty value.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        field(self.head, name)
    }
}

/// Returns the conditions in a head that [`parse`] has accepted.
fn conditions(head: &[u8]) -> Conditions<'_> {
    let mut conditions = Conditions::default();
    each(head, |name, value| match name.to_ascii_lowercase().as_str() {
        "range" => once(&mut conditions.range, value),
        "if-match" => conditions.if_match.add(value),
        "if-range" => once(&mut conditions.if_range, value),
        "if-none-match" => conditions.if_none_match.add(value),
        "if-modified-since" => once(&mut conditions.if_modified_since, value),
        "if-unmodified-since" => once(&mut conditions.if_unmodified_since, value),
        _ => {}
    });
    conditions
}

/// Returns the value of the field `wanted` in a head that [`parse`] has accepted. An
/// absent field is `None`; a field that occurs twice has an empty value.
fn field<'b>(head: &'b [u8], wanted: &str) -> Option<&'b [u8]> {
    let mut found = None;
    each(head, |name, value| {
        if name.eq_ignore_ascii_case(wanted) {
            once(&mut found, value);
        }
    });
    found
}

/// Calls `take` with the name and value of each field in a head that [`parse`] has
/// accepted.
fn each<'b>(head: &'b [u8], mut take: impl FnMut(&'b str, &'b [u8])) {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    if parsed.parse_with_uninit_headers(head, &mut fields).is_ok() {
        // The same parser has accepted this head before, so an error is impossible.
        parsed
            .headers
            .iter()
            .for_each(|field| take(field.name, field.value.trim_ascii()));
    }
}

/// Stores the value of a field that may occur only once. A second occurrence makes the
/// value empty.
fn once<'b>(field: &mut Option<&'b [u8]>, value: &'b [u8]) {
    *field = Some(if field.is_some() { b"" } else { value });
}

/// Returns the members of a comma-separated list, without empty members (RFC 9110
/// section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Returns whether `value` is `uri-host [ ":" port ]` (RFC 9110 section 7.2) with a host
/// that is not empty (section 4.2.1).
fn is_host(value: &[u8]) -> bool {
    let host = match value.iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(colon) if value[colon] == b':' => &value[..colon],
        _ => value,
    };
    match host {
        [] => false,
        [b'[', address @ .., b']'] => is_address(address),
        name => match kinds(name) & (NOT_IN_NAME | PERCENT) {
            0 => true,
            PERCENT => percent_signs_are_fine(name),
            _ => false,
        },
    }
}

/// Returns whether `text` is an address that may stand in brackets: an IPv6 address, or
/// an address of a future version, such as `v7.name` (RFC 3986 section 3.2.2).
fn is_address(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    match text.strip_prefix(['v', 'V']).map(|future| future.split_once('.')) {
        None => text.parse::<Ipv6Addr>().is_ok(),
        Some(None) => false,
        Some(Some((version, address))) => {
            let in_name =
                |part: &str| kinds(part.as_bytes()) & (NOT_IN_NAME | PERCENT) == 0;
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !address.is_empty()
                && address.split(':').all(in_name)
        }
    }
}

// The kinds of bytes that decide whether a target or a host is valid (RFC 3986 section 3),
// one bit each.
const QUERY: u8 = 1; // begins a query
const NOT_IN_TARGET: u8 = 2;
const PERCENT: u8 = 4;
const NOT_IN_NAME: u8 = 8;

static KINDS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'?' => QUERY | NOT_IN_NAME,
            b'%' => PERCENT,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => 0,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';'
            | b'=' => 0,
            b'#' | 128.. => NOT_IN_TARGET | NOT_IN_NAME,
            _ => NOT_IN_NAME,
        };
        byte += 1;
    }
    table
};

/// Returns the kinds of bytes that occur in `text`, one bit for each kind. The loop
/// always examines every byte: with an exit at the first invalid byte, it would execute
/// three times as many instructions for valid text.
fn kinds(text: &[u8]) -> u8 {
    text.iter().fold(0, |kinds, &byte| kinds | KINDS[usize::from(byte)])
}
