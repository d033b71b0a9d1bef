//! The include directives of pages: `{{#include PATH}}` and `{{#include PATH:ANCHOR}}`.

use std::sync::LazyLock;

use regex::Regex;

/// Matches an include directive, in any of mdBook's forms. Its groups are: 1, a backslash
/// that makes the directive plain text; 2, the path; 3, the anchor.
pub(crate) static INCLUDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let ways = "include|rustdoc_include|playground";
    Regex::new(&format!(
        r"(\\)?\{{\{{\s*#(?:{ways})\s+([^}}:\s]+)(?::([^}}\s]+))?[^}}]*\}}\}}"
    ))
    .ok()
});

/// Returns the lines of `text` between the two marks of `anchor`, without the marks of other
/// anchors. `None` if either mark is missing.
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
