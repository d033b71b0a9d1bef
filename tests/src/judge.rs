//! Runs one case against one server and returns the outcome.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::case::{Case, Kind, Need};
use crate::ctx::{Ctx, echo, get};
use crate::failure::Failure;
use crate::fixture;
use crate::profile::ServerProfile;
use crate::target::Target;
use crate::timeout::timeout;
use crate::verdict::{Abort, CaseResult, Mismatch, Missing, Verdict};

/// The outcome of a case.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The server kept the promise.
    Passed,
    /// The case does not apply to the server, or the suite could not try it; the string is the
    /// reason. This outcome does not count as a failure.
    Skipped(String),
    /// The case was not tried, because the server lacks a feature that the contract demands. This
    /// outcome counts as a failure.
    Missing(Missing),
    /// The case was not tried, because too many earlier cases of its family have hung; the string
    /// is this reason. This outcome counts as a failure.
    NotReached(String),
    /// The server broke the promise.
    Failed(Box<Failure>),
}

/// The temporary document root of this run; dropping it deletes it.
#[derive(Debug)]
pub struct DocumentRoot {
    _base: TempDir,
    /// The path of the document root.
    pub path: PathBuf,
}

impl DocumentRoot {
    /// Creates a document root with the fixture's files.
    pub fn new() -> std::io::Result<Self> {
        let base = tempfile::Builder::new().prefix("client-suite-").tempdir()?;
        // The root's path must have no symbolic links, because cases compare paths with it.
        let path = fixture::variant().make(&base.path().canonicalize()?)?;
        Ok(Self { _base: base, path })
    }
}

/// The set of promises that a server is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// All promises of the book's contract.
    Contract,
    /// All promises except those that only the book makes: cases of [`Kind::Contract`] and
    /// [`Kind::Book`] are skipped, and so are cases that are marked as `beyond_standards`.
    Standards,
    /// All promises of the contract, but any refusal is accepted, whatever its status, and so is a
    /// close without a response. A case is skipped as soon as a refusal has ended its connection
    /// and the bytes after the refused request were not answered. This strictness distinguishes a
    /// server that offers less from a server that interprets a message in another way than the
    /// contract.
    Refusal,
}

impl Strictness {
    /// Returns the reason why a case is left out, or `None` if the case is run.
    pub fn skip_reason(self, case: &Case) -> Option<String> {
        let own =
            matches!(case.kind, Kind::Contract | Kind::Book) || case.beyond_standards;
        (own && self == Self::Standards).then(|| "no standard requires it".to_owned())
    }
}

/// The features, among those that cases need, that a server lacks or that the suite cannot examine.
#[derive(Debug)]
pub struct Support {
    /// The features that the server lacks.
    missing: Vec<(Need, Missing)>,
    /// The features that the suite cannot examine, each with the reason.
    impossible: Vec<(Need, String)>,
}

impl Support {
    /// Returns the value for a server that offers every feature, as the book's own servers must.
    pub fn everything() -> Self {
        Self { missing: Vec::new(), impossible: Vec::new() }
    }

    /// Starts a server, sends it requests, and returns the features that the server lacks or that
    /// the suite cannot examine. `files` says that the server serves the suite's files. After
    /// [`MOST_HANGS`] requests that hang, no further requests are sent.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be started.
    pub fn probe(
        target: &Target,
        profile: &ServerProfile,
        root: &Path,
        files: bool,
    ) -> CaseResult<Self> {
        let mut ctx = Ctx::new(target, profile, root.to_owned());
        ctx.server()?;
        let (mut missing, mut impossible) = (Vec::new(), Vec::new());
        let lack = |need: Need, why: String| (need, Missing { name: need.name(), why });
        let mut hangs = 0;
        let line = "0123456789";
        let probes: [(Need, &str, Vec<u8>, &str); 5] = [
            (Need::Plaintext, "/plaintext", get("/plaintext"), "Hello, World!"),
            (Need::Echo, "/echo", echo(b"x"), "x"),
            (Need::Sleep, "/sleep/0", get("/sleep/0"), "slept 0 ms\n"),
            (Need::Bytes, "/bytes/10", get("/bytes/10"), line),
            (Need::Stats, "/stats", get("/stats"), ""),
        ];
        for (need, route, bytes, content) in probes {
            if hangs == MOST_HANGS {
                missing.push(lack(need, format!("the server does not offer {route} (not asked, as others have hung)")));
                continue;
            }
            let start = Instant::now();
            let found = match ctx.ask(bytes) {
                Ok(answer)
                    if answer.status == 200 && answer.text().starts_with(content) =>
                {
                    continue;
                }
                Ok(answer) => format!("it sent status {}", answer.status),
                Err(_) => "it did not respond".to_owned(),
            };
            hangs += usize::from(start.elapsed() >= timeout());
            missing
                .push(lack(need, format!("the server does not offer {route} ({found})")));
        }
        // `/panic` is not requested, because the request may end a server that does not handle
        // panics. A server that lacks `/stats` is assumed to lack `/panic`, too.
        if missing.iter().any(|(need, _)| *need == Need::Stats) {
            let why = "the server does not offer /stats, so /panic is not tried";
            missing.push(lack(Need::Panic, why.to_owned()));
        }
        if !target.has_root() && !files {
            let why = "the server does not serve the suite's files (say {root} in --cmd, or --files beside --url)";
            missing.push(lack(Need::Files, why.to_owned()));
        }
        if matches!(target, Target::Url(_)) {
            impossible.push((
                Need::Process,
                "the suite did not start the server, so it cannot examine its process"
                    .to_owned(),
            ));
        }
        Ok(Self { missing, impossible })
    }

    /// Returns the outcome of a case that cannot be tried, or `None` if the case can be tried.
    pub fn obstacle(&self, case: &Case) -> Option<Outcome> {
        let needed = |need: &Need| case.needs.contains(need);
        let impossible = self.impossible.iter().find(|(need, _)| needed(need));
        if let Some((_, why)) = impossible {
            return Some(Outcome::Skipped(why.clone()));
        }
        let missing = self.missing.iter().find(|(need, _)| needed(need));
        missing.map(|(_, missing)| Outcome::Missing(missing.clone()))
    }
}

/// The number of hanging requests after which [`Support::probe`] sends no further request, and the
/// number of hanging cases after which no further case of the same family is run.
pub const MOST_HANGS: usize = 3;

/// The reason reported for a case that is not tried after [`MOST_HANGS`] hangs in its family.
pub const FAMILY_HANGS: &str = "too many cases of its family have hung before it";

/// The number of hangs in each family. A hang is a failure that took the suite's timeout. Without a
/// limit, a server that accepts connections and stays silent would cost the timeout in each of
/// hundreds of cases.
#[derive(Debug, Default)]
pub struct Hangs(Mutex<BTreeMap<&'static str, usize>>);

impl Hangs {
    /// Returns whether the case's family has hung so often that its remaining cases are not tried.
    pub fn exhausted(&self, case: &Case) -> bool {
        let hangs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hangs.get(case.family).is_some_and(|count| *count >= MOST_HANGS)
    }

    /// Returns the number of hangs in all families together.
    pub fn total(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Returns whether a case has hung: it has failed after at least the suite's timeout.
    pub fn is_hang(outcome: &Outcome, time: Duration) -> bool {
        matches!(outcome, Outcome::Failed(_)) && time >= timeout()
    }

    /// Counts a hang if the case has hung.
    pub fn record(&self, case: &Case, outcome: &Outcome, time: Duration) {
        if Self::is_hang(outcome, time) {
            let mut hangs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *hangs.entry(case.family).or_default() += 1;
        }
    }
}

/// The number of clients above which a case holds a lock, so that such cases run one after another:
/// the clients of all cases take their descriptors from one process.
const MANY_CLIENTS: usize = 200;
static MANY: Mutex<()> = Mutex::new(());

/// Runs one case against one server, and returns the outcome.
pub fn judge(
    case: &Case,
    profile: &ServerProfile,
    target: &Target,
    root: &Path,
    strictness: Strictness,
) -> Outcome {
    let _many = (case.clients > MANY_CLIENTS)
        .then(|| MANY.lock().unwrap_or_else(PoisonError::into_inner));
    let mut ctx = Ctx::new(target, profile, root.to_owned());
    ctx.standards = strictness == Strictness::Standards;
    ctx.refusal_ends_case = strictness == Strictness::Refusal;
    ctx.lenient = ctx.refusal_ends_case || (ctx.standards && case.kind == Kind::Security);
    ctx.at_once = case.clients;
    // A panic of the case is a bug in the suite, but the transcript is still reported.
    let run = catch_unwind(AssertUnwindSafe(|| (case.run_for(profile))(&mut ctx)));
    let verdict = run.unwrap_or_else(|_| {
        Err(Abort::fail("a case that does not panic", "a bug in the suite"))
    });
    let verdict =
        with_exit_status(&mut ctx, verdict).and_then(|()| ctx.finish(case.may_log));
    match verdict {
        Ok(()) => Outcome::Passed,
        Err(Abort::Skip(why)) => Outcome::Skipped(why),
        Err(Abort::Missing(missing)) => Outcome::Missing(missing),
        Err(Abort::Fail(mismatch)) => {
            Outcome::Failed(Box::new(Failure::new(case, &mut ctx, mismatch)))
        }
    }
}

/// Adds the server's exit status to a failure if the server has exited.
fn with_exit_status(ctx: &mut Ctx<'_>, verdict: Verdict) -> Verdict {
    let Err(Abort::Fail(Mismatch { expected, actual })) = verdict else { return verdict };
    let dead = ctx.started().and_then(crate::server::Server::exits_soon);
    let actual = match dead {
        Some(status) => format!(
            "{actual}; the server has exited: {}",
            crate::server::Server::describe_exit(status)
        ),
        None => actual,
    };
    Err(Abort::fail(expected, actual))
}
