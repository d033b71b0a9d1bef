//! SIGTERM, where workers are made once: those that are free, and those who wait for one.

use super::{
    NEVER, PLAIN, POOLS, QUEUE, STATS, THREADS, few, occupied, one_more, until_accepted,
};
use crate::case::Kind::Contract;
use crate::case::{Case, case};
use crate::cases::resources::known;
use crate::cases::shutdown::{ends_well, terminate};
use crate::ctx::get;
use crate::queue::unread_by_peer;

pub(super) const CASES: &[Case] = &[
    case(
        "free_workers_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM wakes the workers that wait for a client, those that have served and those \
         that never have",
        |ctx| {
            drop(occupied(ctx, &[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?);
            terminate(ctx)?;
            ends_well(ctx)?;
            let (_, options) = few(ctx.stage);
            ctx.serve(&[options, &[("drain-timeout", NEVER)]].concat())?;
            terminate(ctx)?;
            ends_well(ctx)
        },
    )
    .needs(PLAIN)
    .only(POOLS)
    .book("Chapter 2, \"What must be got right\""),
    case(
        "who_is_in_the_queue_is_served_at_the_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM, and those who were accepted and wait for a worker get their answers",
        |ctx| {
            let mut held = occupied(ctx, &[("drain-timeout", NEVER)])?;
            let accepted = held.len() as u64 + 2;
            let mut waiting = [one_more(ctx)?, one_more(ctx)?];
            let Some(busy) = held.first_mut() else { return Ok(()) };
            until_accepted(ctx, busy, accepted)?;
            terminate(ctx)?;
            for client in &mut held {
                client.ends()?;
            }
            for client in &mut waiting {
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.awaiting("the queue's answers"))?;
                answer.is(200)?.names("Connection", "close")?;
            }
            drop((held, waiting));
            ends_well(ctx)
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book("Chapter 2, \"What must be got right\""),
    case(
        "half_a_request_in_the_queue_is_finished_at_the_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM, and a client in the queue that has sent half a request may send the rest of it, \
         and is answered",
        |ctx| {
            let mut held = occupied(ctx, &[("drain-timeout", NEVER)])?;
            let accepted = held.len() as u64 + 1;
            let mut waiting = ctx.client()?;
            let bytes = get("/plaintext");
            let (first, rest) = bytes.split_at(20);
            waiting.send(first)?;
            let Some(busy) = held.first_mut() else { return Ok(()) };
            until_accepted(ctx, busy, accepted)?;
            terminate(ctx)?;
            for client in &mut held {
                client.ends()?;
            }
            ctx.until("a worker that has read the half", |_| {
                let left = known(unread_by_peer(&waiting.stream))?;
                Ok(if left == 0 { Ok(()) } else { Err(format!("{left} bytes lie in the socket")) })
            })?;
            waiting.send(rest)?;
            waiting.response()?.is(200)?.holds("Hello, World!")?.names("Connection", "close")?;
            waiting.close();
            drop(held);
            ends_well(ctx)
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book(QUEUE),
];
