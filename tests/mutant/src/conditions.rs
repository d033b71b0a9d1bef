//! Conditional requests, in the order of RFC 9110 section 13.2.2.

use crate::date;
use crate::files::Representation;
use crate::head::Head;
use crate::mutations::Mutation;
use crate::ranges::{self, Range};
use crate::switch::wrong;

/// The outcome of evaluating a request's conditions for a file.
pub(crate) enum Verdict {
    Failed,
    NotModified,
    Send { range: Option<Range> },
}

pub(crate) fn check(head: &Head, file: &Representation) -> Verdict {
    let fields = &head.fields;
    if let Some(list) = fields.list("If-Match") {
        // Strong comparison (RFC 9110 section 8.8.3.2): a weak tag never matches.
        let found = tags(&list).any(|tag| {
            tag == "*"
                || tag == file.etag
                || (wrong(Mutation::IfMatchWeak)
                    && tag.strip_prefix("W/") == Some(&file.etag))
        });
        if !found && !wrong(Mutation::IfMatchIgnored) {
            return Verdict::Failed;
        }
    } else if let Some(date) = fields.only("If-Unmodified-Since").and_then(date::read)
        && file.modified > date
        && !wrong(Mutation::IfUnmodifiedSinceIgnored)
    {
        return Verdict::Failed;
    }
    let none_match = fields.list("If-None-Match");
    if let Some(list) = &none_match
        && has_tag(list, &file.etag)
    {
        return Verdict::NotModified;
    }
    if (none_match.is_none() || wrong(Mutation::DateBeatsTag))
        && let Some(date) = fields.only("If-Modified-Since").and_then(date::read)
        && (file.modified < date
            || (file.modified == date && !wrong(Mutation::SameSecondModified)))
    {
        return Verdict::NotModified;
    }
    // Range and If-Range are ignored unless the method is GET (RFC 9110 section 14.2).
    let range = fields
        .only("Range")
        .filter(|_| head.method == "GET" || wrong(Mutation::RangeForHead))
        .filter(|_| if_range(fields.only("If-Range"), file))
        .and_then(|range| ranges::parse(range, file.len));
    Verdict::Send { range }
}

/// Returns whether the list `If-None-Match` contains `etag`, by weak comparison.
fn has_tag(list: &str, etag: &str) -> bool {
    if wrong(Mutation::NoneMatchWhole) {
        return list == etag;
    }
    tags(list).any(|tag| {
        (tag == "*" && !wrong(Mutation::NoneMatchStar))
            || tag == etag
            || (tag.strip_prefix("W/") == Some(etag) && !wrong(Mutation::NoneMatchStrong))
    })
}

/// Returns the entity tags in a list. A comma inside quotes is part of its tag.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
    .map(str::trim)
}

/// Returns whether `If-Range` allows a range of the file's current version. A request without
/// `If-Range` (`None`) always gets its range.
fn if_range(condition: Option<&str>, file: &Representation) -> bool {
    match condition {
        None => true,
        Some(_) if wrong(Mutation::IfRangeIgnored) => true,
        Some(tag) if tag.contains('"') => tag == file.etag,
        // Two versions of a file may have the same modification date (RFC 9110 section 8.8.2.2), so
        // a date in `If-Range` never matches.
        Some(date) => {
            wrong(Mutation::IfRangeByDate) && date::read(date) == Some(file.modified)
        }
    }
}
