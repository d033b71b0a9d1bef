//! What pages include: `{{#include PATH}}` and `{{#include PATH:ANCHOR}}`.

use std::sync::LazyLock;

use regex::Regex;

/// The groups are a backslash that makes it plain text, the path, and the anchor. mdBook's
/// other ways to include count, too.
pub(crate) static INCLUDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let ways = "include|rustdoc_include|playground";
    Regex::new(&format!(
        r"(\\)?\{{\{{\s*#(?:{ways})\s+([^}}:\s]+)(?::([^}}\s]+))?[^}}]*\}}\}}"
    ))
    .ok()
});

/// Returns what is between the marks of an anchor, without other marks; or nothing if one of
/// its marks is missing.
pub(crate) fn anchored(text: &str, anchor: &str) -> Option<String> {
    let marks = |line: &str, mark: &str| {
        let mut behind = line.split(mark).skip(1);
        behind.next().is_some_and(|rest| rest.split_whitespace().next() == Some(anchor))
    };
    let mut lines = text.lines();
    lines.find(|line| marks(line, "ANCHOR:"))?;
    let mut inside = String::new();
    for line in lines {
        if marks(line, "ANCHOR_END:") {
            return Some(inside);
        }
        if !line.contains("ANCHOR") {
            inside += line;
            inside.push('\n');
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_anchors() {
        let text = "no\n// ANCHOR: a\nyes\n// ANCHOR: b\ntoo\n// ANCHOR_END: b\n// ANCHOR_END: a\nno\n";
        assert_eq!(anchored(text, "a").as_deref(), Some("yes\ntoo\n"));
        assert_eq!(anchored(text, "b").as_deref(), Some("too\n"));
        assert_eq!(anchored(text, "c"), None);
    }
}
