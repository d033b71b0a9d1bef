//! Receiving: bytes as they arrive, the end of the connection, and exactly one response at a time,
//! however the end of its content is marked.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read as _};
use std::time::Instant;

use crate::client::{Client, End};
use crate::response::Response;
use crate::timeout::{timed_out, timeout};
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// Maximum number of bytes read while waiting for the end of a connection. A server that sends more
/// is assumed to send without end.
const FLOOD: usize = 64 << 20;

/// The expectation that a failure report names if the client has not yet received a complete head.
const A_RESPONSE: &str = "a response";

/// The largest response head that is accepted, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;

thread_local! {
    /// The buffer for one read, shared by all reads of a thread, because zeroing a new buffer for
    /// each of thousands of reads would take long.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

impl Client {
    /// Reads once into the inbox. Returns the end of the connection, or `None` if bytes arrived.
    pub(crate) fn fill(&mut self) -> CaseResult<Option<End>> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        loop {
            let read: io::Result<usize> = SCRATCH.with_borrow_mut(|scratch| {
                let n = self.stream.read(scratch)?;
                if n > 0 {
                    self.log.received(&self.name, &scratch[..n]);
                    self.inbox.extend_from_slice(&scratch[..n]);
                }
                Ok(n)
            });
            match read {
                Ok(0) => return Ok(Some(self.ended(End::Closed))),
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => {
                    let seconds = timeout().as_secs();
                    let name = &self.name;
                    return Err(Abort::fail(
                        format!("{name} receives something from the server"),
                        format!("the server sent nothing to {name} for {seconds} s"),
                    ));
                }
                Err(_) => return Ok(Some(self.ended(End::Reset))),
            }
        }
    }

    /// Reads and discards at most `most` bytes. Returns the number of bytes, 0 at the end of the
    /// connection.
    pub fn read_some(&mut self, most: usize) -> CaseResult<usize> {
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
                let seconds = timeout().as_secs();
                Err(Abort::fail(
                    "more bytes, or the end of the connection",
                    format!("nothing for {seconds} s"),
                ))
            }
            Err(_) => {
                self.ended(End::Reset);
                Ok(0)
            }
        }
    }

    /// Reads until the connection ends. Returns the bytes, and the way in which it ended.
    pub fn read_to_end(&mut self) -> CaseResult<(Vec<u8>, End)> {
        let start = Instant::now();
        loop {
            if let Some(end) = self.fill()? {
                return Ok((std::mem::take(&mut self.inbox).into(), end));
            }
            if self.inbox.len() > FLOOD || start.elapsed() > 4 * timeout() {
                let expected = format!("the end of the connection for {}", self.name);
                return Err(Abort::fail(
                    expected,
                    format!("{} bytes so far, and no end", self.inbox.len()),
                ));
            }
        }
    }

    /// Asserts that the server now closes in good order, without sending anything more.
    pub fn assert_closed(&mut self) -> Verdict {
        let end = self.read_end()?;
        ensure(end == End::Closed, "a close in good order", "a reset (RST)")
    }

    /// Asserts that the connection ends, closed or reset, without anything more being sent.
    pub fn assert_disconnected(&mut self) -> Verdict {
        self.read_end().map(drop)
    }

    fn read_end(&mut self) -> CaseResult<End> {
        // A single byte already fails the case, so only one piece is read: a faulty server may send
        // without end.
        let end = if self.inbox.is_empty() {
            self.fill().map_err(|stop| stop.expecting("the end of the connection"))?
        } else {
            None
        };
        end.ok_or_else(|| {
            let shown = crate::show::bytes(&self.inbox, self.inbox.len());
            Abort::fail(
                "the end of the connection, and no bytes before it",
                format!("these bytes first: {shown}"),
            )
        })
    }

    /// Reads the response to a request whose method is not HEAD.
    pub fn response(&mut self) -> CaseResult<Response> {
        self.response_to("GET")
    }

    /// Reads exactly one final response, and skips interim responses (1xx).
    pub fn response_to(&mut self, method: &str) -> CaseResult<Response> {
        loop {
            let response = self.any_response(method)?;
            if response.status >= 200 {
                self.announced_close = response.announces_close();
                return Ok(response);
            }
        }
    }

    /// Reads exactly one response, which may be an interim response (1xx).
    pub fn any_response(&mut self, method: &str) -> CaseResult<Response> {
        let response = self.read_response(method)?;
        if self.refusal_ends_case && response.status >= 400 && response.announces_close()
        {
            self.assert_disconnected()?; // no request after the refused one may be answered
            return Err(Abort::skip(format!("refused with status {}", response.status)));
        }
        Ok(response)
    }

    fn read_response(&mut self, method: &str) -> CaseResult<Response> {
        let head = self.head()?;
        let mut response = Response::parse_head(&head).map_err(|error| {
            Abort::fail("a well-formed response head (RFC 9112 section 4)", error)
        })?;
        let empty = method == "HEAD" || matches!(response.status, 100..=199 | 204 | 304);
        if empty {
            return Ok(response);
        }
        let lengths = response.all("Content-Length");
        if response.list_contains("Transfer-Encoding", "chunked") {
            response.content = self.chunked()?;
        } else if lengths.len() > 1 {
            return Err(Abort::fail("one Content-Length", format!("{lengths:?}")));
        } else if let Some(text) = lengths.first() {
            let length = text.parse().map_err(|_| {
                Abort::fail("a Content-Length of digits only", format!("{text:?}"))
            })?;
            response.content = self.read_exactly(length, "the announced content")?;
        } else {
            // The content is delimited by the end of the connection (RFC 9112 section 6.3, rule 8).
            let (content, end) = self.read_to_end()?;
            if end == End::Reset {
                return Err(Abort::fail(
                    "content up to a close in good order",
                    "a reset (RST)",
                ));
            }
            response.content = content;
        }
        Ok(response)
    }

    fn head(&mut self) -> CaseResult<Vec<u8>> {
        let mut searched = 0;
        loop {
            let from = searched;
            if let Some(at) = find(&self.inbox[from..], b"\r\n\r\n") {
                return Ok(self.inbox.split_to(from + at + 4).into());
            }
            searched = self.inbox.len().saturating_sub(3);
            if self.inbox.len() > LARGEST_HEAD {
                return Err(Abort::fail("a response head", "64 KiB without its end"));
            }
            self.more(|| A_RESPONSE.to_owned())?;
        }
    }

    /// Receives more bytes. `waiting_for` describes these bytes for the report of a failure.
    fn more(&mut self, waiting_for: impl Fn() -> String) -> CaseResult<()> {
        let name = self.name.clone();
        let wanted = || format!("{name} receives {}", waiting_for());
        let Some(end) = self.fill().map_err(|stop| stop.expecting(wanted()))? else {
            return Ok(());
        };
        let (wanted, waiting_for) = (wanted(), waiting_for());
        if self.inbox.is_empty() && waiting_for == A_RESPONSE {
            self.skip_if_closed()?;
            if self.refusal_ends_case {
                return Err(Abort::skip("closed without a response"));
            }
        }
        let how = match end {
            End::Closed => "the server closed the connection",
            End::Reset => "the server reset the connection",
        };
        let got = self.inbox.len();
        let rest = match got {
            0 => String::new(),
            _ if waiting_for == A_RESPONSE => {
                let shown = crate::show::bytes(&self.inbox[..got.min(60)], got);
                format!(" after {got} bytes of an incomplete head: {shown}")
            }
            _ => format!(" after {got} bytes of it"),
        };
        Err(Abort::fail(wanted, format!("{how}{rest}")))
    }

    /// Removes and returns the first `length` bytes of the inbox, and receives more as necessary.
    /// `what` names these bytes in a failure report.
    pub fn read_exactly(&mut self, length: usize, what: &str) -> CaseResult<Vec<u8>> {
        while self.inbox.len() < length {
            self.more(|| format!("{what} ({length} bytes)"))?;
        }
        Ok(self.inbox.split_to(length).into())
    }

    fn chunked(&mut self) -> CaseResult<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| Abort::fail("a chunk size", format!("{line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(content);
            }
            content.extend(self.read_exactly(size, "a chunk")?);
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Abort::fail("CR LF after a chunk", format!("{end:?}")));
            }
        }
    }

    fn line(&mut self) -> CaseResult<String> {
        loop {
            if let Some(at) = find(&self.inbox, b"\r\n") {
                let line = self.inbox.split_to(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more(|| "a line".to_owned())?;
        }
    }
}

/// Returns the position of the first `needle` in `hay`, or `None` if `hay` does not contain it.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
