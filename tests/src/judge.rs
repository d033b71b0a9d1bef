//! One case against one server, from the first byte to the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::case::{Case, Kind, Need};
use crate::ctx::{Ctx, echo, get};
use crate::failure::Failure;
use crate::fixture;
use crate::stage::Stage;
use crate::target::Target;
use crate::verdict::{Fault, Step, Stop, Verdict};

/// What a case came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The promise is kept.
    Held,
    /// It could not be tried, and why.
    Skipped(String),
    /// The promise is broken.
    Broken(Box<Failure>),
}

/// The document root of this run; it goes when the value is dropped.
#[derive(Debug)]
pub struct Root {
    _base: TempDir,
    /// The root itself.
    pub path: PathBuf,
}

impl Root {
    /// Makes one.
    pub fn new() -> std::io::Result<Self> {
        let base = tempfile::Builder::new().prefix("client-suite-").tempdir()?;
        // A name of its own for the root and its neighbours, symbolic links resolved.
        let path = fixture::make(&base.path().canonicalize()?)?;
        Ok(Self { _base: base, path })
    }
}

/// What a server is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The whole contract.
    Contract,
    /// The standards alone: what the contract chose is no fault elsewhere.
    Standards,
}

impl Measure {
    /// Why a case is not asked, if it is not.
    pub fn leaves_out(self, case: &Case) -> Option<String> {
        let own = matches!(case.kind, Kind::Contract | Kind::Book) || case.chosen;
        (own && self == Self::Standards)
            .then(|| "the standards do not ask for it".to_owned())
    }
}

/// What a server was found to offer.
#[derive(Debug)]
pub struct Offer {
    lacking: Vec<(Need, String)>,
}

impl Offer {
    /// Everything: the book's own servers, which have no excuse.
    pub fn everything() -> Self {
        Self { lacking: Vec::new() }
    }

    /// Asks a server what it offers.
    pub fn probe(target: &Target, stage: &Stage, root: &Path, files: bool) -> Step<Self> {
        let mut ctx = Ctx::new(target, stage, root.to_owned());
        ctx.server()?;
        let mut lacking = Vec::new();
        let line = "0123456789";
        let probes: [(Need, &str, Vec<u8>, &str); 5] = [
            (Need::Plaintext, "/plaintext", get("/plaintext"), "Hello, World!"),
            (Need::Echo, "/echo", echo(b"x"), "x"),
            (Need::Sleep, "/sleep/0", get("/sleep/0"), "slept 0 ms\n"),
            (Need::Bytes, "/bytes/10", get("/bytes/10"), line),
            (Need::Stats, "/stats", get("/stats"), ""),
        ];
        for (need, route, bytes, content) in probes {
            let found = match ctx.ask(bytes) {
                Ok(answer)
                    if answer.status == 200 && answer.text().starts_with(content) =>
                {
                    continue;
                }
                Ok(answer) => format!("it answered {}", answer.status),
                Err(_) => "it did not answer".to_owned(),
            };
            lacking.push((need, format!("the server does not offer {route} ({found})")));
        }
        // The failing route is not tried before its own case: it may end a server.
        if lacking.iter().any(|(need, _)| *need == Need::Stats) {
            lacking.push((
                Need::Panic,
                "the server does not offer /stats, so /panic is not tried".to_owned(),
            ));
        }
        if !target.has_root() && !files {
            lacking.push((
                Need::Files,
                "the server does not serve the suite's files ({root})".to_owned(),
            ));
        }
        if matches!(target, Target::Url(_)) {
            lacking.push((
                Need::Process,
                "the server's process is not ours to look at".to_owned(),
            ));
        }
        Ok(Self { lacking })
    }

    /// Why a case cannot be tried, if it cannot.
    pub fn refuses(&self, case: &Case) -> Option<&str> {
        let lacks = self.lacking.iter().find(|(need, _)| case.needs.contains(need));
        lacks.map(|(_, why)| why.as_str())
    }
}

/// Runs one case.
pub fn judge(
    case: &Case,
    stage: &Stage,
    target: &Target,
    root: &Path,
    by: Measure,
) -> Outcome {
    let mut ctx = Ctx::new(target, stage, root.to_owned());
    ctx.standards = by == Measure::Standards;
    ctx.lenient = ctx.standards && case.kind == Kind::Security;
    ctx.at_once = case.clients;
    // A case that panics is a bug of the suite's; it must not hide the transcript.
    let run = catch_unwind(AssertUnwindSafe(|| (case.run_for(stage))(&mut ctx)));
    let verdict = run.unwrap_or_else(|_| {
        Err(Stop::fail("a case that does not panic", "a bug in the suite"))
    });
    let verdict = died(&mut ctx, verdict).and_then(|()| ctx.finish(case.may_complain));
    match verdict {
        Ok(()) => Outcome::Held,
        Err(Stop::Skip(why)) => Outcome::Skipped(why),
        Err(Stop::Fail(fault)) => {
            Outcome::Broken(Box::new(Failure::new(case, &mut ctx, fault)))
        }
    }
}

/// When the server has died, that is what the failure is about.
fn died(ctx: &mut Ctx<'_>, verdict: Verdict) -> Verdict {
    let Err(Stop::Fail(Fault { expected, came })) = verdict else { return verdict };
    let dead = ctx.started().and_then(crate::server::Server::exits_now);
    let came = match dead {
        Some(status) => format!(
            "{came}; the server is dead: {}",
            crate::server::Server::describe(status)
        ),
        None => came,
    };
    Err(Stop::fail(expected, came))
}
