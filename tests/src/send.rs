//! Sending bytes: all at once, in pieces, or slowly; and closing the connection.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::client::{Client, Peek};
use crate::timeout::{timed_out, timeout};
use crate::transcript::EventKind;
use crate::verdict::{Abort, CaseResult, Verdict};

impl Client {
    /// Sends all bytes. If the server no longer accepts bytes, the transcript notes how many are
    /// unsent, and the function returns `Ok`: the response that is read next decides whether the
    /// server was allowed to stop reading.
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
                    let seconds = timeout().as_secs();
                    return Err(Abort::fail(
                        "a server that reads what it is sent",
                        format!(
                            "it read nothing for {seconds} s; {} bytes are still unsent",
                            rest.len()
                        ),
                    ));
                }
                Err(_) => {
                    self.note(format!(
                        "the server accepts no more bytes ({} unsent)",
                        rest.len()
                    ));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sends as many bytes as the socket takes without blocking. Returns the number of bytes sent.
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

    /// Sends a byte as urgent data (send(2), MSG_OOB). A read by the server stops before this byte,
    /// even if more bytes have already arrived after it.
    pub fn send_urgent(&mut self, byte: u8) -> Verdict {
        SockRef::from(&self.stream)
            .send_out_of_band(&[byte])
            .map_err(|error| Abort::fail("urgent data sent", error.to_string()))?;
        self.log.sent(&self.name, &[byte]);
        self.note("the last byte was urgent data (MSG_OOB)");
        Ok(())
    }

    /// Sends pieces of `size` bytes with a pause after each piece, until all pieces are sent or the
    /// server reacts. Returns `true` if the server sent something or ended the connection before
    /// the last piece was sent.
    pub fn drip(
        &mut self,
        bytes: impl AsRef<[u8]>,
        size: usize,
        pause: Duration,
    ) -> CaseResult<bool> {
        for piece in bytes.as_ref().chunks(size) {
            if self.peek(Duration::ZERO) != Peek::Nothing {
                return Ok(true);
            }
            self.send(piece)?;
            self.log.add(&self.name, EventKind::Paused(pause.as_millis() as u64));
            if self.peek(pause) != Peek::Nothing {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends pieces as [`Client::drip`] does, but stops at the suite's timeout: a server that has
    /// not reacted by then counts as hung. Returns what `drip` returns.
    pub fn drip_until_timeout(
        &mut self,
        bytes: impl AsRef<[u8]>,
        size: usize,
        pause: Duration,
    ) -> CaseResult<bool> {
        let bytes = bytes.as_ref();
        let most = size * timeout().div_duration_f64(pause) as usize;
        self.drip(&bytes[..bytes.len().min(most)], size, pause)
    }

    /// Sends all bytes, the last of them in one segment with the FIN: MSG_MORE holds the bytes back
    /// until the sending side is shut down (send(2)).
    pub fn send_and_half_close(&mut self, bytes: &[u8]) -> Verdict {
        #[cfg(target_os = "linux")]
        {
            let socket = SockRef::from(&self.stream);
            let sent = socket.send_with_flags(bytes, nix::libc::MSG_MORE).unwrap_or(0);
            self.log.sent(&self.name, &bytes[..sent]);
            let bytes = &bytes[sent..];
            self.send(bytes)?;
        }
        #[cfg(not(target_os = "linux"))]
        self.send(bytes)?;
        self.half_close();
        Ok(())
    }

    /// Sends up to `bytes` bytes of padding, as many as the socket takes within half a second, and
    /// shuts down the sending side.
    pub fn send_much_and_half_close(&mut self, bytes: usize) -> Verdict {
        let start = Instant::now();
        let mut left = bytes;
        while left > 0 && start.elapsed() < Duration::from_millis(500) {
            match self.send_some(&vec![b'x'; left.min(64 * 1024)]) {
                0 => std::thread::sleep(Duration::from_millis(1)),
                sent => left -= sent,
            }
        }
        self.half_close();
        Ok(())
    }

    /// Shuts down the client's sending side, so that the server reads an end of file.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.log.add(&self.name, EventKind::HalfClosed);
    }

    /// Resets the connection, so that the server's next read or write fails.
    pub fn reset(self) {
        // A linger time of zero makes close send RST (socket(7), SO_LINGER).
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        self.log.add(&self.name, EventKind::Reset);
    }

    /// Closes the connection by dropping the client, and records the close in the transcript.
    pub fn close(self) {
        self.log.add(&self.name, EventKind::Closed);
    }

    /// Waits until the server has read everything that was sent, so that its next read begins
    /// exactly at the bytes sent next. Gives up after half a second. Returns whether the server has
    /// read everything; always `true` where the system does not tell.
    pub fn wait_until_read(&self) -> bool {
        self.log.add(&self.name, EventKind::WaitedUntilRead);
        let start = Instant::now();
        // The wait is limited, because a server may have a reason to leave bytes unread, for
        // example that it is busy with other clients.
        while start.elapsed() < Duration::from_millis(500) {
            match crate::receive_queue::unread_by_peer(&self.stream) {
                Some(0) => return true,
                Some(_) => std::thread::sleep(Duration::from_micros(200)),
                None => {
                    std::thread::sleep(Duration::from_millis(3));
                    return true;
                }
            }
        }
        false
    }

    /// Sends the pieces, and waits after each piece until the server has read it. If the server
    /// leaves one unread, it is not given time for the pieces behind it.
    pub fn send_in_pieces<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Verdict {
        let mut reads = true;
        for piece in pieces {
            self.send(piece)?;
            reads = reads && self.wait_until_read();
        }
        Ok(())
    }
}
