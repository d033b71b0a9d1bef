//! Chunked content (RFC 9112 section 7.1), decoded in place: the data of each chunk
//! moves down to the end of the previous chunk's data, over the framing in between.

use super::Limits;
use super::head::TOO_LARGE;
use super::response::HttpError;
use memchr::memchr;

/// The longest line with a chunk's size and its extensions, in bytes.
const SIZE_LINE: usize = 256;

/// The element of the chunked coding that is expected next.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The line with a chunk's size.
    Size,
    /// A chunk's data, of which this number of bytes is still to come.
    Data(u64),
    /// The CR LF after a chunk's data.
    DataEnd,
    /// The trailer fields, after the last chunk.
    Trailers,
    /// Nothing: the message is complete.
    Done,
}

/// The state of one chunked message.
#[derive(Debug)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of content decoded so far.
    pub(super) decoded: usize,
    /// Number of bytes of chunk extensions so far; after the last chunk, of trailers.
    /// The server ignores extensions and trailers, and therefore limits their size.
    overhead: usize,
    /// Number of trailer fields received so far.
    fields: usize,
}

impl Chunked {
    pub(super) fn new() -> Chunked {
        Chunked { at: At::Size, decoded: 0, overhead: 0, fields: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Decodes as much of `bytes` as possible. On entry, `bytes` begins with the content
    /// that earlier calls have decoded, and the bytes after that content are as received.
    /// Moves the data of each chunk to the end of the content. Returns the number of bytes
    /// between the new end of the content and the first byte that is not decoded yet: the
    /// caller removes these bytes.
    pub(super) fn decode(
        &mut self,
        bytes: &mut [u8],
        limits: &Limits,
    ) -> Result<usize, HttpError> {
        let mut raw = self.decoded;
        loop {
            let rest = &bytes[raw..];
            match self.at {
                At::Size => {
                    let Some(line) = line(
                        rest,
                        SIZE_LINE,
                        HttpError::bad("a chunk's size line is too long"),
                    )?
                    else {
                        break;
                    };
                    let (size, extensions) = size(line)?;
                    self.overhead += extensions;
                    if self.overhead > limits.head {
                        return Err(HttpError::bad("too many chunk extensions"));
                    }
                    if (self.decoded as u64).saturating_add(size) > limits.body {
                        return Err(TOO_LARGE);
                    }
                    raw += line.len() + 2;
                    self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                    if size == 0 {
                        self.overhead = 0;
                    }
                }
                At::Data(left) => {
                    let here =
                        rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if here == 0 {
                        break;
                    }
                    bytes.copy_within(raw..raw + here, self.decoded);
                    self.decoded += here;
                    raw += here;
                    let left = left - here as u64;
                    self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
                }
                At::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        raw += 2;
                        self.at = At::Size;
                    }
                    [_, _, ..] => {
                        return Err(HttpError::bad(
                            "a chunk is longer than its size says",
                        ));
                    }
                    _ => break,
                },
                At::Trailers => {
                    const TRAILERS: HttpError =
                        HttpError::new(431, "the trailers are too large");
                    let Some(line) = line(rest, limits.head - self.overhead, TRAILERS)?
                    else {
                        break;
                    };
                    raw += line.len() + 2;
                    self.overhead += line.len() + 2;
                    if line.is_empty() {
                        self.at = At::Done;
                    } else {
                        self.fields += 1;
                        if self.fields > limits.fields || self.overhead > limits.head {
                            return Err(TRAILERS);
                        }
                        trailer(line)?;
                    }
                }
                At::Done => break,
            }
        }
        Ok(raw - self.decoded)
    }
}

/// Returns the line at the start of `bytes` without its CR LF, or `None` if the line's
/// end has not arrived. A line of more than `longest` bytes leads to the error
/// `too_long`.
fn line(
    bytes: &[u8],
    longest: usize,
    too_long: HttpError,
) -> Result<Option<&[u8]>, HttpError> {
    match memchr(b'\n', &bytes[..bytes.len().min(longest + 2)]) {
        Some(end) => match &bytes[..end] {
            [line @ .., b'\r'] if memchr(b'\r', line).is_none() => Ok(Some(line)),
            _ => Err(HttpError::bad("a line within the content does not end with CR LF")),
        },
        None if bytes.len() >= longest + 2 => Err(too_long),
        None => Ok(None),
    }
}

/// Parses `chunk-size [ chunk-ext ]`. Returns the chunk's size and the length of the
/// extensions, both in bytes.
fn size(line: &[u8]) -> Result<(u64, usize), HttpError> {
    const BAD: HttpError = HttpError::bad("a malformed chunk size");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let extensions = &line[digits..];
    // Sixteen hexadecimal digits fill 64 bits. More would overflow: in some servers,
    // sizes that overflow have let smuggled requests pass.
    if digits == 0 || digits > 16 {
        return Err(BAD);
    }
    let mut rest = extensions;
    while !rest.is_empty() {
        rest = extension(rest).ok_or(HttpError::bad("a malformed chunk extension"))?;
    }
    let digits = std::str::from_utf8(&line[..digits]).map_err(|_| BAD)?;
    Ok((u64::from_str_radix(digits, 16).map_err(|_| BAD)?, extensions.len()))
}

/// Skips an extension at the start of `text`, `;name` or `;name=value` (RFC 9112
/// section 7.1.1). Returns the text after it, or `None` if `text` does not begin with
/// an extension.
///
/// The extension has no effect, but its grammar is checked: a sender that breaks the
/// grammar may disagree with the server about where the line ends and the chunk's data
/// begins.
fn extension(text: &[u8]) -> Option<&[u8]> {
    let rest = token(space(space(text).strip_prefix(b";")?))?;
    match space(rest).strip_prefix(b"=") {
        Some(value) => token(space(value)).or_else(|| quoted(space(value))),
        None => Some(rest),
    }
}

/// Skips a quoted string (RFC 9110 section 5.6.4) at the start of `text`. Returns the text
/// after it, or `None` if there is no quoted string.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(escaped) => rest,
            [byte, rest @ ..] if *byte != b'\\' && is_text(byte) => rest,
            _ => return None,
        };
    }
}

/// Skips a token (RFC 9110 section 5.6.2) at the start of `text`. Returns the text after
/// it, or `None` if there is no token.
fn token(text: &[u8]) -> Option<&[u8]> {
    let is_in_token =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_in_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

/// Skips spaces and tabs at the start of `text`, which the grammar allows around `;` and `=` as bad
/// whitespace (BWS). Returns the text after them.
fn space(text: &[u8]) -> &[u8] {
    let blank = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blank..]
}

/// Checks a trailer, which is otherwise ignored. A trailer must have the form of a
/// header field: anything else means that client and server disagree where the message
/// ends.
fn trailer(line: &[u8]) -> Result<(), HttpError> {
    match token(line) {
        Some([b':', value @ ..]) if value.iter().all(is_text) => Ok(()),
        _ => Err(HttpError::bad("a malformed trailer")),
    }
}

fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}
