//! Requests that make the application fail.

use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::ctx::{echo, get, get_and_close};

pub(super) const CASES: &[Case] = &[
    case(
        "panic_costs_one_connection",
        Contract,
        "contract, Routes",
        "A request that makes the application fail is 500 and closes",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/panic"))?;
            client.response()?.is(500)?.names("Connection", "close")?;
            client.ends()?;
            client.close();
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext, Need::Panic])
    .may_complain()
    .book("The contract, \"Routes\""),
    case(
        "panic_beside_others",
        Contract,
        "contract, Routes",
        "… and nobody else notices, five times",
        |ctx| {
            let mut other = ctx.client()?;
            for _ in 0..5 {
                let mut client = ctx.client()?;
                client.send(get("/panic"))?;
                client.response()?.is(500)?;
                client.ends()?;
                other.send(echo(b"still here"))?;
                other.response()?.is(200)?.holds("still here")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Panic, Need::Echo])
    .may_complain()
    .book("The contract, \"Routes\""),
    case("panic_is_counted", Contract, "contract, Routes", "… and it is counted in `panics`", |ctx| {
        for _ in 0..3 {
            ctx.ask(get_and_close("/panic"))?.is(500)?;
        }
        ctx.until("`panics` is 3", |ctx| {
            let count = ctx.stat("panics")?;
            Ok(if count == 3 { Ok(()) } else { Err(format!("panics: {count}")) })
        })
    })
    .needs(&[Need::Stats, Need::Panic, Need::Process])
    .may_complain()
    .book("The contract, \"Routes\""),
    case(
        "panic_in_a_burst",
        Contract,
        "contract, Routes",
        "What was answered before the failure has arrived; what comes behind is not answered",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/plaintext"), get("/panic"), get("/plaintext")].concat())?;
            client.response()?.is(200)?;
            client.response()?.is(500)?;
            client.ends()
        },
    )
    .needs(&[Need::Plaintext, Need::Panic])
    .may_complain()
    .book("The contract, \"Routes\""),
];
