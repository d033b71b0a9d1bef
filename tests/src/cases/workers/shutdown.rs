//! SIGTERM to a server with a fixed number of workers: idle workers, and queued clients.

use super::{
    NEVER, PLAIN, POOLS, QUEUE, STATS, THREADS, few, occupy_workers, one_more,
    wait_until_accepted,
};
use crate::case::Kind::Contract;
use crate::case::{Case, case};
use crate::cases::resources::known;
use crate::cases::shutdown::{assert_clean_exit, terminate};
use crate::ctx::get;
use crate::fixture::variant;
use crate::receive_queue::unread_by_peer;

pub(super) const CASES: &[Case] = &[
    case(
        "free_workers_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM wakes the workers that wait for a client, whether they have served one before or not",
        |ctx| {
            drop(occupy_workers(ctx, &[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?);
            terminate(ctx)?;
            assert_clean_exit(ctx)?;
            let (_, options) = few(ctx.profile);
            ctx.serve(&[options, &[("drain-timeout", NEVER)]].concat())?;
            terminate(ctx)?;
            assert_clean_exit(ctx)
        },
    )
    .needs(PLAIN)
    .only(POOLS)
    .book("Chapter 2, \"What must be got right\""),
    case(
        "queued_clients_are_served_at_shutdown",
        Contract,
        "contract, Starting and stopping",
        "After SIGTERM clients that were accepted and wait for a worker are still answered",
        |ctx| {
            let mut held = occupy_workers(ctx, &[("drain-timeout", NEVER)])?;
            let accepted = held.len() as u64 + 2;
            let mut waiting = [one_more(ctx)?, one_more(ctx)?];
            let Some(busy) = held.first_mut() else { return Ok(()) };
            wait_until_accepted(ctx, busy, accepted)?;
            terminate(ctx)?;
            for client in &mut held {
                client.assert_closed()?;
            }
            for client in &mut waiting {
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.expecting("responses for the queued clients"))?;
                answer.is(200)?.list_has("Connection", "close")?;
            }
            drop((held, waiting));
            assert_clean_exit(ctx)
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book("Chapter 2, \"What must be got right\""),
    case(
        "queued_half_request_is_finished_at_shutdown",
        Contract,
        "contract, Starting and stopping",
        "After SIGTERM a queued client that has sent half a request may send the rest, and is answered",
        |ctx| {
            let mut held = occupy_workers(ctx, &[("drain-timeout", NEVER)])?;
            let accepted = held.len() as u64 + 1;
            let mut waiting = ctx.client()?;
            let bytes = get("/plaintext");
            let (first, rest) = bytes.split_at(variant().cut(20, bytes.len()));
            waiting.send(first)?;
            let Some(busy) = held.first_mut() else { return Ok(()) };
            wait_until_accepted(ctx, busy, accepted)?;
            terminate(ctx)?;
            for client in &mut held {
                client.assert_closed()?;
            }
            ctx.poll_until("a worker has read the first half", |_| {
                let left = known(unread_by_peer(&waiting.stream))?;
                Ok(if left == 0 { Ok(()) } else { Err(format!("{left} bytes are unread")) })
            })?;
            waiting.send(rest)?;
            waiting.response()?.is(200)?.has_content("Hello, World!")?.list_has("Connection", "close")?;
            waiting.close();
            drop(held);
            assert_clean_exit(ctx)
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book(QUEUE),
];
