//! Deadlines. Each is for a whole phase, so that a byte a second defeats none.
//!
//! No case measures time: a deadline is proved by the order of events. The
//! server's answer came before the client, at its pace, could be done.

use std::thread;
use std::time::{Duration, Instant};

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, echo, get, get_and_close, request};
use crate::patience::patience;
use crate::verdict::{Step, Stop, Verdict, demand};

const PACE: Duration = Duration::from_millis(50);
const PLAIN: &[Need] = &[Need::Plaintext];
const ECHO: &[Need] = &[Need::Echo];
/// Where the book explains these.
const NEVER_READS: &str =
    "Chapter 1, \"The client that never reads\"; The contract, \"Limits\"";
const THROWN_AWAY: &str =
    "Chapter 1, \"The answer that was thrown away\"; The contract, \"Limits\"";

/// Drips bytes in pieces, one each `PACE`; the server must say 408 and close
/// before the last is sent.
fn cut_while_dripping(client: &mut Client, bytes: &[u8], size: usize) -> Verdict {
    let cut = client.drip(bytes, size, PACE)?;
    demand(
        cut,
        "an answer before the last byte was sent",
        "the client could finish in its own time",
    )?;
    Ctx::is_refused(client, &[408])
}

/// A head that takes more than twenty seconds, a byte each `PACE`.
fn long_head() -> Vec<u8> {
    request("GET", "/plaintext", &format!("X-Long: {}\r\n", "v".repeat(400)))
}

/// The head of a POST with content that takes very long.
fn long_content() -> Vec<u8> {
    request("POST", "/echo", "Content-Length: 100000\r\n")
}

/// What a slow reader asks for: more than all buffers hold.
const MUCH: usize = 12_000_000;

/// A client that has asked for [`MUCH`], which the server's kernel would take a good
/// part of at once.
fn asks_for_much(ctx: &mut Ctx<'_>) -> Step<Client> {
    // A receive buffer of its own size: one of 64 KiB announces new room each time that
    // about as much has been read, a larger one too seldom for a server to know in time.
    let mut client = ctx.client_with(Some(64 * 1024))?;
    // A quick answer first: the server's kernel now gives the connection its largest buffer.
    client.send(get("/bytes/6000000"))?;
    client.response()?.is(200)?;
    client.send(get_and_close(&format!("/bytes/{MUCH}")))?;
    Ok(client)
}

/// Reads on without a pause; with the `got` bytes so far it must be everything.
fn takes_the_rest(client: &mut Client, mut got: usize) -> Verdict {
    while client.end.is_none() {
        got += client.sip(65_536)?;
    }
    demand(got > MUCH, format!("a head and {MUCH} bytes"), format!("{got} bytes in all"))
}

/// Is refused, then sends a byte now and then until the server has let go. The
/// longest time between two bytes.
fn sends_on_while_it_lingers(ctx: &mut Ctx<'_>) -> Step<Duration> {
    let mut client = ctx.client()?;
    client.send("nonsense\r\n\r\n")?;
    client.response()?.is(400)?;
    client.ends()?;
    client.note("sends on, a byte at a time");
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    ctx.until("`open` is 1, the one that asks", |ctx| {
        client.send("x")?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        let open = ctx.stat("open")?;
        Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
    })?;
    Ok(longest.max(last.elapsed()))
}

pub(super) const CASES: &[Case] = &[
    case(
        "idle_from_the_start",
        Contract,
        "RFC 9112 §9.5",
        "A client that says nothing is closed at --idle-timeout, without a word",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.3")])?;
            ctx.client()?.ends()
        },
    ),
    case(
        "idle_between_requests",
        Contract,
        "RFC 9112 §9.5",
        "A client that is idle after an answer is closed at --idle-timeout, without a word",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.5")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()
        },
    )
    .needs(PLAIN),
    case(
        "idle_begins_again",
        Contract,
        "contract, Limits",
        "Idle time begins again with each request: a connection in use may grow old",
        |ctx| {
            ctx.serve(&[("idle-timeout", "3")])?;
            let mut client = ctx.client()?;
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(5) {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "idle_is_not_busy",
        Contract,
        "contract, Limits",
        "A client that waits for its answer is not idle",
        |ctx| {
            ctx.serve(&[("idle-timeout", "1")])?;
            ctx.ask(get("/sleep/2500"))?.is(200)?.holds("slept 2500 ms\n").map(drop)
        },
    )
    .needs(&[Need::Sleep]),
    case(
        "idle_is_counted",
        Contract,
        "contract, Routes",
        "A connection closed by a deadline is counted in `timeouts`",
        |ctx| {
            ctx.serve(&[("idle-timeout", "0.3")])?;
            ctx.client()?.ends()?;
            ctx.until("`timeouts` is 1", |ctx| {
                let count = ctx.stat("timeouts")?;
                Ok(if count == 1 { Ok(()) } else { Err(format!("timeouts: {count}")) })
            })
        },
    )
    .needs(&[Need::Stats, Need::Process]),
    case("head_stalls", Contract, "RFC 9110 §15.5.9", "A head that stalls is 408 at --head-timeout", |ctx| {
        ctx.serve(&[("head-timeout", "0.3")])?;
        ctx.refuses("GET /plaintext HTTP/1.1\r\nHost: su", 408)
    }),
    case(
        "head_first_byte_only",
        Contract,
        "RFC 9110 §15.5.9",
        "One byte of a head is enough for the deadline to run",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3")])?;
            ctx.refuses("G", 408)
        },
    ),
    case(
        "head_drips",
        Security,
        "RFC 9110 §15.5.9",
        "A byte now and then does not put --head-timeout off",
        |ctx| {
            ctx.serve(&[("head-timeout", "1")])?;
            let mut client = ctx.client()?;
            cut_while_dripping(&mut client, &long_head(), 1)
        },
    ),
    case("head_drips_lines", Security, "CWE-400", "… nor a whole field now and then (slowloris)", |ctx| {
        ctx.serve(&[("head-timeout", "1"), ("max-fields", "128")])?;
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\nHost: suite\r\n")?;
        // Twenty seconds' worth of fields.
        let cut = client.drip("X-A: b\r\n".repeat(100), 8, PACE * 4)?;
        demand(cut, "an answer before the last field was sent", "the client could drip on")?;
        Ctx::is_refused(&mut client, &[408])
    }),
    case(
        "second_head_drips",
        Security,
        "RFC 9110 §15.5.9",
        "… nor on the second request of a connection",
        |ctx| {
            ctx.serve(&[("head-timeout", "1")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            cut_while_dripping(&mut client, &long_head(), 1)
        },
    )
    .needs(PLAIN),
    case(
        "pipelined_head_stalls",
        Security,
        "RFC 9110 §15.5.9",
        "Half a head behind a whole request has its deadline too",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.4")])?;
            let mut client = ctx.client()?;
            client.send([&get("/plaintext")[..], b"GET /pl"].concat())?;
            client.response()?.is(200)?;
            Ctx::is_refused(&mut client, &[408])
        },
    )
    .needs(PLAIN),
    case(
        "empty_line_then_stall",
        Security,
        "RFC 9110 §15.5.9",
        "An empty line and then silence is not held for ever",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.3"), ("idle-timeout", "0.6")])?;
            let mut client = ctx.client()?;
            client.send("\r\n")?;
            let (bytes, _) = client.rest()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            demand(text.is_empty() || text.starts_with("HTTP/1.1 408"), "408, or an end without a word", text)
        },
    ),
    case(
        "slow_head_within_its_time",
        Contract,
        "contract, Limits",
        "A slow head that is complete in time is answered",
        |ctx| {
            ctx.serve(&[("head-timeout", "20"), ("idle-timeout", "5")])?;
            let mut client = ctx.client()?;
            let cut = client.drip(get("/plaintext"), 2, PACE)?;
            demand(
                !cut || client.look(Duration::ZERO) == Seen::Bytes,
                "no end while there is time",
                "an end",
            )?;
            client.response()?.is(200)?.holds("Hello, World!").map(drop)
        },
    ),
    case(
        "head_deadline_is_over_with_the_head",
        Contract,
        "contract, Limits",
        "A deadline that was met is forgotten: what comes after it is neither cut short nor refused by it",
        |ctx| {
            ctx.serve(&[("head-timeout", "2"), ("idle-timeout", "600")])?;
            let mut long = ctx.client()?;
            long.send("GET /sleep/20000 HTTP/1.1\r\nHo")?;
            thread::sleep(Duration::from_millis(300));
            long.send("st: suite\r\n\r\n")?;
            // When this one wakes, the other's head would have been too late.
            let mut short = ctx.client()?;
            short.send(get("/sleep/2500"))?;
            short.response()?.is(200)?.holds("slept 2500 ms\n")?;
            demand(
                long.look(Duration::ZERO) == Seen::Nothing,
                format!("nothing yet for {}, who asked for a longer sleep before", long.name()),
                "an answer, or an end",
            )
        },
    )
    .needs(&[Need::Sleep, Need::Many]),
    case(
        "content_stalls",
        Contract,
        "RFC 9110 §15.5.9",
        "Content that stalls is 408 at --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "0.4"), ("body-rate", "0")])?;
            ctx.refuses([&long_content()[..], b"some"].concat(), 408)
        },
    )
    .needs(ECHO),
    case(
        "content_drips",
        Security,
        "RFC 9110 §15.5.9",
        "A byte now and then does not put --body-timeout off",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(long_content())?;
            cut_while_dripping(&mut client, &[b'x'; 600], 1)
        },
    )
    .needs(ECHO),
    case("chunks_drip", Security, "RFC 9110 §15.5.9", "… nor a chunk now and then", |ctx| {
        ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
        let mut client = ctx.client()?;
        client.send(request("POST", "/echo", "Transfer-Encoding: chunked\r\n"))?;
        cut_while_dripping(&mut client, "1\r\nx\r\n".repeat(500).as_bytes(), 6)
    })
    .needs(ECHO),
    case("trailers_drip", Security, "RFC 9110 §15.5.9", "… nor a byte of a trailer now and then", |ctx| {
        ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
        let mut client = ctx.client()?;
        client.send(request("POST", "/echo", "Transfer-Encoding: chunked\r\n"))?;
        client.send("5\r\nhello\r\n0\r\n")?;
        cut_while_dripping(&mut client, format!("X-Long: {}", "v".repeat(500)).as_bytes(), 1)
    })
    .needs(ECHO),
    case(
        "unwanted_content_drips",
        Security,
        "RFC 9110 §15.5.9",
        "Content that nobody wants has its deadline too",
        |ctx| {
            ctx.serve(&[("body-timeout", "1"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request("PUT", "/plaintext", "Content-Length: 100000\r\n"))?;
            let cut = client.drip([b'x'; 600], 1, PACE)?;
            demand(cut, "an answer before the last byte was sent", "the client could drip on")?;
            // Refused at once, or when the time is up: both are answers.
            client.response()?.one_of(&[405, 408])?;
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "continue_then_stall",
        Contract,
        "RFC 9110 §15.5.9",
        "A client that got 100 Continue and then sends nothing is 408 at --body-timeout",
        |ctx| {
            ctx.serve(&[("body-timeout", "0.4"), ("body-rate", "0")])?;
            let mut client = ctx.client()?;
            client.send(request("POST", "/echo", "Expect: 100-continue\r\nContent-Length: 5\r\n"))?;
            client.any_response("POST")?.is(100)?;
            Ctx::is_refused(&mut client, &[408])
        },
    )
    .needs(ECHO),
    case(
        "content_too_slow",
        Security,
        "RFC 9110 §15.5.9",
        "Content slower than --body-rate is 408 long before --body-timeout",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.5"), ("body-timeout", "3600"), ("body-rate", "4096")])?;
            let mut client = ctx.client()?;
            client.send(long_content())?;
            // At most 400 bytes a second, a tenth of what is asked.
            cut_while_dripping(&mut client, &[b'x'; 12_000], 20)
        },
    )
    .needs(ECHO),
    case(
        "content_stalls_by_rate",
        Security,
        "RFC 9110 §15.5.9",
        "Content that stops coming falls below --body-rate without another byte",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.4"), ("body-timeout", "3600"), ("body-rate", "1000")])?;
            ctx.refuses([&long_content()[..], b"some"].concat(), 408)
        },
    )
    .needs(ECHO),
    case(
        "content_fast_on_average",
        Contract,
        "contract, Limits",
        "The rate is an average: a pause behind a fast beginning is no offence",
        |ctx| {
            ctx.serve(&[("head-timeout", "0.5"), ("body-rate", "100")])?;
            let content = [b'x'; 30_030];
            let bytes = echo(&content);
            let (most, rest) = bytes.split_at(bytes.len() - 30);
            let mut client = ctx.client()?;
            client.send(most)?;
            let cut = client.drip(rest, 1, PACE)?;
            demand(
                !cut || client.look(Duration::ZERO) == Seen::Bytes,
                "no end while the average holds",
                "an end",
            )?;
            client.response()?.is(200)?.holds(content).map(drop)
        },
    )
    .needs(ECHO),
    case(
        "never_reads",
        Security,
        "contract, Limits",
        "A client that never reads is closed at --write-timeout",
        |ctx| {
            ctx.serve(&[("write-timeout", "0.5")])?;
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/100000000"))?;
            client.note("does not read");
            ctx.until("`timeouts` is 1", |ctx| {
                let count = ctx.stat("timeouts")?;
                Ok(if count == 1 { Ok(()) } else { Err(format!("timeouts: {count}")) })
            })
        },
    )
    .needs(&[Need::Bytes, Need::Stats, Need::Process])
    .book(NEVER_READS),
    case(
        "sips",
        Security,
        "contract, Limits",
        "A client that reads a little now and then is closed too",
        |ctx| {
            ctx.serve(&[("write-timeout", "0.7")])?;
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/100000000"))?;
            client.note("reads 64 bytes each 20 ms");
            let start = Instant::now();
            loop {
                for _ in 0..20 {
                    if client.sip(64)? == 0 {
                        return Ok(());
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                if ctx.stat("timeouts")? > 0 {
                    return Ok(());
                }
                if start.elapsed() > patience() {
                    return Err(Stop::fail(
                        "an end: far less than 16 KiB left in each --write-timeout",
                        "the server sends on",
                    ));
                }
            }
        },
    )
    .needs(&[Need::Bytes, Need::Stats, Need::Process, Need::Many])
    .book(NEVER_READS),
    case(
        "slow_reader_within_its_time",
        Contract,
        "contract, Limits; tcp(7), TCP_NOTSENT_LOWAT",
        "A slow reader that takes far more than 16 KiB in each --write-timeout gets everything, \
         though the kernel may say \"writable\" only when a third of a large buffer is free",
        |ctx| {
            ctx.serve(&[("write-timeout", "3")])?;
            let mut client = asks_for_much(ctx)?;
            client.note("reads 100 KB a second for eight seconds, then as fast as it can");
            let mut got = 0;
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(8) {
                std::thread::sleep(Duration::from_millis(100));
                // As much as is due by now, or a busy machine would make a slower reader.
                let due = start.elapsed().as_millis() as usize * 100;
                got += client.sip(due.saturating_sub(got).max(1))?;
            }
            takes_the_rest(&mut client, got)
        },
    )
    .needs(&[Need::Bytes])
    .book(NEVER_READS),
    case(
        "reads_in_gulps",
        Contract,
        "contract, Limits",
        "A client that takes nothing for four fifths of --write-timeout, and then far more than 16 KiB, \
         gets everything: what counts is the whole time",
        |ctx| {
            ctx.serve(&[("write-timeout", "6")])?;
            let mut client = asks_for_much(ctx)?;
            client.note("reads 200 KB each 4.8 seconds, twice, then as fast as it can");
            let mut got = 0;
            for gulp in 1..=2 {
                std::thread::sleep(Duration::from_millis(4800));
                while got < gulp * 200_000 && client.end.is_none() {
                    got += client.sip(10_000)?;
                }
            }
            takes_the_rest(&mut client, got)
        },
    )
    .needs(&[Need::Bytes])
    .book(NEVER_READS),
    case(
        "linger_ends",
        Contract,
        "RFC 9112 §9.6",
        "A client that keeps its side open after the last answer is let go at --linger-timeout",
        |ctx| {
            ctx.serve(&[("linger-timeout", "0.3")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()?;
            client.note("keeps its side open");
            ctx.until("`open` is 1, the one that asks", |ctx| {
                let open = ctx.stat("open")?;
                Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
            })
        },
    )
    .needs(&[Need::Stats, Need::Process])
    .book(THROWN_AWAY),
    case("linger_is_not_put_off", Security, "RFC 9112 §9.6", "… even if it goes on sending", |ctx| {
        ctx.serve(&[("linger-timeout", "0.5")])?;
        // A client that was itself kept waiting by the machine has put nothing off,
        // and proves nothing: then once more.
        for _ in 0..5 {
            if sends_on_while_it_lingers(ctx)? < Duration::from_millis(400) {
                break;
            }
        }
        Ok(())
    })
    .needs(&[Need::Stats, Need::Process, Need::Many])
    .book(THROWN_AWAY),
];
