//! Conditional and range requests: requests from a client that already has a copy of a
//! file, or of a part of it.

use crate::http::{Conditions, FileVersion, HttpDate, Method, decimal};
use std::time::SystemTime;

/// The result of evaluating a request's conditions: which part of the file is sent, if
/// any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// The answer contains the whole file.
    Whole,
    /// The answer contains the bytes from the first offset to the second, both included.
    Part(u64, u64),
    /// 304: the client's copy is current.
    NotModified,
    /// 412: the file is not the version that the client requires.
    Failed,
    /// 416: the file has no byte of the requested range.
    Unsatisfiable,
}

/// Evaluates the conditions of a request for a file whose version is `version`, in the
/// order of RFC 9110 section 13.2.2.
pub(crate) fn evaluate(
    asked: &Conditions<'_>,
    method: Method,
    version: &FileVersion,
) -> Precondition {
    let modified = HttpDate::from(version.modified);
    if !asked.if_match.is_empty() {
        // `If-Match` demands a strong comparison, in which a weak tag never matches.
        if !asked
            .if_match
            .iter()
            .any(|tags| any_tag(tags, |tag| !tag.weak && tag.is(version)))
        {
            return Precondition::Failed;
        }
    } else if let Some(date) = asked.if_unmodified_since.and_then(date)
        && modified > date
    {
        return Precondition::Failed;
    }
    if !asked.if_none_match.is_empty() {
        if asked.if_none_match.iter().any(|tags| any_tag(tags, |tag| tag.is(version))) {
            return Precondition::NotModified;
        }
    } else if let Some(date) = asked.if_modified_since.and_then(date)
        && modified <= date
    {
        return Precondition::NotModified;
    }
    match asked.range {
        // Only a GET request can ask for a range (RFC 9110 section 14.2).
        Some(range) if method == Method::Get && if_range(asked, version) => {
            part(range, version.len)
        }
        _ => Precondition::Whole,
    }
}

/// Returns whether `If-Range` permits a partial answer: the field is absent, or it has
/// the entity tag of `version` (RFC 9110 section 13.1.5).
///
/// A date in `If-Range` never matches. A date is a strong validator only if the server
/// knows that the file has not changed twice within that second (section 8.8.2.2), and
/// a file system records only the last change. No client needs a date: every file is
/// sent with a tag, and a client that has a tag must not send a date.
fn if_range(asked: &Conditions<'_>, version: &FileVersion) -> bool {
    asked.if_range.is_none_or(|tag| tag == version.to_string().as_bytes())
}

/// An entity tag (RFC 9110 section 8.8.3) from a list.
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl Tag<'_> {
    fn is(&self, version: &FileVersion) -> bool {
        self.opaque == b"*" || version.to_string().as_bytes() == self.opaque
    }
}

/// Returns whether `fits` returns true for any tag of `list`, such as `"a", W/"b"` or
/// `*`. A tag may contain commas.
fn any_tag(mut list: &[u8], fits: impl Fn(Tag<'_>) -> bool) -> bool {
    if list == b"*" {
        return fits(Tag { weak: false, opaque: list });
    }
    loop {
        list = list.trim_ascii_start();
        while let [b',', rest @ ..] = list {
            list = rest.trim_ascii_start();
        }
        let weak = list.starts_with(b"W/");
        let tag = if weak { &list[2..] } else { list };
        let Some(end) = tag
            .strip_prefix(b"\"")
            .and_then(|tag| tag.iter().position(|&byte| byte == b'"'))
        else {
            return false; // the list has ended, or its next tag is malformed
        };
        let (opaque, rest) = tag.split_at(end + 2);
        if fits(Tag { weak, opaque }) {
            return true;
        }
        list = rest;
    }
}

/// Evaluates a `Range` field with one range of bytes, for a file of `len` bytes (RFC
/// 9110 section 14.1.2). Any other `Range` is ignored, as the RFC allows: the whole
/// file is sent.
fn part(range: &[u8], len: u64) -> Precondition {
    let ranges = match range.split_at_checked(6) {
        Some((unit, ranges)) if unit.eq_ignore_ascii_case(b"bytes=") => {
            ranges.trim_ascii()
        }
        _ => return Precondition::Whole,
    };
    let Some(dash) = ranges.iter().position(|&byte| byte == b'-') else {
        return Precondition::Whole;
    };
    let (first, last) = (number(&ranges[..dash]), number(&ranges[dash + 1..]));
    match (first, last) {
        (Number::Is(first), Number::Is(last)) if first > last => Precondition::Whole, // malformed: ignored
        (Number::Is(first), Number::Is(_) | Number::Missing) if first >= len => {
            Precondition::Unsatisfiable
        }
        (Number::Is(first), Number::Is(last)) => {
            Precondition::Part(first, last.min(len - 1))
        }
        (Number::Is(first), Number::Missing) => Precondition::Part(first, len - 1),
        (Number::Missing, Number::Is(0)) => Precondition::Unsatisfiable,
        (Number::Missing, Number::Is(_)) if len == 0 => Precondition::Whole, // an empty file has no last byte to name
        (Number::Missing, Number::Is(last)) => {
            Precondition::Part(len - last.min(len), len - 1)
        }
        _ => Precondition::Whole,
    }
}

enum Number {
    Missing,
    Is(u64),
    Malformed,
}

fn number(digits: &[u8]) -> Number {
    match decimal(digits) {
        Some(number) => Number::Is(number),
        None if digits.is_empty() => Number::Missing,
        None => Number::Malformed,
    }
}

fn date(value: &[u8]) -> Option<HttpDate> {
    HttpDate::parse(value, SystemTime::now()) // now: for two-digit years
}
