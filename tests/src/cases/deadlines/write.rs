//! `--write-timeout`: the time for a client to read at least 16 KiB of a response.

use std::time::{Duration, Instant};

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get, get_and_close};
use crate::timeout::timeout;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// The section of the book that explains the cases of this file.
const NEVER_READS: &str =
    "Chapter 1, \"The client that never reads\"; The contract, \"Limits\"";

/// The size of the response to a slow reader, in bytes: more than all socket buffers hold together.
const MUCH: usize = 12_000_000;

/// Returns a client that has requested [`MUCH`] bytes, after the server's kernel has given the
/// connection a large send buffer.
fn asks_for_much(ctx: &mut Ctx<'_>) -> CaseResult<Client> {
    // With a receive buffer of 64 KiB the client's kernel reports free space to the server whenever
    // the client has read about 64 KiB. With a larger buffer the kernel would do so too rarely for
    // the server to notice progress before its deadline.
    let mut client = ctx.client_with(Some(64 * 1024))?;
    // During a fast transfer the server's kernel enlarges the connection's send buffer to its
    // maximum.
    client.send(get("/bytes/6000000"))?;
    client.response()?.is(200)?;
    client.send(get_and_close(&format!("/bytes/{MUCH}")))?;
    Ok(client)
}

/// Reads the rest of the response without a pause, and asserts that the response, of which `got`
/// bytes have been read already, is complete.
fn takes_the_rest(client: &mut Client, mut got: usize) -> Verdict {
    while client.end.is_none() {
        got += client.read_some(65_536)?;
    }
    ensure(got > MUCH, format!("a head and {MUCH} bytes"), format!("{got} bytes in all"))
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
            ctx.poll_until_counter("timeouts", 1)
        },
    )
    .needs(&[Need::Bytes, Need::Stats, Need::Process])
    .book(NEVER_READS),
    case(
        "sips",
        Security,
        "contract, Limits",
        "A client that reads less than 16 KiB within each --write-timeout is closed",
        |ctx| {
            ctx.serve(&[("write-timeout", "0.7")])?;
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/100000000"))?;
            client.note("reads 64 bytes every 20 ms");
            let start = Instant::now();
            loop {
                for _ in 0..20 {
                    if client.read_some(64)? == 0 {
                        return Ok(());
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                if ctx.counter("timeouts")? > 0 {
                    return Ok(());
                }
                if start.elapsed() > timeout() {
                    return Err(Abort::fail(
                        "the end of the connection, because the client reads far less than 16 KiB within each --write-timeout",
                        "the server keeps sending",
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
        "A slow client that reads far more than 16 KiB within each --write-timeout gets the whole response, \
        though the kernel may report \"writable\" only when a third of a large buffer is free",
        |ctx| {
            ctx.serve(&[("write-timeout", "5")])?;
            let mut client = asks_for_much(ctx)?;
            client.note("reads 50 KB per second for eight seconds, then as fast as it can");
            let mut got = 0;
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(8) {
                std::thread::sleep(Duration::from_millis(100));
                // The client reads at 50 KB per second on average: each time, it reads all bytes
                // that are due by now, so that a busy machine does not make the client slower.
                let due = start.elapsed().as_millis() as usize * 50;
                got += client.read_some(due.saturating_sub(got).max(1))?;
            }
            takes_the_rest(&mut client, got)
        },
    )
    .lasts(8)
    .needs(&[Need::Bytes])
    .book(NEVER_READS),
    case(
        "reads_in_gulps",
        Contract,
        "contract, Limits",
        "A client that reads nothing for two thirds of --write-timeout, and then far more than 16 KiB, \
        gets the whole response: progress is measured over the whole time",
        |ctx| {
            ctx.serve(&[("write-timeout", "6")])?;
            let mut client = asks_for_much(ctx)?;
            client.note("reads 200 KB every 4 seconds, twice, then as fast as it can");
            let mut got = 0;
            for gulp in 1..=2 {
                std::thread::sleep(Duration::from_secs(4));
                while got < gulp * 200_000 && client.end.is_none() {
                    got += client.read_some(10_000)?;
                }
            }
            takes_the_rest(&mut client, got)
        },
    )
    .lasts(9)
    .needs(&[Need::Bytes])
    .book(NEVER_READS),
];
