//! Data of the lab, without anything that measures: predictions, records, charts.

pub(super) mod chart;
pub(super) mod machine;
pub(super) mod parameter;
pub(super) mod prediction;
pub(super) mod record;
pub(super) mod summary;
