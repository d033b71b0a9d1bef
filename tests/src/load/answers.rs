//! Where one answer ends and the next begins: all that has to be known of them.
//!
//! The judge's `response.rs` demands everything of an answer. This demands what is needed
//! to tell where it ends, and is quick: a server's heads are the same for a second (until
//! its `Date` changes), so a head that equals the last one byte for byte is not parsed again.

#[cfg(test)]
mod tests;

/// More than a head may have.
const LARGEST_HEAD: usize = 64 * 1024;
/// More digits than a chunk's size may have.
const LONGEST_SIZE: u32 = 15;

/// An answer that has come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    /// Head and content, as they came.
    pub bytes: u64,
    /// The connection ends with it.
    pub last: bool,
}

/// What came is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The answers of one connection: how far they have come.
#[derive(Debug, Default)]
pub(super) struct Answers {
    at: At,
    /// A head that has not come whole.
    head: Vec<u8>,
    /// What has come of this answer.
    bytes: u64,
    status: u16,
    last: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    /// So many bytes are missing.
    Content(u64),
    UntilTheEnd,
    Chunked(Chunked),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunked {
    /// In a size: what it is so far, and how many digits it has.
    Size(u64, u32),
    /// In the line of a size, behind it.
    Extension(u64),
    /// So many bytes are missing, the line's end behind them among them.
    Content(u64),
    /// At the beginning of a line of the trailers, or within one.
    Trailer { empty: bool },
}

/// What a head says.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    content: At,
    last: bool,
}

/// The last head, and what it said; and what is to come behind every head.
#[derive(Debug)]
pub(super) struct Known {
    bytes: Vec<u8>,
    head: Head,
    content: Option<Vec<u8>>,
}

impl Known {
    /// Nothing yet, but what every good answer must contain.
    pub(super) fn new(content: Option<Vec<u8>>) -> Known {
        let head = Head { status: 0, content: At::Head, last: true };
        Known { bytes: Vec::new(), head, content }
    }

    /// Whether a good answer may continue so, of whose content so many bytes are missing.
    #[inline]
    fn expects(&self, status: u16, left: u64, bytes: &[u8]) -> bool {
        let Some(content) = self.content.as_ref().filter(|_| status < 300) else {
            return true;
        };
        let at = (content.len() as u64).checked_sub(left);
        at.is_some_and(|at| content[at as usize..].starts_with(bytes))
    }
}

impl Answers {
    /// Takes bytes as far as the end of an answer, or all of them.
    #[inline]
    pub(super) fn next(
        &mut self,
        bytes: &mut &[u8],
        known: &mut Known,
    ) -> Result<Option<Answer>, Malformed> {
        while !bytes.is_empty() {
            let before = bytes.len();
            let whole = match self.at {
                At::Head => self.head(bytes, known)?,
                At::Content(left) => {
                    let taken = left.min(bytes.len() as u64);
                    if !known.expects(self.status, left, &bytes[..taken as usize]) {
                        return Err(Malformed);
                    }
                    *bytes = &bytes[taken as usize..];
                    self.at = At::Content(left - taken);
                    left == taken
                }
                At::UntilTheEnd => {
                    *bytes = &[];
                    false
                }
                At::Chunked(at) => self.chunked(at, bytes)?,
            };
            self.bytes += (before - bytes.len()) as u64;
            if whole {
                return Ok(Some(self.answer()));
            }
        }
        Ok(None)
    }

    /// The connection has ended: that may be how an answer does.
    pub(super) fn end(&mut self) -> Option<Answer> {
        (self.at == At::UntilTheEnd).then(|| self.answer())
    }

    fn answer(&mut self) -> Answer {
        self.at = At::Head;
        Answer {
            status: self.status,
            bytes: std::mem::take(&mut self.bytes),
            last: self.last,
        }
    }

    /// Takes a head. Whether the answer has ended with it.
    fn head(&mut self, bytes: &mut &[u8], known: &mut Known) -> Result<bool, Malformed> {
        let known_here = self.head.is_empty()
            && !known.bytes.is_empty()
            && bytes.starts_with(&known.bytes);
        if known_here {
            *bytes = &bytes[known.bytes.len()..];
        } else {
            // Not again from the beginning: the empty line may have come in pieces, though.
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
            known.head = Head::parse(&self.head[..end - 2])?;
            known.bytes.clear();
            known.bytes.extend_from_slice(&self.head[..end]);
            self.head.clear();
        }
        let Head { status, content, last } = known.head;
        if status < 200 {
            return Ok(false); // an interim one; the answer is still to come
        }
        (self.status, self.at, self.last) = (status, content, last);
        let expected = known.content.as_ref().filter(|_| status < 300);
        if expected.is_some_and(|all| content != At::Content(all.len() as u64)) {
            return Err(Malformed);
        }
        Ok(content == At::Content(0))
    }

    /// Takes a piece of a chunked content (RFC 9112 section 7.1). Whether it has ended.
    fn chunked(&mut self, at: Chunked, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        let (first, rest) = bytes.split_first().ok_or(Malformed)?;
        let next = match at {
            Chunked::Content(left) => {
                let taken = left.min(bytes.len() as u64);
                *bytes = &bytes[taken as usize..];
                self.at = At::Chunked(match left - taken {
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
        self.at = At::Chunked(next);
        Ok(false)
    }
}

impl Head {
    /// Of the lines, each with its end, without the empty one.
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
            (204 | 304, _, _) => At::Content(0),
            (_, true, _) => At::Chunked(Chunked::Size(0, 0)),
            (_, _, Some(length)) => At::Content(length),
            _ => At::UntilTheEnd,
        };
        Ok(Head { status, content, last: last || content == At::UntilTheEnd })
    }
}
