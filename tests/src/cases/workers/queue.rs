//! Clients that find no free worker: where they wait, in which order they are served, and when they
//! are refused.

use super::{
    PLAIN, POOLS, QUEUE, STATS, THREADS, counter, few, occupy_workers, one_more,
    wait_until_accepted,
};
use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::cases::many::round_trip;
use crate::ctx::get_and_close;
use crate::verdict::ensure;

pub(super) const CASES: &[Case] = &[
    case(
        "a_hundred_take_turns",
        Contract,
        "contract, Limits",
        "100 clients at the same time, far more than there are workers, are all answered",
        |ctx| {
            let (_, options) = few(ctx.profile);
            ctx.serve(options)?;
            let mut clients = Vec::new();
            for _ in 0..100 {
                let mut client = ctx.client()?;
                client.send(get_and_close("/sleep/10"))?;
                clients.push(client);
            }
            for mut client in clients {
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.expecting("a response for each client"))?;
                answer.is(200)?.has_content("slept 10 ms\n")?;
                client.assert_closed()?;
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
        "Waiting clients are served in the order in which they connected",
        |ctx| {
            let mut held = occupy_workers(ctx, &[])?;
            let (mut first, mut second) = (one_more(ctx)?, one_more(ctx)?);
            let Some(mut busy) = held.pop() else { return Ok(()) };
            // After fifty round trips of the client `busy`, both waiting clients are in the
            // server's queue, if the server has a queue.
            for _ in 0..50 {
                round_trip(&mut busy)?;
                first.assert_no_data("every worker is occupied by another client")?;
            }
            busy.close();
            first.response()?.is(200)?;
            for _ in 0..50 {
                round_trip(&mut first)?;
                second.assert_no_data("the only free worker has the first client")?;
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
        "At most --queue clients without a worker are accepted; the others wait in the kernel's backlog, \
        and all are served in the end",
        |ctx| {
            let mut held = occupy_workers(ctx, &[("queue", "2")])?;
            let accepted = held.len() as u64 + 2;
            let mut waiting = Vec::new();
            for _ in 0..10 {
                waiting.push(one_more(ctx)?);
            }
            let Some(busy) = held.first_mut() else { return Ok(()) };
            wait_until_accepted(ctx, busy, accepted)?;
            for _ in 0..50 {
                let now = counter(busy, "accepted")?;
                ensure(
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
        "With --when-busy refuse, a client that does not fit into the queue gets 503 with Retry-After \
        immediately; queued clients are served in their turn",
        |ctx| {
            let mut held = occupy_workers(ctx, &[("queue", "2"), ("when-busy", "refuse")])?;
            let mut waiting = [one_more(ctx)?, one_more(ctx)?];
            for _ in 0..3 {
                let mut refused = one_more(ctx)?;
                let answer = refused.response()?;
                answer.is(503)?;
                ensure(answer.field("Retry-After").is_some(), "a Retry-After field", "no Retry-After field")?;
                refused.assert_closed()?;
                refused.close();
            }
            for client in &mut waiting {
                client.assert_no_data("every worker is occupied by another client")?;
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
        "With --queue 0 a client is served if a worker is free and gets 503 otherwise; when a worker \
        becomes free, it serves again",
        |ctx| {
            for _ in 0..3 {
                let mut held = occupy_workers(ctx, &[("queue", "0"), ("when-busy", "refuse")])?;
                one_more(ctx)?.response()?.is(503)?;
                held.iter_mut().try_for_each(round_trip)?;
                held.truncate(1);
                ctx.poll_until("a worker is free again", |ctx| {
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
