//! The blocking server's heart: one connection, one request after another.
//!
//! It contains nothing but waits. What the bytes mean is decided by
//! [`Inbox::next`], what to answer by [`Site::respond`], how the answer looks by
//! [`Outbox::push`]; none of them ever waits. So this function can be laid beside
//! chapter 3's state machine and chapter 6's `async fn`, which drive the same three.

use crate::app::site::Site;
use crate::deadlines::Wait;
use crate::http::{HttpError, Inbox, Outbox, Parsed, ResponseContext};
use crate::server::trace::trace;
use crate::stream::Stream;
use std::io::{self, ErrorKind};
use std::time::SystemTime;

/// What becomes of a connection when [`serve`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Everything is answered, nothing is buffered: it may stay, and whoever serves it may
    /// take its buffers away until it speaks again.
    Idle,
    /// It got its last answer. Close in stages: see [`linger`].
    Linger,
    /// Nothing is left to say: close.
    Close,
}

// ANCHOR: serve
/// Serves requests until none is left in the buffer, and waits for what it needs for
/// that.
///
/// A client's misbehaviour ends as a refusal or a close. An error means that
/// the connection is broken, and is of interest to nobody but a trace.
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
                    outbox.push(response, context, &SystemTime::now);
                    if last {
                        outbox.flush(stream)?;
                        return Ok(After::Linger);
                    }
                    if outbox.is_full() {
                        outbox.flush(stream)?;
                    }
                    stream.deadline(Wait::Idle); // the next request has its own time
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
        outbox.flush(stream)?; // one write for a burst of requests
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

/// A deadline has passed: without a word between requests, with 408 within one.
fn too_late(
    stream: &mut impl Stream,
    site: &Site,
    inbox: &Inbox,
    outbox: &mut Outbox,
) -> io::Result<After> {
    site.stats.timeouts.add();
    let Some(why) = inbox.too_late() else { return Ok(After::Close) };
    // If it does not read either, it has been counted already.
    refuse(why, stream, site, outbox).or(Ok(After::Close))
}

/// Says why not. It is the connection's last answer.
/// An error means that the connection is
/// broken.
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

/// Queues a refusal, and counts it.
pub fn push_error(why: HttpError, site: &Site, outbox: &mut Outbox) {
    trace!("refuse", "{}: {}", why.status, why.reason);
    site.stats.refused.add();
    outbox.push_error(why, &SystemTime::now);
}

/// At most so much is read from a client that has had its last answer.
pub const LINGER_BYTES: usize = 8 << 20;

// ANCHOR: linger
/// Closes in stages (RFC 9112 section 9.6): stop sending, read on for a bounded
/// time and amount, and only then let go. Closing a socket while the client still
/// sends makes the kernel answer with a reset, and a reset may throw away the answer
/// that the client has not read yet.
pub fn linger(stream: &mut impl Stream, inbox: &mut Inbox) -> io::Result<()> {
    stream.shutdown_write()?;
    stream.deadline(Wait::Linger);
    let mut read = 0;
    while read < LINGER_BYTES {
        inbox.clear();
        match stream.fill(inbox) {
            Ok(n) if n > 0 => read += n,
            Err(error) if error.kind() != ErrorKind::TimedOut => return Err(error),
            Ok(_) | Err(_) => break, // it has left, or it had its time
        }
    }
    Ok(())
}
// ANCHOR_END: linger
