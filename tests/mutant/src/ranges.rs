//! One range of bytes: understood, ignored, or beyond the end.

use std::fs::File;

use crate::answer::{Body, Refusal, Response};
use crate::mutations::Mutation;
use crate::switch::wrong;

/// What a `Range` field asks for.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    /// From the first byte to the last, which belongs to it.
    Part(u64, u64),
    Unsatisfiable,
}

/// `None` if the field is to be ignored.
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
            // The whole of nothing is better sent as that.
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

/// A number too large to hold is still a number, beyond every file.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().unwrap_or(u64::MAX))
}

/// 206 or 416.
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
            let refusal =
                Response::from(Refusal::kept(416, "the file ends before that range"));
            if wrong(Mutation::UnsatisfiableWithoutLength) {
                return refusal;
            }
            refusal.with("Content-Range", format!("bytes */{len}"))
        }
    }
}
