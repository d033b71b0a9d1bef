//! Static files: their bytes, and the fields that describe them.

mod changing;
mod content;
mod fields;
mod names;

use crate::case::{Case, Need};
use crate::ctx::Ctx;
use crate::fixture::FILES;
use crate::verdict::{Abort, Verdict};

pub(super) const CASES: &[&[Case]] =
    &[content::CASES, names::CASES, fields::CASES, changing::CASES];

const NEED: &[Need] = &[Need::Files];

/// Asserts that the target is answered with the content of this file.
fn is_file(ctx: &mut Ctx<'_>, target: &str, name: &str) -> Verdict {
    let content =
        FILES.iter().find(|(file, _)| *file == name).map(|(_, content)| *content);
    let content = content.ok_or_else(|| Abort::skip(format!("no file {name}")))?;
    ctx.get(target)?.is(200)?.has_content(content).map(drop)
}
