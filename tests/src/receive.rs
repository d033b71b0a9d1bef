//! Receiving: bytes as they come, the end, and answers, exactly one at a time,
//! whatever says where it ends.

use std::io::{ErrorKind, Read as _};
use std::time::Instant;

use crate::client::{Client, End};
use crate::patience::{patience, timed_out};
use crate::response::Response;
use crate::verdict::{Step, Stop, Verdict, demand};

/// More than any case waits for before an end: a server that says so much will
/// never stop.
const FLOOD: usize = 64 << 20;

/// What a client waits for before a head has come whole.
const AN_ANSWER: &str = "an answer";

/// The largest head of an answer that a client should have to accept.
const LARGEST_HEAD: usize = 64 * 1024;

impl Client {
    /// Receives once more into the inbox; `None` when bytes came.
    pub(crate) fn fill(&mut self) -> Step<Option<End>> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        let mut scratch = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(0) => return Ok(Some(self.ended(End::Closed))),
                Ok(n) => {
                    self.log.received(&self.name, &scratch[..n]);
                    self.inbox.extend_from_slice(&scratch[..n]);
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => {
                    let seconds = patience().as_secs();
                    let name = &self.name;
                    return Err(Stop::fail(
                        format!("{name} hears from the server"),
                        format!("the server said nothing to {name} for {seconds} s"),
                    ));
                }
                Err(_) => return Ok(Some(self.ended(End::Reset))),
            }
        }
    }

    /// Receives at most `most` bytes and throws them away; 0 at the end.
    pub fn sip(&mut self, most: usize) -> Step<usize> {
        let mut scratch = vec![0; most];
        match self.stream.read(&mut scratch) {
            Ok(n) => {
                if n == 0 {
                    self.ended(End::Closed);
                } else {
                    self.log.received(&self.name, &scratch[..n]);
                }
                Ok(n)
            }
            Err(error) if timed_out(&error) => {
                let seconds = patience().as_secs();
                Err(Stop::fail(
                    "more bytes, or an end",
                    format!("silence for {seconds} s"),
                ))
            }
            Err(_) => {
                self.ended(End::Reset);
                Ok(0)
            }
        }
    }

    /// Reads until the connection ends; gives what came and how it ended.
    pub fn rest(&mut self) -> Step<(Vec<u8>, End)> {
        let start = Instant::now();
        loop {
            if let Some(end) = self.fill()? {
                return Ok((std::mem::take(&mut self.inbox).into(), end));
            }
            if self.inbox.len() > FLOOD || start.elapsed() > 4 * patience() {
                let expected = format!("the end of the connection for {}", self.name);
                return Err(Stop::fail(
                    expected,
                    format!("{} bytes, and no end", self.inbox.len()),
                ));
            }
        }
    }

    /// Demands that the server now closes in good order and says nothing more.
    pub fn ends(&mut self) -> Verdict {
        let end = self.says_nothing_more()?;
        demand(end == End::Closed, "a close in good order", "a reset")
    }

    /// Demands that the connection ends, cleanly or not, and nothing more is said.
    pub fn is_gone(&mut self) -> Verdict {
        self.says_nothing_more().map(drop)
    }

    fn says_nothing_more(&mut self) -> Step<End> {
        // The first byte is enough: a server that is wrong may go on for ever.
        let end = if self.inbox.is_empty() {
            self.fill().map_err(|stop| stop.awaiting("the end of the connection"))?
        } else {
            None
        };
        end.ok_or_else(|| {
            let shown = crate::show::bytes(&self.inbox, self.inbox.len());
            Stop::fail(
                "the end of the connection and nothing before it",
                format!("first {shown}"),
            )
        })
    }

    /// Reads the answer to a request whose method was not HEAD.
    pub fn response(&mut self) -> Step<Response> {
        self.response_to("GET")
    }

    /// Reads exactly one final answer; interim ones (1xx) are passed over.
    pub fn response_to(&mut self, method: &str) -> Step<Response> {
        loop {
            let response = self.any_response(method)?;
            if response.status >= 200 {
                self.told_end = response.tells_end();
                return Ok(response);
            }
        }
    }

    /// Reads exactly one answer, an interim one too.
    pub fn any_response(&mut self, method: &str) -> Step<Response> {
        let head = self.head()?;
        let mut response = Response::parse_head(&head).map_err(|error| {
            Stop::fail("a well-formed head of an answer (RFC 9112 section 4)", error)
        })?;
        let empty = method == "HEAD" || matches!(response.status, 100..=199 | 204 | 304);
        if empty {
            return Ok(response);
        }
        let lengths = response.all("Content-Length");
        if response.lists("Transfer-Encoding", "chunked") {
            response.content = self.chunked()?;
        } else if lengths.len() > 1 {
            return Err(Stop::fail("one Content-Length", format!("{lengths:?}")));
        } else if let Some(text) = lengths.first() {
            let length = text.parse().map_err(|_| {
                Stop::fail("a Content-Length in digits", format!("{text:?}"))
            })?;
            response.content = self.exactly(length, "the announced content")?;
        } else {
            // Delimited by the end of the connection (RFC 9112 section 6.3, item 8).
            let (content, end) = self.rest()?;
            if end == End::Reset {
                return Err(Stop::fail("content up to a close in good order", "a reset"));
            }
            response.content = content;
        }
        Ok(response)
    }

    fn head(&mut self) -> Step<Vec<u8>> {
        let mut searched = 0;
        loop {
            let from = searched;
            if let Some(at) = find(&self.inbox[from..], b"\r\n\r\n") {
                return Ok(self.inbox.split_to(from + at + 4).into());
            }
            searched = self.inbox.len().saturating_sub(3);
            if self.inbox.len() > LARGEST_HEAD {
                return Err(Stop::fail("an answer's head", "64 KiB without its end"));
            }
            self.more(AN_ANSWER)?;
        }
    }

    fn more(&mut self, waiting_for: &str) -> Step<()> {
        let wanted = format!("{} receives {waiting_for}", self.name());
        let Some(end) = self.fill().map_err(|stop| stop.awaiting(&wanted))? else {
            return Ok(());
        };
        if self.inbox.is_empty() && waiting_for == AN_ANSWER {
            self.may_have_ended()?;
        }
        let how = match end {
            End::Closed => "the server closed the connection",
            End::Reset => "the server reset the connection",
        };
        let got = self.inbox.len();
        let rest = match got {
            0 => String::new(),
            _ if waiting_for == AN_ANSWER => {
                let shown = crate::show::bytes(&self.inbox[..got.min(60)], got);
                format!(" after {got} bytes without a head's end: {shown}")
            }
            _ => format!(" after {got} bytes of it"),
        };
        Err(Stop::fail(wanted, format!("{how}{rest}")))
    }

    /// Takes exactly so many bytes.
    pub fn exactly(&mut self, length: usize, what: &str) -> Step<Vec<u8>> {
        while self.inbox.len() < length {
            self.more(&format!("{what} ({length} bytes)"))?;
        }
        Ok(self.inbox.split_to(length).into())
    }

    fn chunked(&mut self) -> Step<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| Stop::fail("a chunk size", format!("{line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(content);
            }
            content.extend(self.exactly(size, "a chunk")?);
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Stop::fail("CR LF behind a chunk", format!("{end:?}")));
            }
        }
    }

    fn line(&mut self) -> Step<String> {
        loop {
            if let Some(at) = find(&self.inbox, b"\r\n") {
                let line = self.inbox.split_to(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more("a line")?;
        }
    }
}

/// Where `needle` begins in `hay`.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
