//! Chapter 1's [`serve`](ch01_blocking::serve()) as an `async fn`.
//!
//! For its decisions, this function calls the same three functions as chapter 1's, which never
//! wait: `Inbox::next`, `Site::respond`, `Outbox::push`. Every line that may wait has an `.await`,
//! and every function that contains such a line is `async`, up to the task. The compiler turns the
//! result into a state machine like chapter 3's: one variant for each `.await`, which holds the
//! variables that are still needed after it.

use super::async_stream::AsyncStream;
use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::Wait;
use ch01_blocking::http::{
    HttpDate, HttpError, Inbox, Outbox, Parsed, Response, ResponseContext,
};
use ch01_blocking::serve::{After, LINGER_BYTES, push_error};
use ch01_blocking::stream::Transport;
use std::io::{self, ErrorKind};

// ANCHOR: serve
/// Serves requests, and waits for the socket where needed, until no request is left in
/// the inbox. Compare chapter 1's [`serve`](ch01_blocking::serve()).
pub(crate) async fn serve(
    stream: &mut AsyncStream,
    site: &Site,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
) -> io::Result<After> {
    stream.deadline(Wait::Idle);
    let why = 'refused: loop {
        match stream.fill(inbox).await {
            Ok(0) if inbox.is_empty() => return Ok(After::Close),
            Ok(0) => break inbox.cut_off(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                site.stats.timeouts.add();
                let Some(why) = inbox.too_late() else { return Ok(After::Close) };
                // This timeout is counted above. A second one, while the refusal is
                // sent, only closes the connection.
                return refuse(why, stream, site, outbox).await.or(Ok(After::Close));
            }
            Err(error) => return Err(error),
        }
        loop {
            let (response, context) = match decide(site, inbox) {
                Decided::Answer(response, context) => (response, context),
                Decided::Partial { wants_continue } => {
                    if wants_continue {
                        outbox.push_continue();
                    }
                    break;
                }
                Decided::Refused(why) => break 'refused why,
            };
            if let Some(time) = response.delay {
                stream.flush(outbox).await?;
                inbox.shrink(); // the task reads nothing during the delay
                stream.sleep(time).await?;
            }
            let last = response.is_last(context) || site.is_draining();
            let context = ResponseContext { keep_alive: !last, ..context };
            outbox.push(response, context, &HttpDate::now);
            if last {
                stream.flush(outbox).await?;
                return Ok(After::Linger);
            }
            if outbox.is_full() {
                stream.flush(outbox).await?;
            }
            stream.deadline(Wait::Idle); // the next request has its own deadline
        }
        stream.flush(outbox).await?; // one write for a burst of requests
        if inbox.is_pristine() {
            return Ok(After::Idle);
        }
        stream.deadline(match inbox.content_received() {
            None => Wait::Head,
            Some(received) => Wait::Body { received },
        });
    };
    refuse(why, stream, site, outbox).await
}
// ANCHOR_END: serve

// ANCHOR: decide
/// Parses the next request and computes the response. The result does not contain the
/// request, which is large and borrows the inbox: a variable that lives across an
/// `.await` is part of the future.
fn decide(site: &Site, inbox: &mut Inbox) -> Decided {
    match inbox.next(&site.limits) {
        Parsed::Complete(request) => {
            Decided::Answer(site.respond(&request), request.response_context())
        }
        Parsed::Partial { wants_continue } => Decided::Partial { wants_continue },
        Parsed::Refused(why) => Decided::Refused(why),
    }
}

enum Decided {
    Answer(Response, ResponseContext),
    Partial { wants_continue: bool },
    Refused(HttpError),
}
// ANCHOR_END: decide

/// Sends an error response as the connection's last one.
pub(crate) async fn refuse(
    why: HttpError,
    stream: &mut AsyncStream,
    site: &Site,
    outbox: &mut Outbox,
) -> io::Result<After> {
    push_error(why, site, outbox);
    stream.flush(outbox).await?;
    Ok(After::Linger)
}

/// Closes the connection in stages, as chapter 1's [`linger`](ch01_blocking::serve::linger) does:
/// that function's documentation has the reason.
pub(crate) async fn linger(
    stream: &mut AsyncStream,
    inbox: &mut Inbox,
) -> io::Result<()> {
    stream.0.shutdown_write()?;
    stream.deadline(Wait::Linger);
    let mut read = 0;
    while read < LINGER_BYTES {
        inbox.clear();
        match stream.fill(inbox).await {
            Ok(n) if n > 0 => read += n,
            Err(error) if error.kind() != ErrorKind::TimedOut => return Err(error),
            Ok(_) | Err(_) => break, // the client has closed, or the linger time is up
        }
    }
    Ok(())
}
