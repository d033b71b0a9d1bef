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
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// The section of the book that explains the cases of this file.
const BOOK_SECTION: &str = "The contract, \"Starting and stopping\"";

/// Asserts that the server exited with a status other than 0, wrote one line to standard error, and
/// left no process behind.
pub(super) fn assert_reported(ctx: &mut Ctx<'_>, failed: &FailedStart) -> Verdict {
    let FailedStart { status, stderr, pid } = failed;
    let how = Server::describe_exit(*status);
    ensure(!status.success(), "a status other than 0", how)?;
    ensure(stderr.lines().count() == 1, "one line on standard error", stderr)?;
    wait_until_no_process(ctx, *pid)
}

/// Starts the server. If the server prints `listening on`, asserts that a client gets one of
/// `statuses` and that SIGTERM ends the server; otherwise returns how the server exited.
fn serves(
    ctx: &mut Ctx<'_>,
    options: &[(&str, &str)],
    rlimits: Rlimits,
    statuses: &[u16],
) -> CaseResult<Option<FailedStart>> {
    let failed = ctx.try_serve(options, rlimits)?;
    if failed.is_none() {
        for _ in 0..2 {
            ctx.get("/plaintext")?.one_of(statuses)?;
        }
        ctx.server()?.signal(Signal::SIGTERM)?;
        assert_clean_exit(ctx)?;
    }
    Ok(failed)
}

/// Starts the server as [`serves`] does, and asserts that a server that does not serve has reported
/// why. Returns whether it serves.
fn serves_or_reports(
    ctx: &mut Ctx<'_>,
    options: &[(&str, &str)],
    rlimits: Rlimits,
    statuses: &[u16],
) -> CaseResult<bool> {
    match serves(ctx, options, rlimits, statuses)? {
        Some(failed) => assert_reported(ctx, &failed).map(|()| false),
        None => Ok(true),
    }
}

/// Returns the option for a small number of workers, if the server has workers.
fn few_workers(ctx: &Ctx<'_>) -> Option<(&'static str, &'static str)> {
    ctx.profile.workers_option().map(|workers| (workers, "4"))
}

/// An address space, in KiB, in which every server's program can be loaded.
const LOADED: u32 = 16 * 1024;

pub(super) const CASES: &[Case] = &[
    case("start_with_few_descriptors", Contract, "contract, Starting and stopping; EMFILE", "However few descriptors a process may have, a server that prints `listening on` serves a client; any other exits with one line that says why", |ctx| {
        // Before the server `fork` creates a process for a client, it counts its threads, which
        // takes one more descriptor. If it has none left, it answers 503.
        let process = ctx.profile.model == Model::ProcessPerClient;
        let statuses: &[u16] = if process { &[200, 503] } else { &[200] };
        for count in 5..40 {
            let few = Rlimits { descriptors: Some(count), ..Rlimits::default() };
            if serves_or_reports(ctx, few_workers(ctx).as_slice(), few, statuses)? {
                return Ok(());
            }
        }
        Err(Abort::fail("a server that starts with 39 descriptors", "it does not start"))
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
            if serves_or_reports(&mut other, few_workers(ctx).as_slice(), few, &[200, 503])? {
                break;
            }
        }
        Ok(())
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_log()
    .book(BOOK_SECTION),
    case("start_with_little_memory", Contract, "contract, Starting and stopping; getrlimit(2), RLIMIT_AS", "However little memory a process may have, a server that prints `listening on` serves a client; any other exits with one line that says why", |ctx| {
        let (mut judged, mut served) = (false, 0);
        for step in 0..64 {
            let kib = 4096 + step * 523;
            let few = Rlimits { memory: Some(kib), ..Rlimits::default() };
            let Some(failed) = serves(ctx, few_workers(ctx).as_slice(), few, &[200])? else {
                (judged, served) = (true, served + 1);
                // Limits above the first one that suffices are tried, too, until the server has
                // served with 16 limits: with a higher limit, an allocation whose size depends on
                // the available memory may fail.
                if served == 16 {
                    return Ok(());
                }
                continue;
            };
            // If the limit is so low that the program cannot be loaded, no report is required.
            judged |= kib >= LOADED || failed.status.code().is_some_and(|code| code != 127);
            if judged {
                assert_reported(ctx, &failed)?;
            }
        }
        ensure(served > 0, "a server that starts with 36 MiB", "it does not start")
    })
    .lasts(2)
    .needs(&[Need::Process, Need::Plaintext])
    .may_log()
    .book(BOOK_SECTION),
    case("start_with_too_many_workers", Contract, "contract, Starting and stopping; EMFILE, EAGAIN, ENOMEM", "However many threads or processes a server is told to start, and however little it may have for them: if it prints `listening on` it serves a client; if not, it exits with one line that says why", |ctx| {
        let (_kept, own) = copy_program(ctx.target)?;
        let mut other = Ctx::new(&own, ctx.profile, ctx.root.clone());
        other.log = ctx.log.clone();
        for option in ctx.profile.size_options() {
            let many = [(*option, "100")];
            for count in [8, 40, 120, 200] {
                let few = Rlimits { descriptors: Some(count), ..Rlimits::default() };
                serves_or_reports(ctx, &many, few, &[200])?;
            }
            for mib in [12, 25, 40] {
                let few = Rlimits { memory: Some(mib * 1024), ..Rlimits::default() };
                serves_or_reports(ctx, &many, few, &[200])?;
            }
            let few = Rlimits { processes: Some(30), ..Rlimits::default() };
            serves_or_reports(&mut other, &many, few, &[200])?;
        }
        Ok(())
    })
    .lasts(2)
    .needs(&[Need::Process, Need::Plaintext])
    .may_log()
    .book(BOOK_SECTION),
];
