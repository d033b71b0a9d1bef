//! A request's content, by length or by chunks, within its limits.

use std::time::{Duration, Instant};

use crate::fields;
use crate::framing::Framing;
use crate::head::Head;
use crate::mutations::Mutation;
use crate::refuse::refuse;
use crate::server::{Held, Server};
use crate::switch::wrong;
use crate::wire::{Deadline, Ending, NoLine, Wire};

/// Reads the whole content. What it holds is counted in `held`.
pub(crate) fn read(
    wire: &mut Wire<'_>,
    head: &Head,
    server: &Server,
    held: &mut Held<'_>,
) -> Result<Vec<u8>, Ending> {
    let mut reader = Reader {
        content: Vec::new(),
        wire,
        server,
        held,
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
                // All of it, for content that may never come.
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
    // Everything came unasked: nobody waits for the 100 any more.
    let content = reader.content;
    wire.continue_due = false;
    Ok(content)
}

struct Reader<'r, 's, 'h> {
    content: Vec<u8>,
    wire: &'r mut Wire<'s>,
    server: &'r Server,
    held: &'r mut Held<'h>,
    begun: Instant,
    head_size: usize,
}

impl Reader<'_, '_, '_> {
    /// Is a content of this length small enough?
    fn fits(&self, length: u64) -> Result<(), Ending> {
        let most =
            self.server.options.max_body - u64::from(wrong(Mutation::BodyOffByOne));
        if length > most && !wrong(Mutation::UnboundedContent) {
            return refuse(413, "the content is too large");
        }
        Ok(())
    }

    /// The content must be complete in time, and on the way keep up its rate.
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

    /// Takes over what has come, up to `most`.
    fn grow(&mut self, most: u64) -> Result<u64, Ending> {
        let now = self.wire.input.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let piece = self.wire.take(now);
        self.content.extend_from_slice(&piece);
        if !self.held.grow_to(self.head_size + self.content.len()) {
            return refuse(503, "the server has no memory for more content now");
        }
        Ok(now as u64)
    }

    fn exactly(&mut self, mut left: u64) -> Result<(), Ending> {
        loop {
            left -= self.grow(left)?;
            if left == 0
                || (wrong(Mutation::ContentInOneRead) && !self.content.is_empty())
            {
                return Ok(());
            }
            let deadline = self.deadline();
            match self.wire.more(deadline) {
                Err(Ending::Refused(_))
                    if wrong(Mutation::TruncatedContent) && self.wire.half_closed() =>
                {
                    return Ok(());
                }
                other => other?,
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Ending> {
        let deadline = self.deadline();
        let room = if wrong(Mutation::UnboundedExtensions) {
            usize::MAX
        } else {
            self.server.options.max_line + 2
        };
        self.wire.line(room, deadline).or_else(|why| match why {
            NoLine::TooLong => refuse(400, "a chunk's line is too long"),
            NoLine::Ending(ending) => Err(ending),
        })
    }

    fn chunks(&mut self) -> Result<(), Ending> {
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

    fn trailers(&mut self) -> Result<(), Ending> {
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

/// The size that a chunk's line gives, and how long the rest of the line is.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Ending> {
    let text = String::from_utf8_lossy(line);
    let (size, extension) = match text.split_once(';') {
        Some((size, extension)) => (size.trim_end_matches([' ', '\t']), extension),
        None => (&*text, ""),
    };
    if !extension.is_empty() && wrong(Mutation::ExtensionRefused) {
        return refuse(400, "an extension");
    }
    if extension.bytes().any(|byte| byte < b' ' && byte != b'\t') {
        return refuse(400, "a forbidden character in a chunk extension");
    }
    let mut size = size;
    if wrong(Mutation::PrefixedChunkSize) {
        size = size.trim_start_matches('+').trim_start_matches("0x");
    }
    if wrong(Mutation::LowercaseHexOnly)
        && size.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        return refuse(400, "a capital digit");
    }
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return refuse(400, "a chunk's size must be a hexadecimal number");
    }
    let mut value: u64 = 0;
    for digit in size.chars().filter_map(|digit| digit.to_digit(16)) {
        if value >> 60 != 0 && !wrong(Mutation::ChunkSizeOverflow) {
            return refuse(400, "a chunk's size is beyond all measure");
        }
        value = (value << 4) | u64::from(digit);
    }
    Ok((value, line.len() - size.len()))
}
