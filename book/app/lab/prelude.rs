//! What every experiment is made of.

pub(crate) use super::experiment::Experiment;
pub(crate) use super::model::chart::{Chart, Kind, Labels, Series};
pub(crate) use super::model::parameter::{Parameter, charted, tabled};
pub(crate) use super::model::prediction::{Form, Predict, range};
pub(crate) use super::model::record::{Part, Record, Results};
pub(crate) use super::model::summary::Summary;
pub(crate) use super::tools::run::Run;
pub(crate) use crate::text::{bytes, counted, in_words, measured, table, thousands};
