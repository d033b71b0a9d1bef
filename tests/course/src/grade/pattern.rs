//! Patterns in a plan, which choose the cases of a part.

use client_suite::case::Case;

/// Returns whether a pattern matches a case. A pattern is the name of a family, or the full name of
/// a case, in which each `*` stands for any text. It matches cases of a project only if it begins
/// with [`PROJECT`].
pub(super) fn matches(pattern: &str, case: &Case) -> bool {
    let named = !case.family.starts_with(PROJECT) || pattern.starts_with(PROJECT);
    named && (pattern == case.family || glob(pattern, &case.full_name()))
}

/// The prefix of the names of families that belong to a project, whose cases go beyond the
/// contract.
const PROJECT: &str = "project_";

fn glob(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .any(|at| glob(rest, &text[at..]))
}

/// Returns the name of a family, or the full name of a case, that is most like the misspelled name
/// `wrong`. Returns `None` if no name is similar.
pub(super) fn nearest(wrong: &str, all: &[Case]) -> Option<String> {
    let wrong = wrong.trim_end_matches(['*', ':']);
    let families = all.iter().map(|case| case.family.to_owned());
    let names = families.chain(all.iter().map(Case::full_name));
    let distances = names.map(|name| (strsim::levenshtein(wrong, &name), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + wrong.len() / 4).then_some(name)
}
