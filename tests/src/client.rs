//! A raw HTTP client that can misbehave: it sends any bytes in any pieces,
//! half-closes, resets, stalls, never reads, and knows a clean end from a reset.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::transcript::{Transcript, What};
use crate::verdict::{Step, Stop, Verdict, demand};

/// Seconds that a client waits before it calls a silence a hang. Generous: it is
/// no deadline of the protocol, only the end of the suite's patience.
static PATIENCE: AtomicU64 = AtomicU64::new(30);

/// More than any case waits for before an end: a server that says so much will
/// never stop.
const FLOOD: usize = 64 << 20;

/// The suite's patience.
pub fn patience() -> Duration {
    Duration::from_secs(PATIENCE.load(Ordering::Relaxed))
}

/// Changes the suite's patience.
pub fn set_patience(seconds: u64) {
    PATIENCE.store(seconds.max(1), Ordering::Relaxed);
}

/// How the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order: every byte before it has arrived (FIN).
    Closed,
    /// Cut (RST): bytes on their way may have been lost.
    Reset,
}

/// What a look at the socket saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Bytes are there to be read.
    Bytes,
    /// The connection has ended.
    End(End),
    /// Nothing has come.
    Nothing,
}

/// One connection to the server under test.
#[derive(Debug)]
pub struct Client {
    name: String,
    log: Transcript,
    pub(crate) stream: TcpStream,
    /// Received and not yet taken by a reader.
    pub(crate) inbox: Vec<u8>,
    end: Option<End>,
    /// Any refusal will do, whatever its status: see [`crate::ctx::Ctx::lenient`].
    pub(crate) lenient: bool,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr, name: &str, log: &Transcript) -> Step<Self> {
        Self::connect_with(address, name, log, None)
    }

    /// Connects with a receive buffer of about `receive` bytes, if given, and a
    /// send buffer not much larger, so that it is soon felt when the server stalls.
    pub fn connect_with(
        address: SocketAddr,
        name: &str,
        log: &Transcript,
        receive: Option<usize>,
    ) -> Step<Self> {
        let stream = Self::open(address, receive).map_err(|error| {
            Stop::fail(format!("a connection to {address}"), format!("{error}"))
        })?;
        log.add(name, What::Connected);
        let (end, lenient) = (None, false);
        Ok(Self {
            name: name.to_owned(),
            log: log.clone(),
            stream,
            inbox: Vec::new(),
            end,
            lenient,
        })
    }

    fn open(address: SocketAddr, receive: Option<usize>) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if let Some(size) = receive {
            // Before connecting, so that the window is small from the first byte.
            socket.set_recv_buffer_size(size)?;
            socket.set_send_buffer_size(size * 4)?;
        }
        socket.connect_timeout(&address.into(), patience())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(patience()))?;
        socket.set_write_timeout(Some(patience()))?;
        Ok(socket.into())
    }

    /// The letter of this client in the transcript.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a remark into the transcript.
    pub fn note(&self, note: impl Into<String>) {
        self.log.add(&self.name, What::Note(note.into()));
    }

    /// Sends all bytes. That the server no longer takes them is noted and not
    /// an error: what the client reads next tells whether it was right.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Verdict {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(n) => {
                    self.log.sent(&self.name, &rest[..n]);
                    rest = &rest[n..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => {
                    let seconds = patience().as_secs();
                    return Err(Stop::fail(
                        "a server that takes what it is sent",
                        format!(
                            "it took nothing for {seconds} s; {} bytes are left",
                            rest.len()
                        ),
                    ));
                }
                Err(_) => {
                    self.note(format!(
                        "the server takes no more ({} bytes left)",
                        rest.len()
                    ));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sends what the socket takes without waiting; says how much that was.
    pub fn send_some(&mut self, bytes: &[u8]) -> usize {
        let _ = self.stream.set_nonblocking(true);
        let sent = self.stream.write(bytes);
        let _ = self.stream.set_nonblocking(false);
        let sent = sent.unwrap_or(0);
        if sent > 0 {
            self.log.sent(&self.name, &bytes[..sent]);
        }
        sent
    }

    /// Sends pieces of `size` bytes with a pause behind each, until all are
    /// sent or the server says something first. True: it said something
    /// (or hung up) before the last piece was sent.
    pub fn drip(
        &mut self,
        bytes: impl AsRef<[u8]>,
        size: usize,
        pause: Duration,
    ) -> Step<bool> {
        for piece in bytes.as_ref().chunks(size) {
            if self.look(Duration::ZERO) != Seen::Nothing {
                return Ok(true);
            }
            self.send(piece)?;
            self.log.add(&self.name, What::Paused(pause.as_millis() as u64));
            if self.look(pause) != Seen::Nothing {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes the sending side.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.log.add(&self.name, What::HalfClosed);
    }

    /// Resets the connection: the server's next read or write fails.
    pub fn reset(self) {
        // Zero linger turns close into RST (socket(7), SO_LINGER).
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        self.log.add(&self.name, What::Reset);
    }

    /// Closes.
    pub fn close(self) {
        self.log.add(&self.name, What::Closed);
    }

    /// Looks, for at most `wait`, whether something has come; takes nothing.
    pub fn look(&mut self, wait: Duration) -> Seen {
        if !self.inbox.is_empty() {
            return Seen::Bytes;
        }
        if let Some(end) = self.end {
            return Seen::End(end);
        }
        let before = Instant::now();
        loop {
            let left = wait.saturating_sub(before.elapsed());
            match self.peek(left) {
                Ok(0) => return Seen::End(End::Closed),
                Ok(_) => return Seen::Bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => return Seen::Nothing,
                Err(_) => {
                    self.ended(End::Reset);
                    return Seen::End(End::Reset);
                }
            }
        }
    }

    fn peek(&self, wait: Duration) -> std::io::Result<usize> {
        let mut one = [0];
        if wait.is_zero() {
            self.stream.set_nonblocking(true)?;
            let result = self.stream.peek(&mut one);
            self.stream.set_nonblocking(false)?;
            return result;
        }
        self.stream.set_read_timeout(Some(wait))?;
        let result = self.stream.peek(&mut one);
        self.stream.set_read_timeout(Some(patience()))?;
        result
    }

    /// Demands that nothing has come so far.
    pub fn has_nothing(&mut self, why: &str) -> Verdict {
        let seen = self.look(Duration::ZERO);
        demand(
            seen == Seen::Nothing,
            format!("nothing yet for {}: {why}", self.name),
            match seen {
                Seen::Bytes => "bytes are there".to_owned(),
                other => format!("{other:?}"),
            },
        )
    }

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
                self.log.received(&self.name, &scratch[..n]);
                if n == 0 {
                    self.ended(End::Closed);
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

    fn ended(&mut self, end: End) -> End {
        if self.end.is_none() {
            self.end = Some(end);
            let what =
                if end == End::Closed { What::PeerClosed } else { What::PeerReset };
            self.log.add(&self.name, what);
        }
        end
    }

    /// Reads until the connection ends; gives what came and how it ended.
    pub fn rest(&mut self) -> Step<(Vec<u8>, End)> {
        let start = Instant::now();
        loop {
            if let Some(end) = self.fill()? {
                return Ok((std::mem::take(&mut self.inbox), end));
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
        let end = if self.inbox.is_empty() { self.fill()? } else { None };
        end.ok_or_else(|| {
            let shown = crate::show::bytes(&self.inbox, self.inbox.len());
            Stop::fail(
                "the end of the connection and nothing before it",
                format!("first {shown}"),
            )
        })
    }

    /// Waits until the server has taken everything that was sent out of its
    /// socket's receive queue. So a request can be cut at a place for certain.
    pub fn drained(&self) {
        let start = Instant::now();
        // A server may rightly leave bytes lying (it is busy with others): then go on.
        while start.elapsed() < Duration::from_millis(500) {
            match crate::queue::unread_by_peer(&self.stream) {
                Some(0) => return,
                Some(_) => std::thread::sleep(Duration::from_micros(200)),
                None => return std::thread::sleep(Duration::from_millis(3)),
            }
        }
    }

    /// Sends the pieces and waits behind each until the server has taken it.
    pub fn send_in_pieces<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Verdict {
        for piece in pieces {
            self.send(piece)?;
            self.drained();
        }
        Ok(())
    }
}

fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
