//! The lab: every measured figure of the book, made again by one command.
//!
//! ```text
//! model        what is predicted, recorded and drawn: data, and how it is stored
//! tools        start servers, open connections, weigh, repeat, report progress
//! experiment   what an experiment is: model data and a function that measures with the tools
//! experiments  one file each, and the list of all
//! prelude      what every experiment is made of, under one name
//! pages, verdict, report      how a record looks on a page and beside a prediction
//! commands     `lab …`: runs an experiment, stores its record, shows it
//! ```
//!
//! Each layer uses only those above it in this list. A record is JSON with the machine's
//! facts, in `target/lab/`. With `--record` it is in `book/results/`, and what the pages show
//! of it in `book/src/generated/`, from where they include it: so no measured number is ever
//! typed.

mod commands;
mod draw;
mod experiment;
mod experiments;
mod model;
pub(crate) mod pages;
mod prelude;
mod report;
mod tools;
mod verdict;

pub use commands::{RunArgs, Shown, blank, command, measure, predict, shown, verdict};
#[cfg(target_os = "linux")]
pub use commands::{chaos, compare, hold};
pub use experiment::Experiment;
pub(crate) use experiments::sizes::FUTURE;
pub use experiments::{EXPERIMENTS, find};
#[cfg(target_os = "linux")]
pub use experiments::{
    chaos::Options as ChaosOptions, compare::Options as CompareOptions,
    hold::Options as HoldOptions,
};
pub use model::chart::Kind;
pub use model::prediction::{Answer, Form, Predict, StoredPrediction, predictions};
pub use model::record::{Mode, Part, Record};
pub use verdict::Verdict;
