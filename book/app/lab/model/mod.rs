//! Data of the lab, without anything that measures: predictions and records.

pub(super) mod machine;
pub(super) mod parameter;
pub(super) mod prediction;
pub(super) mod record;
