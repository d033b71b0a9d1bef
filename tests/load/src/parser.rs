//! A parser that finds the end of each response and, if the caller gives the expected content,
//! compares the response's content with it.
//!
//! The client suite's parser, `tests/src/response.rs`, checks every rule for a response. Apart from
//! the expected content, this parser checks only the parts that determine the end, and is fast: a
//! server's heads stay the same for a second (until `Date` changes), so a head that equals the last
//! one byte for byte is not parsed again.

#[cfg(test)]
mod tests;

/// The largest head that is accepted, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// The largest number of hexadecimal digits that is accepted in a chunk size.
const LONGEST_SIZE: u32 = 15;

/// The properties of a complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Response {
    pub status: u16,
    /// The size of the response's head and content on the wire, in bytes.
    pub bytes: u64,
    /// Whether the connection closes after this response.
    pub last: bool,
}

/// An error: the bytes received are not a valid response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// An incremental parser of the responses of one connection.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    /// The part of an incomplete head that has arrived.
    head: Vec<u8>,
    /// Number of bytes of the current response received so far.
    bytes: u64,
    status: u16,
    last: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// The parser is within the content, of which this number of bytes is still missing.
    Content(u64),
    UntilTheEnd,
    Chunked(Chunked),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunked {
    /// The parser is within a chunk's size: the value so far, and the number of digits.
    Size(u64, u32),
    /// The parser is after a chunk's size, within the same line; the value is the size in bytes.
    Extension(u64),
    /// The parser is within a chunk, of which this number of bytes is still missing, including the
    /// CR LF after it.
    Content(u64),
    /// The parser is within the trailers; `empty` is set while no byte of the current line has
    /// arrived.
    Trailer { empty: bool },
}

/// The properties of a response that its head determines.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    content: State,
    last: bool,
}

/// The last head that was parsed, with its bytes, and the content that every 2xx response must
/// have.
#[derive(Debug)]
pub(super) struct HeadCache {
    bytes: Vec<u8>,
    head: Head,
    content: Option<Vec<u8>>,
}

impl HeadCache {
    /// Returns an empty cache. `content` is the content that every 2xx response must have; `None`
    /// accepts any.
    pub(super) fn new(content: Option<Vec<u8>>) -> HeadCache {
        let head = Head { status: 0, content: State::Head, last: true };
        HeadCache { bytes: Vec::new(), head, content }
    }

    /// Returns whether `bytes` continue the expected content, of which `left` bytes are still
    /// missing. Also `true` if no content is expected, or if `status` is not 2xx.
    #[inline]
    fn expects(&self, status: u16, left: u64, bytes: &[u8]) -> bool {
        let Some(content) = self.content.as_ref().filter(|_| status < 300) else {
            return true;
        };
        let at = (content.len() as u64).checked_sub(left);
        at.is_some_and(|at| content[at as usize..].starts_with(bytes))
    }
}

impl Parser {
    /// Consumes bytes up to the end of a response and returns the response, or consumes all bytes
    /// and returns `None`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the bytes are not a response, or the response does not have the expected
    /// content.
    #[inline]
    pub(super) fn next(
        &mut self,
        bytes: &mut &[u8],
        cache: &mut HeadCache,
    ) -> Result<Option<Response>, Malformed> {
        while !bytes.is_empty() {
            let before = bytes.len();
            let whole = match self.state {
                State::Head => self.head(bytes, cache)?,
                State::Content(left) => {
                    let taken = left.min(bytes.len() as u64);
                    if !cache.expects(self.status, left, &bytes[..taken as usize]) {
                        return Err(Malformed);
                    }
                    *bytes = &bytes[taken as usize..];
                    self.state = State::Content(left - taken);
                    left == taken
                }
                State::UntilTheEnd => {
                    *bytes = &[];
                    false
                }
                State::Chunked(at) => self.chunked(at, bytes)?,
            };
            self.bytes += (before - bytes.len()) as u64;
            if whole {
                return Ok(Some(self.finish()));
            }
        }
        Ok(None)
    }

    /// Returns the response that the end of the connection completes, if there is one.
    pub(super) fn end(&mut self) -> Option<Response> {
        (self.state == State::UntilTheEnd).then(|| self.finish())
    }

    fn finish(&mut self) -> Response {
        self.state = State::Head;
        Response {
            status: self.status,
            bytes: std::mem::take(&mut self.bytes),
            last: self.last,
        }
    }

    /// Consumes bytes of a head. Returns whether the response ends with the head.
    fn head(
        &mut self,
        bytes: &mut &[u8],
        cache: &mut HeadCache,
    ) -> Result<bool, Malformed> {
        let cached = self.head.is_empty()
            && !cache.bytes.is_empty()
            && bytes.starts_with(&cache.bytes);
        if cached {
            *bytes = &bytes[cache.bytes.len()..];
        } else {
            // The empty line is searched for in the new bytes and in the last three old ones, in
            // which it may begin.
            let from = self.head.len().saturating_sub(3);
            let old = self.head.len();
            self.head.extend_from_slice(bytes);
            let end = self.head[from..].windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end.map(|end| from + end + 4) else {
                *bytes = &[];
                return if self.head.len() > LARGEST_HEAD {
                    Err(Malformed)
                } else {
                    Ok(false)
                };
            };
            *bytes = &bytes[end - old..];
            cache.head = Head::parse(&self.head[..end - 2])?;
            cache.bytes.clear();
            cache.bytes.extend_from_slice(&self.head[..end]);
            self.head.clear();
        }
        let Head { status, content, last } = cache.head;
        if status < 200 {
            return Ok(false); // an interim response; the final one follows
        }
        (self.status, self.state, self.last) = (status, content, last);
        let expected = cache.content.as_ref().filter(|_| status < 300);
        if expected.is_some_and(|all| content != State::Content(all.len() as u64)) {
            return Err(Malformed);
        }
        Ok(content == State::Content(0))
    }

    /// Consumes a piece of a chunked content (RFC 9112 section 7.1). Returns whether the content is
    /// complete.
    fn chunked(&mut self, at: Chunked, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        let (first, rest) = bytes.split_first().ok_or(Malformed)?;
        let next = match at {
            Chunked::Content(left) => {
                let taken = left.min(bytes.len() as u64);
                *bytes = &bytes[taken as usize..];
                self.state = State::Chunked(match left - taken {
                    0 => Chunked::Size(0, 0),
                    left => Chunked::Content(left),
                });
                return Ok(false);
            }
            Chunked::Size(size, digits) => match char::from(*first).to_digit(16) {
                Some(digit) if digits < LONGEST_SIZE => {
                    Chunked::Size(size * 16 + u64::from(digit), digits + 1)
                }
                None if digits > 0 && matches!(first, b';' | b' ' | b'\t' | b'\r') => {
                    Chunked::Extension(size)
                }
                _ => return Err(Malformed),
            },
            Chunked::Extension(size) => match (first, size) {
                (b'\n', 0) => Chunked::Trailer { empty: true },
                (b'\n', size) => Chunked::Content(size + 2),
                _ => at,
            },
            Chunked::Trailer { empty } => match first {
                b'\n' if empty => {
                    *bytes = rest;
                    return Ok(true);
                }
                b'\n' => Chunked::Trailer { empty: true },
                b'\r' => at,
                _ => Chunked::Trailer { empty: false },
            },
        };
        *bytes = rest;
        self.state = State::Chunked(next);
        Ok(false)
    }
}

impl Head {
    /// Parses the lines of a head, each with its CR LF, without the empty line.
    fn parse(lines: &[u8]) -> Result<Head, Malformed> {
        let text = std::str::from_utf8(lines).map_err(|_| Malformed)?;
        let mut lines = text.split_terminator("\r\n");
        let line = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
        let (minor, line) =
            line.and_then(|line| line.split_once(' ')).ok_or(Malformed)?;
        let code = line.split(' ').next().and_then(|code| code.parse().ok());
        let Some(status @ (100 | 102..600)) = code else { return Err(Malformed) };
        let (mut length, mut chunked, mut last) = (None, false, minor == "0");
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(Malformed)?;
            let value = value.trim();
            let lists =
                |word| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word));
            if name.eq_ignore_ascii_case("Content-Length") {
                length = Some(value.parse().map_err(|_| Malformed)?);
            } else if name.eq_ignore_ascii_case("Transfer-Encoding") {
                chunked = lists("chunked");
            } else if name.eq_ignore_ascii_case("Connection") {
                last = lists("close") || (last && !lists("keep-alive"));
            }
        }
        let content = match (status, chunked, length) {
            (204 | 304, _, _) => State::Content(0),
            (_, true, _) => State::Chunked(Chunked::Size(0, 0)),
            (_, _, Some(length)) => State::Content(length),
            _ => State::UntilTheEnd,
        };
        Ok(Head { status, content, last: last || content == State::UntilTheEnd })
    }
}
