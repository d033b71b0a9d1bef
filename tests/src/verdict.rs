//! The verdict on a server: a case passes, fails with a mismatch, or is skipped.

use std::fmt;

/// The reason why a case ended early.
#[derive(Debug, Clone)]
pub enum Abort {
    /// The case does not apply to the server, or the suite cannot try it; the string is the reason.
    /// The case counts as skipped.
    Skip(String),
    /// The case cannot be tried, because the server lacks a feature that the contract demands.
    Missing(Missing),
    /// The server did not keep the promise.
    Fail(Mismatch),
}

/// The first words of the reasons for a skip that are known before the server starts. No server can
/// cause them: they concern the machine, the user that runs the suite, or the way in which the
/// server was named (`--bin` or another option).
const KNOWN_BEFORE: [&str; 9] = [
    "no /proc on this system",
    "this system opens a directory only with read permission",
    "this system does not report how much is unread",
    "this system has no prlimit(1)",
    "this system leases no files",
    "needs a server that takes the contract's own options (--bin)",
    "only root can start a server as another user",
    "another user cannot enter ",
    "it needs more clients at once than ",
];

/// Returns whether a case was skipped for a reason that is known before the server starts. The
/// server may have caused any other reason, for example by its responses, or by using up the ports,
/// the disk or the processor of the machine.
pub fn is_known_before(reason: &str) -> bool {
    KNOWN_BEFORE.iter().any(|words| reason.starts_with(words))
}

/// A feature that the contract demands and the server does not offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The feature's name, as `--allow-missing` takes it: `echo`, `files`, `head-timeout`.
    pub name: &'static str,
    /// The observation that shows that the feature is missing, and the way to make the server offer
    /// it.
    pub why: String,
}

/// The expectation of a client, and the observation that contradicts it.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// The behavior that the client expected.
    pub expected: String,
    /// The behavior that the client observed instead.
    pub actual: String,
}

/// The result of one step of a case.
pub type CaseResult<T> = Result<T, Abort>;

/// The result of a whole case.
pub type Verdict = CaseResult<()>;

impl Abort {
    /// Returns a failure with the client's expectation and the observation that contradicts it.
    pub fn fail(expected: impl fmt::Display, actual: impl fmt::Display) -> Self {
        Self::Fail(Mismatch {
            expected: expected.to_string(),
            actual: actual.to_string(),
        })
    }

    /// Replaces the expectation of a failure, for a caller that can describe it better than the
    /// client.
    #[must_use]
    pub fn expecting(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Fail(mismatch) => {
                Self::Fail(Mismatch { expected: what.to_string(), ..mismatch })
            }
            other @ (Self::Skip(_) | Self::Missing(_)) => other,
        }
    }

    /// Adds the number of the response to the text of a failure, for a case that expects several
    /// responses.
    #[must_use]
    pub fn in_response(self, number: usize) -> Self {
        match self {
            Self::Fail(Mismatch { expected, actual }) => Self::Fail(Mismatch {
                expected: format!("in response {number}: {expected}"),
                actual,
            }),
            other @ (Self::Skip(_) | Self::Missing(_)) => other,
        }
    }

    /// Returns the abort of a case because the server lacks the feature `name`; `why` is the
    /// observation.
    pub fn missing(name: &'static str, why: impl fmt::Display) -> Self {
        Self::Missing(Missing { name, why: why.to_string() })
    }

    /// Returns the abort of a case that is skipped for the reason `why`. In grading, the case
    /// scores zero unless [`is_known_before`] accepts the reason.
    pub fn skip(why: impl fmt::Display) -> Self {
        Self::Skip(why.to_string())
    }
}

/// Fails with `expected` and `actual` unless `holds`.
pub fn ensure(
    holds: bool,
    expected: impl fmt::Display,
    actual: impl fmt::Display,
) -> Verdict {
    if holds { Ok(()) } else { Err(Abort::fail(expected, actual)) }
}

#[cfg(test)]
mod tests {
    use super::{KNOWN_BEFORE, is_known_before};

    #[test]
    fn each_reason_known_before_is_one_that_the_suite_gives() {
        let sources = [
            include_str!("proc.rs"),
            include_str!("target.rs"),
            include_str!("environment.rs"),
            include_str!("cases/files/names.rs"),
            include_str!("cases/shutdown.rs"),
            include_str!("cases/files/cold.rs"),
            include_str!("cases/resources/exhaustion.rs"),
        ];
        for words in KNOWN_BEFORE {
            assert!(sources.iter().any(|source| source.contains(words)), "{words}");
        }
    }

    #[test]
    fn what_a_server_can_bring_about_is_not_known_before() {
        for reason in [
            "no port is free",
            "the machine is too busy",
            "cannot create a directory: No space left on device",
            "cannot lease a file: Resource temporarily unavailable",
            "cannot copy the program: No space left on device",
            "the server ignores Range, which is optional",
        ] {
            assert!(!is_known_before(reason), "{reason}");
        }
    }
}
