//! The core of a blocking server: one connection, one request after another.
//!
//! [`serve`] decides nothing, and waits only in its calls to the stream.
//! [`Inbox::next`] decides what received bytes mean, [`Site::respond`] what to answer,
//! [`Outbox::push`] how the answer is written; these three never wait. Chapter 3's
//! state machine and chapter 6's `async fn` drive the same three functions, so the
//! drivers can be compared line by line.

use crate::app::site::Site;
use crate::deadlines::Wait;
use crate::http::{HttpDate, HttpError, Inbox, Outbox, Parsed, ResponseContext};
use crate::server::trace::trace;
use crate::stream::Stream;
use std::io::{self, ErrorKind};

// ANCHOR: after
/// The state of a connection when [`serve`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Every request is answered and nothing is buffered: the connection stays open,
    /// and needs no buffer until the next request arrives.
    Idle,
    /// The last answer was sent: the caller closes in stages with [`linger`].
    Linger,
    /// The connection ends without a last answer, for example because the client has
    /// closed it: the caller closes the socket at once.
    Close,
}
// ANCHOR_END: after

// ANCHOR: serve
/// Waits for a request, and answers it and all that follow it in the buffer. If the
/// last one is incomplete, waits for the rest of it. Returns when the buffer is empty,
/// or when the connection must end.
///
/// # Errors
///
/// Fails if the connection is broken, with `TimedOut` if the client does not take the
/// answers in time, and with `ConnectionAborted` if the stop cuts off a request or a
/// delay. A bad or late request is not an error: it leads to a refusal or a close.
pub fn serve(
    stream: &mut impl Stream,
    site: &Site,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
) -> io::Result<After> {
    stream.deadline(Wait::Idle);
    loop {
        match stream.fill(inbox) {
            Ok(0) if inbox.is_empty() => return Ok(After::Close),
            Ok(0) => return refuse(inbox.cut_off(), stream, site, outbox),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return too_late(stream, site, inbox, outbox);
            }
            Err(error) => return Err(error),
        }
        loop {
            match inbox.next(&site.limits) {
                Parsed::Complete(request) => {
                    let response = site.respond(&request);
                    let context = request.response_context();
                    if let Some(time) = response.delay {
                        outbox.flush(stream)?;
                        stream.sleep(time)?;
                    }
                    let last = response.is_last(context) || site.is_draining();
                    let context = ResponseContext { keep_alive: !last, ..context };
                    outbox.push(response, context, &HttpDate::now);
                    if last {
                        outbox.flush(stream)?;
                        return Ok(After::Linger);
                    }
                    if outbox.is_full() {
                        outbox.flush(stream)?;
                    }
                    // From here on, the connection waits for the next request, which
                    // has its own deadline.
                    stream.deadline(Wait::Idle);
                }
                Parsed::Partial { wants_continue } => {
                    if wants_continue {
                        outbox.push_continue();
                    }
                    break;
                }
                Parsed::Refused(why) => return refuse(why, stream, site, outbox),
            }
        }
        outbox.flush(stream)?; // one write for the answers to a burst
        if inbox.is_pristine() {
            return Ok(After::Idle);
        }
        stream.deadline(match inbox.content_received() {
            None => Wait::Head,
            Some(received) => Wait::Body { received },
        });
    }
}
// ANCHOR_END: serve

// ANCHOR: refuse
/// Handles a deadline that has passed: closes without an answer between requests, and
/// answers 408 in the middle of a request.
fn too_late(
    stream: &mut impl Stream,
    site: &Site,
    inbox: &Inbox,
    outbox: &mut Outbox,
) -> io::Result<After> {
    site.stats.timeouts.add();
    let Some(why) = inbox.too_late() else { return Ok(After::Close) };
    // A client that does not take the 408 in time is not counted as a second timeout.
    refuse(why, stream, site, outbox).or(Ok(After::Close))
}

/// Sends a refusal, the connection's last answer.
///
/// # Errors
///
/// Those of [`Outbox::flush`].
pub fn refuse(
    why: HttpError,
    stream: &mut impl Stream,
    site: &Site,
    outbox: &mut Outbox,
) -> io::Result<After> {
    push_error(why, site, outbox);
    outbox.flush(stream)?;
    Ok(After::Linger)
}
// ANCHOR_END: refuse

/// Queues a refusal and counts it in the site's statistics.
pub fn push_error(why: HttpError, site: &Site, outbox: &mut Outbox) {
    trace!("refuse", "{}: {}", why.status, why.reason);
    site.stats.refused.add();
    outbox.push_error(why, &HttpDate::now);
}

/// Maximum number of bytes that [`linger`] reads and drops after the last answer.
pub const LINGER_BYTES: usize = 8 << 20;

// ANCHOR: linger
/// Closes in stages (RFC 9112 section 9.6): shuts down the sending side, then reads and
/// drops input until the client closes, `--linger-timeout` has passed or
/// [`LINGER_BYTES`] are read. The caller closes the socket next. Fails with any error
/// of the stream except `TimedOut`.
///
/// If a socket is closed while the client still sends, the kernel sends a reset, and a
/// reset may destroy the answer that the client has not read yet.
pub fn linger(stream: &mut impl Stream, inbox: &mut Inbox) -> io::Result<()> {
    stream.shutdown_write()?;
    stream.deadline(Wait::Linger);
    let mut read = 0;
    while read < LINGER_BYTES {
        inbox.clear();
        match stream.fill(inbox) {
            Ok(n) if n > 0 => read += n,
            Err(error) if error.kind() != ErrorKind::TimedOut => return Err(error),
            // The client has closed, or the deadline has passed.
            Ok(_) | Err(_) => break,
        }
    }
    Ok(())
}
// ANCHOR_END: linger
