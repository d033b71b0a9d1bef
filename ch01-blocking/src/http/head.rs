//! The head of a request: everything up to the empty line, and what it means for
//! the bytes behind it.
//!
//! httparse knows the grammar of the lines. What they mean together is decided
//! here (RFC 9112 sections 3, 6 and 9), and wherever two readings are possible the
//! answer is 400: a proxy in front of us may have chosen the other one, and the
//! difference is how requests are smuggled.

use super::line_scanner::LineScanner;
use super::request::{Conditions, Method, Request, Version};
use super::response::HttpError;
use super::{Limits, decimal, limits::MAX_FIELDS, percent_signs_are_fine};
use memchr::{memchr, memchr_iter};
use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

/// How the content of a message is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// A complete head.
pub(super) struct Head<'b> {
    pub(super) framing: Framing,
    /// `Expect: 100-continue`: the client waits for a word before it sends its content.
    pub(super) expects_continue: bool,
    /// The request, its content still missing.
    pub(super) request: Request<'b>,
}

/// Parses the head at the start of `bytes`, or says `None` if its end has not come.
///
/// The verdict must not depend on how the bytes were cut. So each limit is
/// checked before the bytes beyond it are looked at, and an error counts only
/// where every longer input has it too.
pub(super) fn parse<'b>(
    bytes: &'b [u8],
    lines: &LineScanner,
    limits: &Limits,
) -> Result<Option<Head<'b>>, HttpError> {
    if lines.first.unwrap_or(bytes.len()) >= limits.line + 2 {
        return Err(HttpError::new(414, "the request line is too long"));
    }
    let Some(line_end) = lines.first else { return Ok(None) };
    if line_end <= 1 {
        return Err(HttpError::bad("an empty line where a request should begin"));
    }
    let window = &bytes[..bytes.len().min(limits.head + 1)];

    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let fields = &mut fields[..limits.fields.min(MAX_FIELDS)];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(window, fields) {
        Ok(httparse::Status::Complete(len)) if len <= limits.head => len,
        Ok(httparse::Status::Partial) if window.len() <= limits.head => return Ok(None),
        Ok(_) => return Err(HttpError::new(431, "the request's head is too large")),
        Err(error) => return Err(explain(error, &window[..line_end.min(window.len())])),
    };
    // httparse takes LF alone for the end of a line, as RFC 9112 section 2.2 allows.
    // Not everybody does, so it is ambiguous.
    if lines.bare_lf {
        return Err(HttpError::bad(
            "a line ends with LF alone; HTTP ends its lines with CR LF",
        ));
    }

    let version =
        if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let method = parsed.method.unwrap_or_default();
    if method == "CONNECT" {
        return Err(HttpError::new(501, "this is no proxy"));
    }
    let method = Method::from_name(method);
    let (path, query) = target(method, parsed.path.unwrap_or_default())?;
    let semantics = HeadSemantics::of(parsed.headers, version)?;
    let keep_alive =
        !semantics.close && (version == Version::Http11 || semantics.keep_alive);
    Ok(Some(Head {
        framing: semantics.framing(version, limits)?,
        expects_continue: semantics.expects_continue && version == Version::Http11,
        request: Request {
            method,
            path,
            query,
            version,
            keep_alive,
            head: &window[..len],
            body: &[],
        },
    }))
}

/// Turns what httparse found into a refusal that helps whoever sent it.
fn explain(error: httparse::Error, request_line: &[u8]) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::new(431, "too many fields"),
        // Three words, of which the last is a version? A fourth means a space in the
        // target.
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

/// Path and query of a request target (RFC 9112 section 3.2).
fn target(method: Method, target: &str) -> Result<(&str, Option<&str>), HttpError> {
    const BAD: HttpError = HttpError::bad("the target is no path and no http:// URL");
    if target == "*" && method == Method::Options {
        return Ok((target, None));
    }
    let is_bad = |&byte: &u8| byte == b'#' || !byte.is_ascii();
    let special = target.bytes().position(|byte| byte == b'?' || is_bad(&byte));
    let (path, query) = match special {
        None => (target, None),
        Some(at) if target.as_bytes()[at..].iter().any(is_bad) => return Err(BAD),
        Some(at) => (&target[..at], Some(&target[at + 1..])),
    };
    if path.starts_with('/') {
        return Ok((path, query));
    }
    // The absolute form is for proxies, but every server must understand it.
    let rest = match path.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => rest,
        _ => return Err(BAD),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !is_host(authority.as_bytes()) {
        return Err(BAD);
    }
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// What the fields say together.
#[derive(Default)]
struct HeadSemantics {
    hosts: usize,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    codings: Option<Codings>,
    expects_continue: bool,
}

/// What `Transfer-Encoding` lists, on however many lines (RFC 9112 section 6.1).
#[derive(Clone, Copy, Default)]
struct Codings {
    all: usize,
    chunked: usize,
    last_is_chunked: bool,
}

impl HeadSemantics {
    fn of(
        fields: &[httparse::Header<'_>],
        version: Version,
    ) -> Result<HeadSemantics, HttpError> {
        let mut semantics = HeadSemantics::default();
        for field in fields {
            semantics.take(field.name, field.value.trim_ascii())?;
        }
        match (version, semantics.hosts) {
            (Version::Http11, 0) => Err(HttpError::bad("no Host field")),
            (_, 0 | 1) => Ok(semantics),
            _ => Err(HttpError::bad("more than one Host field")),
        }
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), HttpError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // Most fields mean nothing to us, and the length alone tells that of most of
        // them.
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
    /// RFC 9112 section 6.3, with "ought to be handled as an error" read as "is one".
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

/// The conditions in a head that was parsed before.
pub(super) fn conditions(head: &[u8]) -> Conditions<'_> {
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

/// A field of a head that was parsed before, one that may stand only once.
pub(super) fn field<'b>(head: &'b [u8], wanted: &str) -> Option<&'b [u8]> {
    let mut found = None;
    each(head, |name, value| {
        if name.eq_ignore_ascii_case(wanted) {
            once(&mut found, value);
        }
    });
    found
}

/// The fields of a head that was parsed before.
fn each<'b>(head: &'b [u8], mut take: impl FnMut(&'b str, &'b [u8])) {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    if parsed.parse_with_uninit_headers(head, &mut fields).is_ok() {
        // Always so: it is the same parser.
        parsed
            .headers
            .iter()
            .for_each(|field| take(field.name, field.value.trim_ascii()));
    }
}

/// A field that may stand only once. Twice, it says nothing.
fn once<'b>(field: &mut Option<&'b [u8]>, value: &'b [u8]) {
    *field = Some(if field.is_some() { b"" } else { value });
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 section 7.2), and there is a host
/// in it (section 4.2.1).
fn is_host(value: &[u8]) -> bool {
    let is_port = |port: &[u8]| match port {
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        rest => rest.is_empty(),
    };
    if let [b'[', rest @ ..] = value {
        let Some(end) = memchr(b']', rest) else { return false };
        return is_address(&rest[..end]) && is_port(&rest[end + 1..]);
    }
    let name = value.iter().position(|&byte| !IN_NAME[usize::from(byte)]);
    let (name, port) = value.split_at(name.unwrap_or(value.len()));
    !name.is_empty() && is_port(port) && percent_signs_are_fine(name)
}

/// Returns whether `text` may stand in brackets: an IPv6 address, or one of a version that
/// is yet to come, such as `v7.name` (RFC 3986 section 3.2.2).
fn is_address(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    match text.strip_prefix(['v', 'V']).map(|future| future.split_once('.')) {
        None => text.parse::<Ipv6Addr>().is_ok(),
        Some(None) => false,
        Some(Some((version, address))) => {
            let in_address =
                |byte: u8| byte == b':' || byte != b'%' && IN_NAME[usize::from(byte)];
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !address.is_empty()
                && address.bytes().all(in_address)
        }
    }
}

/// The bytes that a host's name may have (RFC 3986 section 3.2.2).
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'%'
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        byte += 1;
    }
    table
};
