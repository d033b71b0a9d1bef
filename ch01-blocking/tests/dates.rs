//! Tests that responses that are flushed together have the same date, and that the
//! clock is read once for these responses.

use ch01_blocking::http::{
    HttpDate, Inbox, Method, Outbox, Response, ResponseContext, Version,
};
use ch01_blocking::stream::Transport;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, UNIX_EPOCH};

/// A client that accepts `room` bytes; after that, a write to it would block.
struct Client {
    got: Vec<u8>,
    room: usize,
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(std::mem::take(&mut self.room));
        self.got.extend_from_slice(&bytes[..taken]);
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Client {
    fn fill(&mut self, _: &mut Inbox) -> io::Result<usize> {
        Ok(0)
    }

    fn send_file(&mut self, _: &File, _: u64, _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacked_bytes(&self) -> usize {
        0
    }
}

#[test]
fn one_look_for_all_that_leave_together() {
    let looks = Cell::new(0);
    // A day passes between two readings of the clock.
    let clock = || -> HttpDate {
        looks.set(looks.get() + 1);
        (UNIX_EPOCH + Duration::from_secs(86_400 * looks.get())).into()
    };
    let asked = ResponseContext {
        method: Method::Get,
        version: Version::Http11,
        keep_alive: true,
    };
    let mut outbox = Outbox::new(1 << 20);
    let mut client = Client { got: Vec::new(), room: 0 };

    let push = |outbox: &mut Outbox, times: usize| {
        for _ in 0..times {
            outbox.push(Response::text(200, "so be it"), asked, &clock);
        }
    };
    push(&mut outbox, 3);
    // The output is partly flushed: the three responses still have one date, and a
    // fourth response gets the same date.
    client.room = 10;
    let stuck = outbox.flush(&mut client).map_err(|error| error.kind());
    assert_eq!(stuck, Err(ErrorKind::WouldBlock));
    push(&mut outbox, 1);
    client.room = usize::MAX;
    outbox.flush(&mut client).expect("there is room");
    // Responses that are pushed after the output was flushed get a new date.
    push(&mut outbox, 2);
    client.room = usize::MAX;
    outbox.flush(&mut client).expect("there is room");
    // Clearing the outbox discards its date.
    push(&mut outbox, 1);
    outbox.clear();
    push(&mut outbox, 1);
    client.room = usize::MAX;
    outbox.flush(&mut client).expect("there is room");

    let text = String::from_utf8(client.got).expect("plain text");
    let dates: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("Date: ")).collect();
    let of = |day: &'static str| format!("{day} Jan 1970 00:00:00 GMT");
    let (fri, sat, mon) = (of("Fri, 02"), of("Sat, 03"), of("Mon, 05"));
    assert_eq!(dates, [&*fri, &fri, &fri, &fri, &sat, &sat, &mon]);
    assert_eq!(looks.get(), 4);
}
