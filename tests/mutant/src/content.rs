//! Reads the content of a request, delimited by length or by chunks, within the limits.

use std::time::{Duration, Instant};

use crate::error::refuse;
use crate::fields;
use crate::framing::Framing;
use crate::head::Head;
use crate::mutations::Mutation;
use crate::server::{Reservation, Server};
use crate::switch::wrong;
use crate::wire::{Deadline, End, LineError, Wire};

/// Reads the whole content of a request. The reservation `reserved` counts the bytes that the
/// server buffers for the request: its head and its content.
pub(crate) fn read(
    wire: &mut Wire<'_>,
    head: &Head,
    server: &Server,
    reserved: &mut Reservation<'_>,
) -> Result<Vec<u8>, End> {
    let mut reader = Reader {
        content: Vec::new(),
        wire,
        server,
        reserved,
        begun: Instant::now(),
        head_size: head.size,
    };
    if wrong(Mutation::GetContentIgnored) && head.method == "GET" {
        return Ok(Vec::new());
    }
    let too_late = wrong(Mutation::LateTooLarge);
    match head.framing {
        Framing::Length(length) => {
            if !too_late && !wrong(Mutation::ContinueBeforeRefusal) {
                reader.fits(length)?;
            }
            reader.wire.continue_due = head.expects;
            if wrong(Mutation::ReservesAnnounced) {
                // The mistake: memory for the whole length is allocated before any content has
                // arrived.
                reader.content.resize(usize::try_from(length).unwrap_or(0), 0);
                reader.content.clear();
            }
            reader.exactly(length)?;
            if too_late || wrong(Mutation::ContinueBeforeRefusal) {
                reader.fits(length)?;
            }
        }
        Framing::Chunked => {
            reader.wire.continue_due = head.expects;
            reader.chunks()?;
        }
    }
    // The whole content has arrived, so `100 Continue` is no longer owed.
    let content = reader.content;
    wire.continue_due = false;
    Ok(content)
}

struct Reader<'r, 's, 'h> {
    content: Vec<u8>,
    wire: &'r mut Wire<'s>,
    server: &'r Server,
    reserved: &'r mut Reservation<'h>,
    begun: Instant,
    head_size: usize,
}

impl Reader<'_, '_, '_> {
    /// Refuses a request with 413 if its content of `length` bytes is larger than `--max-body`.
    fn fits(&self, length: u64) -> Result<(), End> {
        let most =
            self.server.options.max_body - u64::from(wrong(Mutation::BodyOffByOne));
        if length > most && !wrong(Mutation::UnboundedContent) {
            return refuse(413, "the content is too large");
        }
        Ok(())
    }

    /// Returns the deadline for the next read: the earlier of `--body-timeout` for the whole
    /// content and the time by which `--body-rate` demands more bytes.
    fn deadline(&self) -> Deadline {
        let options = &self.server.options;
        if wrong(Mutation::NoBodyDeadline) {
            return Deadline::never();
        }
        if wrong(Mutation::BodyDeadlinePerByte) {
            return Deadline::each(options.body_timeout);
        }
        let end = self.begun + options.body_timeout;
        if options.body_rate == 0 || wrong(Mutation::NoBodyRate) {
            return Deadline::until(end);
        }
        let earned =
            Duration::from_secs_f64(self.content.len() as f64 / options.body_rate as f64);
        Deadline::until(end.min(self.begun + earned.max(options.head_timeout)))
    }

    /// Moves at most `most` bytes from the connection's input buffer into the content. Returns the
    /// number of bytes moved.
    fn grow(&mut self, most: u64) -> Result<u64, End> {
        let now = self.wire.input.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let piece = self.wire.take(now);
        self.content.extend_from_slice(&piece);
        if !self.reserved.grow_to(self.head_size + self.content.len()) {
            return refuse(503, "the server has no memory for more content now");
        }
        Ok(now as u64)
    }

    fn exactly(&mut self, mut left: u64) -> Result<(), End> {
        loop {
            left -= self.grow(left)?;
            if left == 0
                || (wrong(Mutation::ContentInOneRead) && !self.content.is_empty())
            {
                return Ok(());
            }
            let deadline = self.deadline();
            match self.wire.more(deadline) {
                Err(End::Refused(_))
                    if wrong(Mutation::TruncatedContent) && self.wire.half_closed() =>
                {
                    return Ok(());
                }
                other => other?,
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, End> {
        let deadline = self.deadline();
        let room = if wrong(Mutation::UnboundedExtensions) {
            usize::MAX
        } else {
            self.server.options.max_line + 2
        };
        self.wire.line(room, deadline).or_else(|why| match why {
            LineError::TooLong => refuse(400, "the chunk size line is too long"),
            LineError::End(ending) => Err(ending),
        })
    }

    fn chunks(&mut self) -> Result<(), End> {
        let mut extensions = 0;
        loop {
            let line = self.line()?;
            let (size, extension) = chunk_size(&line)?;
            extensions += extension;
            if extensions > self.server.options.max_head
                && !wrong(Mutation::UnboundedExtensions)
            {
                return refuse(400, "the chunk extensions are too large");
            }
            if size == 0 {
                return self.trailers();
            }
            self.fits(size.saturating_add(self.content.len() as u64))?;
            self.exactly(size)?;
            while self.wire.input.len() < 2 {
                let deadline = self.deadline();
                self.wire.more(deadline)?;
            }
            if self.wire.take(2) != b"\r\n" && !wrong(Mutation::ChunkEndUnchecked) {
                return refuse(400, "a chunk is longer than its size");
            }
        }
    }

    fn trailers(&mut self) -> Result<(), End> {
        let options = &self.server.options;
        if wrong(Mutation::TrailersAsRequest) {
            if self.wire.input.starts_with(b"\r\n") {
                self.wire.take(2);
            }
            return Ok(());
        }
        let deadline = self.deadline();
        let (room, most) = if wrong(Mutation::UnboundedTrailers) {
            (usize::MAX, usize::MAX)
        } else {
            (options.max_head, options.max_fields)
        };
        fields::read(self.wire, room, most, deadline).map(drop)
    }
}

/// Returns whether `text` is empty or consists of chunk extensions: `;name`, `;name=value`,
/// `;name="quoted"`.
fn extensions(mut text: &[u8]) -> bool {
    let blank = |text: &mut &[u8]| {
        while let [b' ' | b'\t', rest @ ..] = text {
            *text = rest;
        }
    };
    let token = |text: &mut &[u8]| {
        let end = text.iter().position(|byte| !fields::token(&[*byte]));
        let (token, rest) = text.split_at(end.unwrap_or(text.len()));
        *text = rest;
        !token.is_empty()
    };
    while !text.is_empty() {
        blank(&mut text);
        let [b';', rest @ ..] = text else { return false };
        text = rest;
        blank(&mut text);
        if !token(&mut text) {
            return false;
        }
        let mut value = text;
        blank(&mut value);
        let [b'=', rest @ ..] = value else { continue };
        text = rest;
        blank(&mut text);
        if let [b'"', rest @ ..] = text {
            let Some(rest) = unquoted(rest) else { return false };
            text = rest;
        } else if !token(&mut text) {
            return false;
        }
    }
    true
}

/// Returns the text after the closing quote, given the text after the opening quote; `None` if the
/// quoted string is malformed.
fn unquoted(text: &[u8]) -> Option<&[u8]> {
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let byte = match byte {
            b'"' => return Some(&text[at + 1..]),
            b'\\' if !wrong(Mutation::QuoteUnescaped) => bytes.next()?.1,
            other => other,
        };
        if (*byte < b' ' && *byte != b'\t') || *byte == 0x7f {
            return None;
        }
    }
    None
}

/// Returns the chunk size that a chunk's first line announces, and the length of the extensions
/// that follow the size's digits, both in bytes.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), End> {
    let text = String::from_utf8_lossy(line);
    let (size, extension) = match text.split_once(';') {
        Some((size, extension)) => (size.trim_end_matches([' ', '\t']), extension),
        None => (&*text, ""),
    };
    if !extension.is_empty() && wrong(Mutation::ExtensionRefused) {
        return refuse(400, "chunk extensions are not accepted");
    }
    let rest = line.get(size.len()..).unwrap_or_default();
    if !extensions(rest) && !wrong(Mutation::AnyExtension) {
        return refuse(400, "a malformed chunk extension");
    }
    let mut size = size;
    if wrong(Mutation::PrefixedChunkSize) {
        size = size.trim_start_matches('+').trim_start_matches("0x");
    }
    if wrong(Mutation::LowercaseHexOnly)
        && size.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        return refuse(400, "a chunk size must be in lowercase digits");
    }
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return refuse(400, "a chunk size must be a hexadecimal number");
    }
    let mut value: u64 = 0;
    for digit in size.chars().filter_map(|digit| digit.to_digit(16)) {
        if value >> 60 != 0 && !wrong(Mutation::ChunkSizeOverflow) {
            return refuse(400, "the chunk size is too large");
        }
        value = (value << 4) | u64::from(digit);
    }
    Ok((value, line.len() - size.len()))
}
