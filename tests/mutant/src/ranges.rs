//! Range requests: a single byte range is served, ignored, or unsatisfiable.

use std::fs::File;

use crate::answer::{Body, HttpError, Response};
use crate::mutations::Mutation;
use crate::switch::wrong;

/// The range of bytes that a `Range` field requests.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    /// The offsets of the first and the last byte, both included.
    Part(u64, u64),
    Unsatisfiable,
}

/// Parses a `Range` field for a file of `len` bytes. Returns `None` if the field must be ignored.
pub(crate) fn parse(field: &str, len: u64) -> Option<Range> {
    let (unit, spec) = field.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let spec =
        if wrong(Mutation::FirstOfRanges) { spec.split(',').next()? } else { spec };
    let (first, last) = spec.trim().split_once('-')?;
    if first.is_empty() && !wrong(Mutation::SuffixAsPrefix) {
        return match number(last)? {
            0 => Some(Range::Unsatisfiable),
            // A suffix of an empty file is the whole file, which is sent as a 200.
            _ if len == 0 => None,
            suffix => Some(Range::Part(len - suffix.min(len), len - 1)),
        };
    }
    let first = if first.is_empty() { 0 } else { number(first)? };
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return wrong(Mutation::BackwardRange).then_some(Range::Unsatisfiable);
    }
    if first >= len {
        return Some(Range::Unsatisfiable);
    }
    if last >= len && wrong(Mutation::LongRangeRefused) && last != u64::MAX {
        return Some(Range::Unsatisfiable);
    }
    Some(Range::Part(first, last.min(len - 1)))
}

/// Parses a number. A number too large for a `u64` is valid and becomes `u64::MAX`, which lies
/// beyond the end of every file. Returns `None` if the text is not all digits.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().unwrap_or(u64::MAX))
}

/// Responds with 206, or with 416 if the range is unsatisfiable.
pub(crate) fn respond(range: Range, file: File, len: u64) -> Response {
    match range {
        Range::Part(first, last) => {
            let count = last - first + u64::from(!wrong(Mutation::RangeOffByOne));
            let body = Body::File { file, at: first, len: count };
            Response::new(206, body)
                .with("Content-Range", format!("bytes {first}-{last}/{len}"))
        }
        Range::Unsatisfiable if wrong(Mutation::PartialUnsatisfiable) => {
            let body = Body::File { file, at: 0, len: 0 };
            Response::new(206, body).with("Content-Range", format!("bytes */{len}"))
        }
        Range::Unsatisfiable => {
            let error = Response::from(HttpError::kept(
                416,
                "the file ends before the range begins",
            ));
            if wrong(Mutation::UnsatisfiableWithoutLength) {
                return error;
            }
            error.with("Content-Range", format!("bytes */{len}"))
        }
    }
}
