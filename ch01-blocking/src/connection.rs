//! One connection from accept to close, served by a thread or process that does nothing
//! else in the meantime.

use crate::app::site::Site;
use crate::deadlines::Timeouts;
use crate::http::{HttpError, Inbox, Outbox};
use crate::serve::{After, linger, refuse, serve};
use crate::server::connections::{Admission, ConnectionGuard};
use crate::server::sys;
use crate::server::trace::trace;
use crate::server::unwind;
use crate::stream::{Blocking, Transport};
use std::io::{self, ErrorKind};

// ANCHOR: handle
/// Serves a connection until it ends, or answers 503 if the connection was rejected.
/// The socket is closed when the caller drops the [`ConnectionGuard`].
///
/// The argument `admission` decides, not the field of `guard`. An error or a panic ends
/// only this connection. Both are traced; timeouts and panics are counted, too.
pub fn handle_connection(
    guard: &ConnectionGuard<'_>,
    admission: Admission,
    site: &Site,
    timeouts: &Timeouts,
) {
    // A panic of a route is caught in `Site::respond`. Any other panic is a bug of this
    // server; it is caught here, so that it costs only this one connection.
    match unwind::catch(|| serve_or_reject(guard, admission, site, timeouts)) {
        Ok(Ok(())) => trace!("close", "done"),
        Ok(Err(error)) if error.kind() == ErrorKind::TimedOut => {
            site.stats.timeouts.add();
            trace!("close", "write timeout");
        }
        // The client or the network caused this error, so the server only traces it.
        Ok(Err(error)) => trace!("close", "{error}"),
        Err(_) => {
            site.stats.panics.add();
            trace!("close", "a panic");
        }
    }
}

fn serve_or_reject(
    guard: &ConnectionGuard<'_>,
    admission: Admission,
    site: &Site,
    timeouts: &Timeouts,
) -> io::Result<()> {
    let mut stream = Blocking::new(guard, timeouts)?;
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(site.limits.output));
    let last = match admission {
        Admission::Admitted => loop {
            match serve(&mut stream, site, &mut inbox, &mut outbox)? {
                After::Idle => {}
                last => break last,
            }
        },
        Admission::Rejected | Admission::RejectedAtOnce => {
            refuse(HttpError::BUSY, &mut stream, site, &mut outbox)?
        }
    };
    match last {
        After::Linger if admission != Admission::RejectedAtOnce => {
            linger(&mut stream, &mut inbox)
        }
        After::Linger => {
            stream.shutdown_write()?;
            // Closing a socket with unread bytes would send a reset, which could
            // destroy the answer. So the bytes that have already arrived are read.
            // Later bytes may cause a reset; waiting for them would occupy a worker.
            trace!("read", "the bytes that have arrived, without waiting");
            // A failure of this read is ignored: the connection is closed next anyway.
            let _ = sys::read_now(&guard.entry.socket, inbox.space());
            Ok(())
        }
        After::Idle | After::Close => Ok(()),
    }
}
// ANCHOR_END: handle
