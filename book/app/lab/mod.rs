//! The lab: every measured figure of the book, made again by one command.
//!
//! ```text
//! model        data: predictions and records, and how they are stored
//! pages        the files that pages include for a record, and a record's tables and charts
//! tools        start servers, open connections, measure memory and load, report progress
//! experiment   the type of an experiment: model data, and a function that uses the tools
//! prelude      the names that the experiments import
//! experiments  a file for each experiment, and the list of all
//! verdict, report      show a record beside a prediction
//! commands     the command `lab`: runs an experiment, stores its record, shows it
//! ```
//!
//! Each layer uses only the layers above it in this list. A record is stored as JSON, with the
//! machine's properties, in `target/lab/`. With `--record` the record is stored in `book/results/`
//! instead, and its tables and charts in `book/src/generated/`, from where pages include them: so
//! no author ever types a measured number.

mod commands;
mod experiment;
mod experiments;
mod model;
pub(crate) mod pages;
mod prelude;
mod report;
mod tools;
mod verdict;

pub use commands::{RunArgs, Shown, blank, command, predict, shown, verdict};
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
pub(crate) use model::machine::Machine;
pub use model::prediction::{Answer, Form, Predict, StoredPrediction, predictions};
pub use model::record::{Mode, Part, Record};
pub use verdict::Verdict;
