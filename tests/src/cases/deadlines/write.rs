//! --write-timeout: an answer has begun, and the client takes it slowly or not at all.

use std::time::{Duration, Instant};

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get, get_and_close};
use crate::patience::patience;
use crate::verdict::{Step, Stop, Verdict, demand};

/// Where the book explains these.
const NEVER_READS: &str =
    "Chapter 1, \"The client that never reads\"; The contract, \"Limits\"";

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

pub(super) const CASES: &[Case] = &[
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
];
