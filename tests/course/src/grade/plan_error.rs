//! The reasons why a plan cannot be used.

use std::fmt;
use std::path::PathBuf;

use super::points::Points;

/// The reason why a plan cannot be used. Its message says which part of the plan is wrong, and what
/// to do.
#[derive(Debug)]
pub enum PlanError {
    /// The plan's file at this path cannot be read.
    Read(PathBuf, std::io::Error),
    /// The plan's file at this path is not valid TOML, or has an unknown, missing or wrong key.
    Toml(PathBuf, Box<toml::de::Error>),
    /// The plan has no part.
    NoPart,
    /// Two parts have this name.
    SameName(String),
    /// The part with this name is worth no points.
    NoPoints(String),
    /// A pattern matches no case: the part's name, the pattern, and the most similar name of a case
    /// or family, if there is one.
    NoCase(String, String, Option<String>),
    /// No case of a part applies: the part's name, and the reason.
    NothingApplies(String, String),
    /// A case is in two parts: the case's name, and the two parts' names.
    InTwoParts(String, String, String),
    /// A part needs a part that is not in the plan before it: the part's name, and the name that it
    /// needs.
    NoSuchNeed(String, String),
    /// The points of the parts do not add up to the plan's `points`: that number, and the parts'
    /// sum.
    PointsSum(Points, Points),
    /// A key has an unknown value: the key, the value, and the known values.
    Unknown(&'static str, String, Vec<String>),
    /// A path in `files` leads out of the submission's directory, or is empty.
    BadPath(String),
    /// Two keys exclude each other, or one needs the other; the text says which.
    Keys(&'static str),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Toml(path, error) => {
                write!(f, "{}: {}", path.display(), error.to_string().trim_end())
            }
            Self::NoPart => write!(f, "the plan has no part: add a [[part]]"),
            Self::SameName(name) => {
                write!(f, "two parts are called {name:?}: rename one of them")
            }
            Self::NoPoints(part) => {
                write!(f, "part {part:?} has no points: give it some, or leave it out")
            }
            Self::NoCase(part, pattern, near) => {
                write!(f, "part {part:?}: no case matches {pattern:?}; ")?;
                match near {
                    Some(near) => write!(f, "did you mean {near:?}?"),
                    None => write!(f, "`client-suite list` prints all cases"),
                }
            }
            Self::NothingApplies(part, why) => write!(
                f,
                "part {part:?}: none of its cases applies ({why}): change `cases`, `like` or `lacks`"
            ),
            Self::InTwoParts(case, one, other) => write!(
                f,
                "{case} is in the parts {one:?} and {other:?}: leave it out of one with \"!{case}\""
            ),
            Self::NoSuchNeed(part, need) => write!(
                f,
                "part {part:?} needs {need:?}, which is no part before it: correct the name or the order"
            ),
            Self::PointsSum(plan, parts) => write!(
                f,
                "the parts have {parts} points together, and the plan says {plan}: correct one of them"
            ),
            Self::Unknown(key, value, known) => {
                write!(f, "`{key}`: {value:?} is not one of {}", known.join(", "))
            }
            Self::BadPath(path) => write!(
                f,
                "`files`: {path:?} must be a path below the submission, without `..`"
            ),
            Self::Keys(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for PlanError {}
