//! Workers that are made once: what it means when all of them wait, how they are given
//! back, and what becomes of them when something goes wrong.

mod giving_back;
mod processes;
mod queue;
mod stop;

use super::many::hold;
use crate::case::{Case, Need};
use crate::client::Client;
use crate::ctx::{Ctx, get, stat_in};
use crate::stage::Model::{PoolOfProcesses, PoolOfThreads};
use crate::stage::{Model, Stage};
use crate::verdict::{Step, Verdict};

pub(super) const CASES: &[&[Case]] =
    &[giving_back::CASES, queue::CASES, stop::CASES, processes::CASES];

const POOLS: &[Model] = &[PoolOfThreads, PoolOfProcesses];
const THREADS: &[Model] = &[PoolOfThreads];

const PLAIN: &[Need] = &[Need::Plaintext, Need::Process];
const STATS: &[Need] = &[Need::Plaintext, Need::Stats, Need::Process];

const QUEUE: &str = "Chapter 2, \"The queue\" and \"When everybody is busy\"";

/// So long that only a wrong reason would let the server wait for it.
const NEVER: &str = "3600";

/// How many workers the server is told to have here, and how it is told.
fn few(stage: &Stage) -> (usize, &'static [(&'static str, &'static str)]) {
    stage.at_once().unwrap_or((1, &[]))
}

/// Serves with few workers and more options; all the workers have a client, each of which
/// has had an answer.
fn occupied(ctx: &mut Ctx<'_>, more: &[(&str, &str)]) -> Step<Vec<Client>> {
    let (workers, options) = few(ctx.stage);
    ctx.serve(&[options, more].concat())?;
    hold(ctx, workers)
}

/// A client that has asked, and for whom there is no worker yet.
fn one_more(ctx: &mut Ctx<'_>) -> Step<Client> {
    let mut client = ctx.client()?;
    client.send(get("/plaintext"))?;
    Ok(client)
}

/// A counter, asked for on a connection that is there.
fn counter(client: &mut Client, name: &str) -> Step<u64> {
    client.send(get("/stats"))?;
    stat_in(&client.response()?, name)
}

/// Waits until so many clients were accepted, as the one that is being served is told.
fn until_accepted(ctx: &mut Ctx<'_>, busy: &mut Client, accepted: u64) -> Verdict {
    ctx.until(&format!("`accepted` is {accepted}"), |_| {
        let now = counter(busy, "accepted")?;
        Ok(if now == accepted { Ok(()) } else { Err(format!("accepted: {now}")) })
    })
}
