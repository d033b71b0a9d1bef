//! Those for whom there is no worker: where they wait, in which order they are served, and
//! who is sent away.

use super::{
    PLAIN, POOLS, QUEUE, STATS, THREADS, counter, few, occupied, one_more, until_accepted,
};
use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::cases::many::round_trip;
use crate::ctx::get_and_close;
use crate::verdict::demand;

pub(super) const CASES: &[Case] = &[
    case(
        "a_hundred_take_turns",
        Contract,
        "contract, Limits",
        "A hundred clients at once, far more than there are workers, all get their answers",
        |ctx| {
            let (_, options) = few(ctx.stage);
            ctx.serve(options)?;
            let mut clients = Vec::new();
            for _ in 0..100 {
                let mut client = ctx.client()?;
                client.send(get_and_close("/sleep/10"))?;
                clients.push(client);
            }
            for mut client in clients {
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.awaiting("an answer for each"))?;
                answer.is(200)?.holds("slept 10 ms\n")?;
                client.ends()?;
                client.close();
            }
            Ok(())
        },
    )
    .needs(&[Need::Sleep, Need::Process])
    .only(POOLS)
    .book(QUEUE),
    case(
        "first_come_first_served",
        Contract,
        "contract, Limits",
        "Who waits longest is served first",
        |ctx| {
            let mut held = occupied(ctx, &[])?;
            let (mut first, mut second) = (one_more(ctx)?, one_more(ctx)?);
            let Some(mut busy) = held.pop() else { return Ok(()) };
            // So many round trips later both are in the queue, if there is one.
            for _ in 0..50 {
                round_trip(&mut busy)?;
                first.has_nothing("all workers have a client")?;
            }
            busy.close();
            first.response()?.is(200)?;
            for _ in 0..50 {
                round_trip(&mut first)?;
                second.has_nothing("the only worker that was free has the first")?;
            }
            first.close();
            second.response()?.is(200).map(drop)
        },
    )
    .needs(PLAIN)
    .only(POOLS)
    .book(QUEUE),
    case(
        "queue_is_bounded",
        Contract,
        "contract, Limits",
        "At most --queue clients are accepted for whom there is no worker; the others wait in \
         the kernel's backlog, and all are served in the end",
        |ctx| {
            let mut held = occupied(ctx, &[("queue", "2")])?;
            let accepted = held.len() as u64 + 2;
            let mut waiting = Vec::new();
            for _ in 0..10 {
                waiting.push(one_more(ctx)?);
            }
            let Some(busy) = held.first_mut() else { return Ok(()) };
            until_accepted(ctx, busy, accepted)?;
            for _ in 0..50 {
                let now = counter(busy, "accepted")?;
                demand(
                    now == accepted,
                    format!("`accepted` stays {accepted}"),
                    format!("accepted: {now}"),
                )?;
            }
            drop(held);
            for mut client in waiting {
                client.response()?.is(200)?;
                client.close();
            }
            Ok(())
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book(QUEUE),
    case(
        "refuses_when_full",
        Contract,
        "RFC 9110 §15.6.4",
        "With --when-busy refuse the client for whom there is no place is 503 with Retry-After \
         at once; those in the queue are served in their turn",
        |ctx| {
            let mut held = occupied(ctx, &[("queue", "2"), ("when-busy", "refuse")])?;
            let mut waiting = [one_more(ctx)?, one_more(ctx)?];
            for _ in 0..3 {
                let mut refused = one_more(ctx)?;
                let answer = refused.response()?;
                answer.is(503)?;
                demand(answer.field("Retry-After").is_some(), "Retry-After", "none")?;
                refused.ends()?;
                refused.close();
            }
            for client in &mut waiting {
                client.has_nothing("all workers have a client")?;
            }
            held.iter_mut().try_for_each(round_trip)?;
            drop(held);
            for client in &mut waiting {
                client.response()?.is(200)?;
            }
            Ok(())
        },
    )
    .needs(PLAIN)
    .only(THREADS)
    .book(QUEUE),
    case(
        "refuses_without_a_queue",
        Contract,
        "RFC 9110 §15.6.4",
        "With --queue 0 nobody waits: who finds a free worker is served, who does not is 503; \
         and when a worker is free again, it serves",
        |ctx| {
            for _ in 0..3 {
                let mut held = occupied(ctx, &[("queue", "0"), ("when-busy", "refuse")])?;
                one_more(ctx)?.response()?.is(503)?;
                held.iter_mut().try_for_each(round_trip)?;
                held.truncate(1);
                ctx.until("a worker that is free again", |ctx| {
                    let answer = one_more(ctx)?.response()?;
                    Ok(if answer.status == 200 { Ok(()) } else { Err("503".to_owned()) })
                })?;
            }
            Ok(())
        },
    )
    .needs(PLAIN)
    .only(THREADS)
    .book(QUEUE),
];
