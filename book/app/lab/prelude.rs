//! The names that the experiments import.

pub(crate) use super::experiment::{Experiment, measured_by};
pub(crate) use super::model::parameter::{Parameter, charted, parameter, tabled};
pub(crate) use super::model::prediction::{choice, curve, number, range};
pub(crate) use super::model::record::{Part, Record, Results, StoredAs};
pub(crate) use super::tools::run::Run;
pub(crate) use figures::chart::{Chart, Kind, Labels, Series};
pub(crate) use figures::summary::Summary;
pub(crate) use figures::text::{bytes, counted, in_words, measured, table, thousands};
