//! Sending: all at once, in pieces, a little now and then; and ending that.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::client::{Client, Seen};
use crate::patience::{patience, timed_out};
use crate::transcript::What;
use crate::verdict::{Step, Stop, Verdict};

impl Client {
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

    /// Sends a byte as urgent data (send(2), MSG_OOB): a read of the server stops before it,
    /// whatever has come behind it.
    pub fn send_urgent(&mut self, byte: u8) -> Verdict {
        SockRef::from(&self.stream)
            .send_out_of_band(&[byte])
            .map_err(|error| Stop::fail("urgent data sent", error.to_string()))?;
        self.log.sent(&self.name, &[byte]);
        self.note("the last byte was urgent data (MSG_OOB)");
        Ok(())
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

    /// Sends all bytes, the last of them in one segment with the end of file: the kernel
    /// is told that more is to come, and then that nothing is (send(2), MSG_MORE).
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

    /// Sends so many bytes that mean nothing, as far as they go in half a second, and
    /// closes the sending side.
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

    /// Waits until the server has taken everything that was sent out of its
    /// socket's receive queue. So a request can be cut at a place for certain.
    pub fn drained(&self) {
        self.log.add(&self.name, What::Cut);
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
