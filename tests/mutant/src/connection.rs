//! One client from its first byte to its last: wait, read, answer, go on or close.

use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;

use crate::answer::{self, Dress, Refusal, Response};
use crate::content;
use crate::framing::Framing;
use crate::head::{self, Head};
use crate::mutations::Mutation;
use crate::server::{Held, Server, count};
use crate::site;
use crate::switch::wrong;
use crate::wire::{Came, Deadline, Ending, Wire};

/// Counts itself among the open connections as long as it lives.
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

/// Serves one client until it or we have had enough.
pub(crate) fn serve(stream: &TcpStream, server: &Server) {
    let _open = Open::new(&server.stats.open);
    if wrong(Mutation::LeaksDescriptor) {
        std::mem::forget(stream.try_clone());
    }
    if wrong(Mutation::LeaksMemory) {
        std::mem::forget(vec![1_u8; 64 * 1024]);
    }
    if wrong(Mutation::PrintsToStandardOutput) {
        println!("a client has come");
    }
    // Answers go out in bursts of our own choice; waiting for more only delays them.
    let _ = stream.set_nodelay(true);
    if !wrong(Mutation::RoomToldLate) {
        tell_room_early(stream);
    }
    let mut wire = Wire::new(stream, server);
    match converse(&mut wire, server) {
        Ok(()) => linger(&mut wire, stream, server.options.linger_timeout),
        Err(Ending::Late) if wrong(Mutation::TimeoutsUncounted) => {}
        Err(Ending::Late) => count(&server.stats.timeouts),
        Err(_) => {}
    }
    if wrong(Mutation::LeaksDescriptor) || wrong(Mutation::LeaksThread) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// A kernel that has given the socket a buffer of megabytes says that there is
/// room only when a third of it is free, and to a slow reader that may take longer
/// than the write deadline, though it keeps reading.
fn tell_room_early(stream: &TcpStream) {
    const ENOUGH: u32 = 16 * 1024;
    let socket = SockRef::from(stream);
    // Without it the deadline is coarser, not wrong.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(ENOUGH);
    #[cfg(not(target_os = "linux"))]
    let _ = socket.set_send_buffer_size(ENOUGH as usize);
}

/// Refuses a client that cannot be served at all.
pub(crate) fn turn_away(
    stream: &TcpStream,
    server: &Server,
    why: &'static str,
    linger_for: Duration,
) {
    count(&server.stats.refused);
    let mut wire = Wire::new(stream, server);
    let dress = Dress { head_only: false, close: true, say_keep_alive: false };
    let refusal = Response::from(Refusal::closing(503, why));
    if answer::push(&mut wire, refusal, dress).is_ok() && wire.flush().is_ok() {
        linger(&mut wire, stream, linger_for);
    }
}

/// One request after the other. It ends well with the last answer sent.
fn converse(wire: &mut Wire<'_>, server: &Server) -> Result<(), Ending> {
    let idle = server.options.idle_timeout;
    let from_accept = Deadline::after(idle);
    let mut deferred = Vec::new();
    let mut served = 0;
    loop {
        if wire.input.is_empty() {
            for (response, dress) in deferred.drain(..) {
                send(wire, response, dress)?;
            }
            let deadline = if wrong(Mutation::NoIdleDeadline) {
                Deadline::never()
            } else if wrong(Mutation::IdleDeadlineFromAccept) {
                from_accept
            } else {
                Deadline::after(idle)
            };
            match wire.fill(deadline, !wrong(Mutation::IgnoresStopWhileIdle))? {
                Came::Bytes => {}
                Came::Late if wrong(Mutation::IdleDeadlineSpeaks) => {
                    count(&server.stats.timeouts);
                    let refusal = Refusal::closing(408, "the client said nothing");
                    let (response, dress) = refused(refusal, false);
                    send(wire, response, dress)?;
                    return wire.flush();
                }
                Came::Late => return Err(Ending::Late),
                Came::End | Came::Stop => return Err(Ending::Gone),
            }
        }
        let mut head_only = false;
        let mut held = Held::new(server);
        let (response, mut dress) = match receive(wire, server, &mut head_only, &mut held)
        {
            Ok((head, content)) => respond(&head, content, server)?,
            Err(Ending::Refused(refusal)) => refused(refusal, head_only),
            Err(ending) => return Err(ending),
        };
        if server.stop.asked() && !wrong(Mutation::DrainUnannounced) {
            dress.close = true;
        }
        tally(&response, server);
        if wrong(Mutation::OutOfOrder)
            && !response.delay.is_zero()
            && !wire.input.is_empty()
        {
            deferred.push((response, dress));
            continue;
        }
        if !response.delay.is_zero() {
            wire.sleep(response.delay)?;
            // The wish to stop may have come in the meantime.
            dress.close |= server.stop.asked() && !wrong(Mutation::DrainUnannounced);
        }
        if wrong(Mutation::HalfCloseLosesAnswer) && wire.half_closed() {
            return Err(Ending::Gone);
        }
        send(wire, Response { delay: Duration::ZERO, ..response }, dress)?;
        if dress.close {
            return wire.flush();
        }
        served += 1;
        if served == 100 && wrong(Mutation::ClosesAfterHundred) {
            return wire.flush();
        }
    }
}

fn send(wire: &mut Wire<'_>, response: Response, dress: Dress) -> Result<(), Ending> {
    if !response.delay.is_zero() {
        wire.sleep(response.delay)?;
    }
    answer::push(wire, response, dress)
}

/// One whole request.
fn receive(
    wire: &mut Wire<'_>,
    server: &Server,
    head_only: &mut bool,
    held: &mut Held<'_>,
) -> Result<(Head, Vec<u8>), Ending> {
    let head = head::read(wire, server, head_only)?;
    let served = ["GET", "HEAD", "POST", "OPTIONS"].contains(&head.method.as_str());
    if wrong(Mutation::RefusedContentAsRequest) && !served {
        return Ok((head, Vec::new()));
    }
    let empty = matches!(head.framing, Framing::Length(0));
    let content = content::read(wire, &head, server, held)?;
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
) -> Result<(Response, Dress), Ending> {
    let answered =
        catch_unwind(AssertUnwindSafe(|| site::respond(head, content, server)));
    let response = answered.or_else(|_| {
        if wrong(Mutation::PanicEndsServer) {
            std::process::exit(101);
        }
        count(&server.stats.panics);
        if wrong(Mutation::PanicUnanswered) {
            return Err(Ending::Gone);
        }
        let mut response =
            Response::text(500, "500 Internal Server Error: the application failed\n");
        response.close = true;
        Ok(response)
    })?;
    let dress = Dress {
        head_only: head.method == "HEAD"
            && !(response.refusal && wrong(Mutation::RefusedHeadWithBody)),
        close: response.close || !head.keep_alive,
        say_keep_alive: !head.modern,
    };
    Ok((response, dress))
}

pub(crate) fn refused(refusal: Refusal, head_only: bool) -> (Response, Dress) {
    let response = Response::from(refusal);
    let dress = Dress {
        head_only: head_only && !wrong(Mutation::RefusedHeadWithBody),
        close: response.close,
        say_keep_alive: false,
    };
    (response, dress)
}

pub(crate) fn tally(response: &Response, server: &Server) {
    if response.refusal {
        count(&server.stats.refused);
    } else if response.status != 500 {
        count(&server.stats.requests);
    }
    if response.status == 408 && !wrong(Mutation::TimeoutsUncounted) {
        count(&server.stats.timeouts);
    }
}

/// Enough for a content that was on its way when we refused it.
const LINGER_AMOUNT: usize = 16 << 20;

/// Closes in stages. A close with unread input would send a reset, and a reset
/// can destroy the answer before the client has read it.
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
        let Ok(Came::Bytes) = wire.fill(deadline, false) else {
            return;
        };
        amount += wire.input.len();
    }
}
