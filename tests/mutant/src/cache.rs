//! The field `Cache-Control`, with `--max-age`: a cache may keep files, must revalidate HTML pages,
//! and must not store the counters of `/stats`; other responses have no such field.

use crate::answer::Response;
use crate::head::Head;
use crate::mutations::Mutation;
use crate::switch::wrong;

/// Adds `Cache-Control` to a response to the request `head`.
pub(crate) fn add(response: Response, head: &Head, seconds: u64) -> Response {
    let seconds = if wrong(Mutation::MaxAgeFixed) { 60 } else { seconds };
    let is_page = head.path.ends_with('/') || head.path.ends_with(".html");
    // A response for a file (200, 206 or 304) is recognized by its ETag, which no other response
    // has.
    let is_file = response.fields.iter().any(|(name, _)| *name == "ETag");
    let silent = match response.status {
        206 => wrong(Mutation::MaxAgeNotInParts),
        304 => wrong(Mutation::MaxAgeNotWith304),
        _ => head.method == "HEAD" && wrong(Mutation::MaxAgeNotWithHead),
    };
    match head.path.as_str() {
        "/stats" if !wrong(Mutation::MaxAgeForStats) => {
            response.with("Cache-Control", "no-store")
        }
        _ if wrong(Mutation::MaxAgeEverywhere) && !is_page => {
            response.with("Cache-Control", format!("max-age={seconds}"))
        }
        _ if !is_file || silent => response,
        _ if is_page && !wrong(Mutation::MaxAgeForPages) => {
            response.with("Cache-Control", "no-cache")
        }
        _ => response.with("Cache-Control", format!("max-age={seconds}")),
    }
}
