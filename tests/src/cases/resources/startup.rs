//! A start with few resources: a server that prints `listening on` serves, and a server that
//! cannot serve exits and reports why.

use nix::sys::signal::Signal;

use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::cases::shutdown::{assert_clean_exit, wait_until_no_process};
use crate::ctx::Ctx;
use crate::profile::Model;
use crate::rlimits::Rlimits;
use crate::server::{FailedStart, Server};
use crate::target::copy_program;
use crate::verdict::{CaseResult, Verdict, ensure};

/// The section of the book that explains these cases.
const BOOK_SECTION: &str = "The contract, \"Starting and stopping\"";

/// Asserts a status other than 0, one line on standard error, and that no process is left.
pub(super) fn assert_reported(ctx: &mut Ctx<'_>, failed: &FailedStart) -> Verdict {
    let FailedStart { status, stderr, pid } = failed;
    let how = Server::describe_exit(*status);
    ensure(!status.success(), "a status other than 0", how)?;
    ensure(stderr.lines().count() == 1, "one line on standard error", stderr)?;
    wait_until_no_process(ctx, *pid)
}

/// Starts the server. If it prints `listening on`, asserts that a client gets one of the statuses
/// and that SIGTERM ends the server; otherwise, asserts that it reported the reason. Returns
/// whether it serves.
fn serves(ctx: &mut Ctx<'_>, rlimits: Rlimits, statuses: &[u16]) -> CaseResult<bool> {
    let workers = ctx.profile.workers_option().map(|workers| (workers, "4"));
    match ctx.try_serve(workers.as_slice(), rlimits)? {
        Some(failed) => assert_reported(ctx, &failed).map(|()| false),
        None => {
            ctx.get("/plaintext")?.one_of(statuses)?;
            ctx.server()?.signal(Signal::SIGTERM)?;
            assert_clean_exit(ctx)?;
            Ok(true)
        }
    }
}

pub(super) const CASES: &[Case] = &[
    case("start_with_few_descriptors", Contract, "contract, Starting and stopping; EMFILE", "However few descriptors a process may have, a server that prints `listening on` serves a client; any other exits with one line that says why", |ctx| {
        // Before `fork` creates a process for a client, it counts its threads, which takes one more
        // descriptor.
        let process = ctx.profile.model == Model::ProcessPerClient;
        let statuses: &[u16] = if process { &[200, 503] } else { &[200] };
        for count in 5..40 {
            let few = Rlimits { descriptors: Some(count), ..Rlimits::default() };
            if serves(ctx, few, statuses)? {
                return Ok(());
            }
        }
        ensure(false, "a server that starts with 39 descriptors", "it does not start")
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_log()
    .book(BOOK_SECTION),
    case("start_with_few_threads", Contract, "contract, Starting and stopping; EAGAIN", "However few threads and processes a user may have, a server that prints `listening on` serves a client or sends a 503; any other exits with one line that says why", |ctx| {
        let (_kept, own) = copy_program(ctx.target)?;
        let mut other = Ctx::new(&own, ctx.profile, ctx.root.clone());
        other.log = ctx.log.clone();
        for count in 1..8 {
            let few = Rlimits { processes: Some(count), ..Rlimits::default() };
            if serves(&mut other, few, &[200, 503])? {
                break;
            }
        }
        Ok(())
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_log()
    .book(BOOK_SECTION),
];
