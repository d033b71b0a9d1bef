//! `lab report`: one page of everything that the reader has run.

use anyhow::Result;

use crate::house::House;

/// Writes it to target/lab/report.html.
pub(super) fn command(_: &House) -> Result<()> {
    anyhow::bail!("not written yet")
}
