//! Message framing: the position at which a request's content ends. If two programs disagree on
//! that position, requests can be smuggled.

use crate::error::{bad, refuse};
use crate::fields::Fields;
use crate::mutations::Mutation;
use crate::switch::wrong;
use crate::wire::End;

/// The way in which the end of a request's content is determined.
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// Returns the framing that the header fields determine, or the refusal if these fields are
/// invalid. `modern` means HTTP/1.1.
pub(crate) fn of(fields: &Fields, modern: bool) -> Result<Framing, End> {
    let lengths: Vec<&str> = fields.all("Content-Length").collect();
    let codings = fields.list("Transfer-Encoding");
    if let Some(codings) = codings {
        if !lengths.is_empty() && !wrong(Mutation::TransferEncodingAndLength) {
            return bad("Content-Length and Transfer-Encoding contradict each other");
        }
        if !modern && !wrong(Mutation::TransferEncodingInHttp10) {
            return bad("HTTP/1.0 has no Transfer-Encoding");
        }
        return coded(&codings);
    }
    match lengths[..] {
        [] => Ok(Framing::Length(0)),
        [length] => Ok(Framing::Length(content_length(length)?)),
        [first, ..] if wrong(Mutation::FirstContentLength) => {
            Ok(Framing::Length(content_length(first)?))
        }
        _ => bad("there is more than one Content-Length"),
    }
}

fn content_length(text: &str) -> Result<u64, End> {
    // The digits are checked because `str::parse` also accepts a leading sign, which the grammar
    // forbids.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || (!digits && !wrong(Mutation::SignedContentLength)) {
        return bad("the Content-Length is not a number");
    }
    match text.parse() {
        Ok(length) => Ok(length),
        // The text is all digits, but too large for a `u64`: the length is larger than any limit.
        Err(_) if digits => Ok(u64::MAX),
        Err(_) => bad("the Content-Length is not a number"),
    }
}

fn coded(codings: &str) -> Result<Framing, End> {
    if wrong(Mutation::ChunkedBySubstring) && codings.contains("chunked") {
        return Ok(Framing::Chunked);
    }
    let codings: Vec<String> = codings
        .split(',')
        .map(|coding| coding.trim_matches([' ', '\t']))
        .map(|coding| {
            if wrong(Mutation::CaseSensitiveCoding) {
                coding.to_owned()
            } else {
                coding.to_ascii_lowercase()
            }
        })
        .filter(|coding| !coding.is_empty())
        .collect();
    let Some((last, before)) = codings.split_last() else {
        return bad("the Transfer-Encoding names no coding");
    };
    if wrong(Mutation::ChunkedNotLast) && before.iter().any(|coding| coding == "chunked")
    {
        return Ok(Framing::Chunked);
    }
    if last != "chunked" || before.iter().any(|coding| coding == "chunked") {
        return bad("the last transfer coding must be chunked, and chunked must be last");
    }
    if !before.is_empty() && !wrong(Mutation::UnknownCoding) {
        return refuse(501, "the only transfer coding implemented is chunked");
    }
    Ok(Framing::Chunked)
}
