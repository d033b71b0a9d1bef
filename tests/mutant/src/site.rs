//! The application: its routes, and the methods each of them allows.

use std::time::Duration;

use crate::answer::{Body, HttpError, Response};
use crate::cache;
use crate::files;
use crate::head::Head;
use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

const READ: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";

/// Responds to one complete request.
pub(crate) fn respond(head: &Head, content: Vec<u8>, server: &Server) -> Response {
    let response = route(head, content, server);
    match server.options.max_age {
        Some(seconds) => cache::add(response, head, seconds),
        None => response,
    }
}

/// Returns whether the request's target names a file, rather than a route.
#[cfg(target_os = "linux")]
pub(crate) fn is_file(head: &Head) -> bool {
    const ROUTES: [&str; 6] = ["plaintext", "echo", "sleep", "bytes", "stats", "panic"];
    let first = head.path.split('/').nth(1).unwrap_or_default();
    head.path != "*" && decode_part(first).is_none_or(|first| !ROUTES.contains(&&*first))
}

fn route(head: &Head, content: Vec<u8>, server: &Server) -> Response {
    let method = head.method.as_str();
    let known = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"];
    if !known.contains(&method) {
        return HttpError::kept(501, "the method is not implemented").into();
    }
    if head.path == "*" {
        return Response::new(204, Body::None).with("Allow", "GET, HEAD, POST, OPTIONS");
    }
    let mut path = head.path.clone();
    if let Some(query) = &head.query
        && wrong(Mutation::QueryInPath)
    {
        path = format!("{path}?{query}");
    }
    if wrong(Mutation::SlashDecoded) {
        path = path.replace("%2F", "/");
    }
    let Some(parts) = decode(&path) else {
        return HttpError::kept(400, "a percent sign must be followed by two hex digits")
            .into();
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let allow = if parts == ["echo"] { POST } else { READ };
    match method {
        "OPTIONS" => {}
        "POST" if allow == POST => {}
        "GET" | "HEAD" if allow == READ => {}
        _ => {
            let error = Response::from(HttpError::kept(
                405,
                "the method is not allowed for this path",
            ));
            return if wrong(Mutation::RefusalWithoutAllow) {
                error
            } else {
                error.with("Allow", allow)
            };
        }
    }
    let route: Vec<&str> = path.split('/').skip(1).collect();
    let route = if wrong(Mutation::RoutesEncoded) { &route } else { &parts };
    let response = match route[..] {
        ["plaintext"] => Response::new(200, Body::Bytes(b"Hello, World!".to_vec()))
            .with("Content-Type", "text/plain"),
        ["echo"] if wrong(Mutation::EchoAsText) => {
            Response::text(200, String::from_utf8_lossy(&content))
        }
        ["echo"] => Response::new(200, Body::Bytes(content))
            .with("Content-Type", "application/octet-stream"),
        ["sleep", ms] => sleep(ms),
        ["bytes", count] => bytes(count),
        ["stats"] => Response::new(
            200,
            Body::Bytes(server.stats.json(server.options.elastic.is_some()).into_bytes()),
        )
        .with("Content-Type", "application/json"),
        ["panic"] if method != "OPTIONS" => panic!("the client asked for a panic"),
        ["panic"] => Response::new(200, Body::None),
        _ => files::respond(&parts, head, server),
    };
    if method == "OPTIONS" && response.status == 200 {
        return Response::new(204, Body::None).with("Allow", allow);
    }
    response
}

fn sleep(text: &str) -> Response {
    let Some(ms) = number(text, 60000) else {
        return HttpError::kept(400, "/sleep/MS takes milliseconds, at most 60000")
            .into();
    };
    let mut response = Response::text(200, format!("slept {ms} ms\n"));
    response.delay = Duration::from_millis(ms);
    response
}

fn bytes(text: &str) -> Response {
    let Some(count) = number(text, 1 << 30) else {
        return HttpError::kept(400, "/bytes/N takes a number, at most 1073741824")
            .into();
    };
    Response::new(200, Body::Pattern(count))
        .with("Content-Type", "application/octet-stream")
}

fn number(text: &str, most: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits && !wrong(Mutation::SignedNumber) {
        return None;
    }
    let number = text.parse().ok()?;
    if wrong(Mutation::ClampsNumber) {
        return Some(most.min(number));
    }
    (number <= most).then_some(number)
}

/// Splits the path into segments and decodes each once, so that an encoded slash stays inside
/// its segment. Returns `None` for an invalid percent-encoding.
fn decode(path: &str) -> Option<Vec<String>> {
    path.split('/').skip(1).map(decode_part).collect()
}

/// Percent-decodes one segment. Returns `None` if a percent sign is not followed by two hex digits.
pub(crate) fn decode_part(part: &str) -> Option<String> {
    if wrong(Mutation::NeverDecodes) {
        return Some(part.to_owned());
    }
    let mut bytes = part.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (digit(bytes.next()), digit(bytes.next())) {
            // The value of two hex digits is at most 255, so it fits into a `u8`.
            (Some(high), Some(low)) => decoded.push((high * 16 + low) as u8),
            _ if wrong(Mutation::LaxPercent) => decoded.push(b'%'),
            _ => return None,
        }
    }
    // Each byte becomes the character with the same number. The bytes need not be UTF-8, because a
    // file name need not be.
    Some(decoded.into_iter().map(char::from).collect())
}
