//! One connection from its first byte to its last: wait, read, answer, then continue or close.

use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;

use crate::answer::{self, HttpError, Response, ResponseContext};
use crate::content;
use crate::framing::Framing;
use crate::head::{self, Head};
use crate::mutations::Mutation;
use crate::private;
use crate::server::{Reservation, Server, count};
use crate::site;
use crate::switch::wrong;
use crate::wire::{Deadline, End, Input, Wire};

/// A guard that counts one open connection until the guard is dropped.
struct Open<'s>(&'s AtomicUsize);

impl<'s> Open<'s> {
    fn new(counter: &'s AtomicUsize) -> Self {
        count(counter);
        Self(counter)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !wrong(Mutation::OpenNeverFalls) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Serves one connection until the client or the server ends it.
pub(crate) fn serve(stream: &TcpStream, server: &Server) {
    let _open = Open::new(&server.stats.open);
    if wrong(Mutation::LeaksDescriptor) {
        std::mem::forget(stream.try_clone());
    }
    if wrong(Mutation::LeaksMemory) {
        std::mem::forget(vec![1_u8; 64 * 1024]);
    }
    if wrong(Mutation::PrintsToStandardOutput) {
        println!("a client has connected");
    }
    // Responses are collected and written together, so Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    if !wrong(Mutation::RoomToldLate) {
        lower_write_watermark(stream);
    }
    let mut wire = Wire::new(stream, server);
    match serve_requests(&mut wire, server) {
        Ok(()) => linger(&mut wire, stream, server.options.linger_timeout),
        Err(End::TimedOut) if wrong(Mutation::TimeoutsUncounted) => {}
        Err(End::TimedOut) => count(&server.stats.timeouts),
        Err(_) => {}
    }
    if wrong(Mutation::LeaksDescriptor) || wrong(Mutation::LeaksThread) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Lowers the amount of unsent data below which the kernel reports the socket as writable.
///
/// The kernel reports a socket with a buffer of several megabytes as writable only when a third
/// of the buffer is free. With a slow reader, freeing that third can take longer than the write
/// deadline, although the client keeps reading.
fn lower_write_watermark(stream: &TcpStream) {
    const ENOUGH: u32 = 16 * 1024;
    let socket = SockRef::from(stream);
    // An error of setsockopt(2) is ignored: the connection is still served, but a slow reader may
    // be disconnected at the write deadline.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(ENOUGH);
    #[cfg(not(target_os = "linux"))]
    let _ = socket.set_send_buffer_size(ENOUGH as usize);
}

/// Rejects a connection that cannot be served: sends 503 and lingers for at most `linger_for`.
pub(crate) fn reject(
    stream: &TcpStream,
    server: &Server,
    why: &'static str,
    linger_for: Duration,
) {
    count(&server.stats.refused);
    let mut wire = Wire::new(stream, server);
    let context =
        ResponseContext { head_only: false, close: true, say_keep_alive: false };
    let error = Response::from(HttpError::closing(503, why));
    if answer::push(&mut wire, error, context).is_ok() && wire.flush().is_ok() {
        linger(&mut wire, stream, linger_for);
    }
}

/// Serves one request after the other. Returns `Ok` when the connection's last response has been
/// sent.
fn serve_requests(wire: &mut Wire<'_>, server: &Server) -> Result<(), End> {
    let idle = server.options.idle_timeout;
    let from_accept = Deadline::after(idle);
    let mut deferred = Vec::new();
    let mut served = 0;
    loop {
        if wire.input.is_empty() {
            for (response, context) in deferred.drain(..) {
                send(wire, response, context)?;
            }
            let deadline = if wrong(Mutation::NoIdleDeadline) {
                Deadline::never()
            } else if wrong(Mutation::IdleDeadlineFromAccept) {
                from_accept
            } else {
                Deadline::after(idle)
            };
            match wire.fill(deadline, !wrong(Mutation::IgnoresStopWhileIdle))? {
                Input::Bytes => {}
                Input::TimedOut if wrong(Mutation::IdleDeadlineSpeaks) => {
                    count(&server.stats.timeouts);
                    let error = HttpError::closing(408, "the client sent nothing");
                    let (response, context) = refused(error, false);
                    send(wire, response, context)?;
                    return wire.flush();
                }
                Input::TimedOut => return Err(End::TimedOut),
                Input::Eof | Input::Shutdown => return Err(End::Gone),
            }
        }
        let mut head_only = false;
        let mut reserved = Reservation::new(server);
        let (response, mut context) =
            match receive(wire, server, &mut head_only, &mut reserved) {
                Ok((head, content)) => {
                    let (mut response, mut context) = respond(&head, content, server)?;
                    private::spoil(&head, served + 1, &mut response);
                    context.close |= response.close;
                    (response, context)
                }
                Err(End::Refused(error)) => refused(error, head_only),
                Err(ending) => return Err(ending),
            };
        if server.stop.requested() && !wrong(Mutation::DrainUnannounced) {
            context.close = true;
        }
        count_response(&response, server);
        if wrong(Mutation::OutOfOrder)
            && !response.delay.is_zero()
            && !wire.input.is_empty()
        {
            deferred.push((response, context));
            continue;
        }
        if !response.delay.is_zero() {
            wire.sleep(response.delay)?;
            // Shutdown may have been requested while the response was delayed. The response then
            // announces that the connection is closed.
            context.close |=
                server.stop.requested() && !wrong(Mutation::DrainUnannounced);
        }
        if wrong(Mutation::HalfCloseLosesAnswer) && wire.half_closed() {
            return Err(End::Gone);
        }
        send(wire, Response { delay: Duration::ZERO, ..response }, context)?;
        if context.close {
            return wire.flush();
        }
        served += 1;
        if served == 100 && wrong(Mutation::ClosesAfterHundred) {
            return wire.flush();
        }
    }
}

fn send(
    wire: &mut Wire<'_>,
    response: Response,
    context: ResponseContext,
) -> Result<(), End> {
    if !response.delay.is_zero() {
        wire.sleep(response.delay)?;
    }
    answer::push(wire, response, context)
}

/// Reads one complete request.
fn receive(
    wire: &mut Wire<'_>,
    server: &Server,
    head_only: &mut bool,
    reserved: &mut Reservation<'_>,
) -> Result<(Head, Vec<u8>), End> {
    let head = head::read(wire, server, head_only)?;
    let served = ["GET", "HEAD", "POST", "OPTIONS"].contains(&head.method.as_str());
    if wrong(Mutation::RefusedContentAsRequest) && !served {
        return Ok((head, Vec::new()));
    }
    let empty = matches!(head.framing, Framing::Length(0));
    let content = content::read(wire, &head, server, reserved)?;
    if (empty && wrong(Mutation::ForgetsSecond))
        || (!empty && wrong(Mutation::DropsAfterContent))
    {
        wire.input.clear();
    }
    Ok((head, content))
}

pub(crate) fn respond(
    head: &Head,
    content: Vec<u8>,
    server: &Server,
) -> Result<(Response, ResponseContext), End> {
    let answered =
        catch_unwind(AssertUnwindSafe(|| site::respond(head, content, server)));
    let response = answered.or_else(|_| {
        if wrong(Mutation::PanicEndsServer) {
            std::process::exit(101);
        }
        count(&server.stats.panics);
        if wrong(Mutation::PanicUnanswered) {
            return Err(End::Gone);
        }
        let mut response =
            Response::text(500, "500 Internal Server Error: the application failed\n");
        response.close = true;
        Ok(response)
    })?;
    let context = ResponseContext {
        head_only: head.method == "HEAD"
            && !(response.error && wrong(Mutation::RefusedHeadWithBody)),
        close: response.close || !head.keep_alive,
        say_keep_alive: !head.modern,
    };
    Ok((response, context))
}

pub(crate) fn refused(error: HttpError, head_only: bool) -> (Response, ResponseContext) {
    let response = Response::from(error);
    let mistake = match response.status {
        408 => Mutation::LateHeadWithBody,
        _ => Mutation::MalformedHeadWithBody,
    };
    let context = ResponseContext {
        head_only: head_only && !wrong(Mutation::RefusedHeadWithBody) && !wrong(mistake),
        close: response.close,
        say_keep_alive: false,
    };
    (response, context)
}

pub(crate) fn count_response(response: &Response, server: &Server) {
    if response.error {
        count(&server.stats.refused);
    } else if response.status != 500 {
        count(&server.stats.requests);
    }
    if response.status == 408 && !wrong(Mutation::TimeoutsUncounted) {
        count(&server.stats.timeouts);
    }
}

/// Maximum number of bytes discarded while lingering: enough for content that was on its way when
/// the server refused the request.
const LINGER_AMOUNT: usize = 16 << 20;

/// Closes in stages: shuts down the sending side, then discards input until end of file.
///
/// Closing with unread input would send a reset, and a reset can destroy the response before
/// the client has read it (RFC 9112 section 9.6).
fn linger(wire: &mut Wire<'_>, stream: &TcpStream, time: Duration) {
    if wrong(Mutation::ResetsInsteadOfFinishing) {
        return;
    }
    if !wrong(Mutation::LingersWithoutShutdown) {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let deadline = if wrong(Mutation::LingersForEver) {
        Deadline::each(time)
    } else {
        Deadline::after(time)
    };
    let mut amount = 0;
    while amount < LINGER_AMOUNT || wrong(Mutation::LingersForEver) {
        wire.input.clear();
        let Ok(Input::Bytes) = wire.fill(deadline, false) else {
            return;
        };
        amount += wire.input.len();
    }
}
