//! Parses the head of a request, line by line. A head with more than one interpretation is an
//! error.

use crate::answer::HttpError;
use crate::error::{bad, refuse};
use crate::fields::{self, Fields, token};
use crate::framing::{self, Framing};
use crate::mutations::Mutation;
use crate::server::Server;
use crate::site::decode_part;
use crate::switch::wrong;
use crate::wire::{Deadline, End, LineError, Wire};

pub(crate) struct Head {
    pub(crate) method: String,
    /// The request's path, still percent-encoded, or `*`.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) modern: bool,
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects: bool,
    /// The size of the head on the wire, in bytes.
    pub(crate) size: usize,
}

/// Reads one head. Sets `head_only` if the method is HEAD, also when the head is refused, because
/// an error response to HEAD has no content either.
pub(crate) fn read(
    wire: &mut Wire<'_>,
    server: &Server,
    head_only: &mut bool,
) -> Result<Head, End> {
    let options = &server.options;
    let deadline = if wrong(Mutation::NoHeadDeadline) {
        Deadline::never()
    } else if wrong(Mutation::HeadDeadlinePerByte) {
        Deadline::each(options.head_timeout)
    } else {
        Deadline::after(options.head_timeout)
    };
    if wrong(Mutation::HeadInOneRead)
        && !wire.input.windows(4).any(|end| end == b"\r\n\r\n")
    {
        return bad("the head arrived in more than one read");
    }
    // Even a request that is refused before its request line has ended may be a HEAD, whose
    // response has no content.
    let mut line = request_line(wire, options.max_line, deadline)
        .inspect_err(|_| *head_only = wire.input.starts_with(b"HEAD "))?;
    if line.is_empty() && !wrong(Mutation::EmptyLineRefused) {
        // Some old clients send an empty line after a POST (RFC 9112 section 2.2). If the client
        // closes after that line, it has not begun another request.
        if wire.input.is_empty() && wire.half_closed() {
            return Err(End::Gone);
        }
        line = request_line(wire, options.max_line, deadline)
            .inspect_err(|_| *head_only = wire.input.starts_with(b"HEAD "))?;
    }
    *head_only = line.starts_with(b"HEAD ");
    let (method, target, modern) = split_line(&line)?;
    let (path, query) = split_target(&method, &target)?;
    let room = options
        .max_head
        .checked_sub(line.len() + 2)
        .ok_or(End::Refused(HttpError::closing(431, "the head is too large")))?;
    let (fields, used) = fields::read(wire, room, options.max_fields, deadline)?;
    check_host(&fields, modern)?;
    let framing = framing::of(&fields, modern)?;
    if let Some(expectation) = fields.list("Expect")
        && (!expectation.eq_ignore_ascii_case("100-continue")
            || (wrong(Mutation::CaseSensitiveExpect) && expectation != "100-continue"))
        && !wrong(Mutation::AnyExpectation)
    {
        return refuse(417, "the only expectation implemented is 100-continue");
    }
    let expects = fields.has_token("Expect", "100-continue")
        && (modern || wrong(Mutation::ContinueToHttp10));
    let close = fields.has_token("Connection", "close") && !wrong(Mutation::IgnoresClose);
    let keep_alive_requested = fields.has_token("Connection", "keep-alive");
    Ok(Head {
        keep_alive: !close
            && (modern
                || keep_alive_requested
                || wrong(Mutation::Http10KeepAliveUnasked)),
        size: line.len() + 2 + used,
        method,
        path,
        query,
        modern,
        fields,
        framing,
        expects,
    })
}

fn request_line(
    wire: &mut Wire<'_>,
    max: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, End> {
    let room = if wrong(Mutation::UnboundedLine) {
        usize::MAX
    } else {
        max + 2 - usize::from(wrong(Mutation::LineOffByOne))
    };
    wire.line(room, deadline).or_else(|why| match why {
        LineError::TooLong => refuse(414, "the request line is too long"),
        LineError::End(ending) => Err(ending),
    })
}

/// Splits a request line into the method, the target, and whether the version is HTTP/1.1.
fn split_line(line: &[u8]) -> Result<(String, String, bool), End> {
    let text = String::from_utf8_lossy(line);
    let parts: Vec<&str> = if wrong(Mutation::LaxRequestLine) {
        text.split_whitespace().collect()
    } else {
        text.split(' ').collect()
    };
    let [method, target, version] = parts[..] else {
        return bad(
            "a request line is METHOD TARGET VERSION with single spaces between them",
        );
    };
    if !token(method.as_bytes()) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad("the request line has a forbidden character");
    }
    let modern = match version.as_bytes() {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', x, b'.', y]
            if x.is_ascii_digit() && y.is_ascii_digit() =>
        {
            if !wrong(Mutation::AnyVersion) {
                return refuse(505, "only HTTP/1.1 and HTTP/1.0 are implemented");
            }
            true
        }
        _ => return bad("the version is not an HTTP version"),
    };
    let method = if wrong(Mutation::AnyCaseMethod) {
        method.to_ascii_uppercase()
    } else {
        method.to_owned()
    };
    Ok((method, target.to_owned(), modern))
}

/// Splits a request target into the path and, if there is one, the query. The target is a path, an
/// `http://` URL, or, for OPTIONS, `*`.
fn split_target(method: &str, target: &str) -> Result<(String, Option<String>), End> {
    if method == "CONNECT" {
        return refuse(501, "this server is not a proxy");
    }
    if target == "*" && method == "OPTIONS" {
        return Ok((target.to_owned(), None));
    }
    let scheme = target.get(..7).unwrap_or("");
    let origin = if target.starts_with('/') {
        target.to_owned()
    } else if scheme.eq_ignore_ascii_case("http://") && !wrong(Mutation::NoAbsoluteForm) {
        let rest = &target[7..];
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if !is_host(&rest[..end]) && !wrong(Mutation::UrlHostUnchecked) {
            return bad("the target URL has no host");
        }
        format!("{}{}", if rest[end..].starts_with('/') { "" } else { "/" }, &rest[end..])
    } else {
        return bad("a target must be a path or an http:// URL");
    };
    if origin.contains('#') {
        return bad("a target must not have a fragment");
    }
    Ok(match origin.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (origin, None),
    })
}

fn check_host(fields: &Fields, modern: bool) -> Result<(), End> {
    let hosts: Vec<&str> = fields.all("Host").collect();
    match hosts[..] {
        [] if modern && !wrong(Mutation::NoHost) => bad("HTTP/1.1 needs a Host"),
        [] => Ok(()),
        [host] if is_host(host) || wrong(Mutation::AnyHost) => Ok(()),
        [_] => bad("the Host is not a valid host"),
        _ if wrong(Mutation::TwoHosts) => Ok(()),
        _ => bad("there is more than one Host"),
    }
}

/// Returns whether `text` is a valid host, such as `localhost`, `1.2.3.4` or `[::1]`, with or
/// without a port (`localhost:8080`).
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rfind(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => is_address(inner),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte == b'%' || in_name(byte))
                && (decode_part(host).is_some() || wrong(Mutation::HostPercentUnchecked))
        }
    };
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && (port.is_empty() || port.parse::<u16>().is_ok())
        });
    host_fits && port_fits
}

/// Returns whether `text` is an IPv6 address, or an IPvFuture address such as `v7.x`.
fn is_address(text: &str) -> bool {
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if wrong(Mutation::AnyAddress) && !text.is_empty() && hexadecimal(text) {
        return true;
    }
    match text.split_once('.') {
        Some((version, rest)) if version.starts_with(['v', 'V']) => {
            version.len() > 1
                && hexadecimal(&version[1..])
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte == b':' || in_name(byte))
                && !wrong(Mutation::FutureAddressRefused)
        }
        _ => text.parse::<std::net::Ipv6Addr>().is_ok(),
    }
}

/// Returns whether `byte` is allowed in a host name without percent-encoding.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}
