//! Where a content ends: the place where two readings of one message are an attack.

use crate::fields::Fields;
use crate::mutations::Mutation;
use crate::refuse::{bad, refuse};
use crate::switch::wrong;
use crate::wire::Ending;

/// Where the content's end is.
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// What the fields say about it.
pub(crate) fn of(fields: &Fields, modern: bool) -> Result<Framing, Ending> {
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
        _ => bad("there are several Content-Lengths"),
    }
}

fn content_length(text: &str) -> Result<u64, Ending> {
    // What `parse` understands is more than the grammar allows: it takes a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || (!digits && !wrong(Mutation::SignedContentLength)) {
        return bad("that is no Content-Length");
    }
    match text.parse() {
        Ok(length) => Ok(length),
        // A number all the same, larger than any limit.
        Err(_) if digits => Ok(u64::MAX),
        Err(_) => bad("that is no Content-Length"),
    }
}

fn coded(codings: &str) -> Result<Framing, Ending> {
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
        return bad("a Transfer-Encoding without a coding");
    };
    if wrong(Mutation::ChunkedNotLast) && before.iter().any(|coding| coding == "chunked")
    {
        return Ok(Framing::Chunked);
    }
    if last != "chunked" || before.iter().any(|coding| coding == "chunked") {
        return bad("the last transfer coding must be chunked, and no other");
    }
    if !before.is_empty() && !wrong(Mutation::UnknownCoding) {
        return refuse(501, "no transfer coding but chunked is known here");
    }
    Ok(Framing::Chunked)
}
