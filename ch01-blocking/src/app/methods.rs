//! Answers that list the methods a resource supports.

use crate::http::{ExtraHeader, Response};

/// The methods of a read-only resource, as its `Allow` header lists them.
pub(crate) const READ_ONLY: &str = "GET, HEAD, OPTIONS";

/// Returns an answer whose `Allow` header is `methods`. `status` is 204 for an OPTIONS
/// request, 405 for a method that the resource does not support.
pub(crate) fn allow(status: u16, methods: &'static str) -> Response {
    let mut response = match status {
        405 => Response::text(405, format!("405 Method Not Allowed: only {methods}\n")),
        _ => Response::new(status),
    };
    response.extra = ExtraHeader::Allow(methods);
    response
}
