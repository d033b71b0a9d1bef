//! The reasons why a plan cannot be used.

use std::fmt;
use std::path::PathBuf;

use super::points::Points;

/// The reason why a plan cannot be used. Its text says which part is meant, and what to do.
#[derive(Debug)]
pub enum PlanError {
    /// The file cannot be read.
    Read(PathBuf, std::io::Error),
    /// The file is no TOML, or has an unknown, missing or wrong key.
    Toml(PathBuf, Box<toml::de::Error>),
    /// The plan has no part.
    NoPart,
    /// Two parts have the same name.
    SameName(String),
    /// A part has no points.
    NoPoints(String),
    /// A pattern matches no case; the last string is a name that is like it.
    NoCase(String, String, Option<String>),
    /// No case of a part applies, for the reason in the last string.
    NothingApplies(String, String),
    /// A case is in two parts.
    InTwoParts(String, String, String),
    /// A part needs a part that is not in the plan before it.
    NoSuchNeed(String, String),
    /// The points of the parts add up to something else than the plan says.
    PointsSum(Points, Points),
    /// A value that is not among the values known for its key: the key, the value, and the known
    /// values.
    Unknown(&'static str, String, Vec<String>),
    /// A path leaves the submission, or is empty.
    BadPath(String),
    /// Two keys exclude each other, or one needs the other; the string says which.
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
