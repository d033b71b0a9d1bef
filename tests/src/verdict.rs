//! What a case can come to: it holds, it does not, or it could not be tried.

use std::fmt;

/// Why a case ended early.
#[derive(Debug, Clone)]
pub enum Stop {
    /// It could not be tried; the reason is shown and the case is counted as skipped.
    Skip(String),
    /// The server did not keep its promise.
    Fail(Fault),
}

/// The heart of a failure: what should have come, and what came.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What the client was waiting for.
    pub expected: String,
    /// What it met.
    pub came: String,
}

/// The result of one step of a case.
pub type Step<T> = Result<T, Stop>;

/// The result of a whole case.
pub type Verdict = Step<()>;

impl Stop {
    /// A failure, in the reader's words.
    pub fn fail(expected: impl fmt::Display, came: impl fmt::Display) -> Self {
        Self::Fail(Fault { expected: expected.to_string(), came: came.to_string() })
    }

    /// A failure that says what the case was waiting for, where the client knows
    /// only that it was waiting.
    #[must_use]
    pub fn awaiting(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Fail(fault) => {
                Self::Fail(Fault { expected: what.to_string(), ..fault })
            }
            skip @ Self::Skip(_) => skip,
        }
    }

    /// A failure that says which of several answers it is about.
    #[must_use]
    pub fn in_answer(self, number: usize) -> Self {
        match self {
            Self::Fail(Fault { expected, came }) => Self::Fail(Fault {
                expected: format!("as answer {number}: {expected}"),
                came,
            }),
            skip @ Self::Skip(_) => skip,
        }
    }

    /// A skip, with its reason.
    pub fn skip(why: impl fmt::Display) -> Self {
        Self::Skip(why.to_string())
    }
}

/// Fails with `expected` and `came` unless `holds`.
pub fn demand(
    holds: bool,
    expected: impl fmt::Display,
    came: impl fmt::Display,
) -> Verdict {
    if holds { Ok(()) } else { Err(Stop::fail(expected, came)) }
}
