//! The include directives of pages: `{{#include PATH}}` and `{{#include PATH:ANCHOR}}`.

use std::sync::LazyLock;

use regex::Regex;

/// A pattern that matches an include directive, in any of mdBook's forms. The pattern's
/// groups are: 1, a backslash that makes the directive plain text; 2, the path; 3, the
/// anchor.
pub(crate) static INCLUDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let ways = "include|rustdoc_include|playground";
    Regex::new(&format!(
        r"(\\)?\{{\{{\s*#(?:{ways})\s+([^}}:\s]+)(?::([^}}\s]+))?[^}}]*\}}\}}"
    ))
    .ok()
});

/// Returns the text between the marks of an anchor, without the lines that mark other anchors.
/// `None` if one of the anchor's two marks is missing.
pub(crate) fn anchored(text: &str, anchor: &str) -> Option<String> {
    let numbers = anchored_lines(text, anchor)?;
    let lines: Vec<&str> = text.lines().collect();
    Some(numbers.into_iter().flat_map(|number| [lines[number], "\n"]).collect())
}

/// Returns the line numbers, counted from 0, of the lines that [`anchored`] returns.
pub(crate) fn anchored_lines(text: &str, anchor: &str) -> Option<Vec<usize>> {
    let marks = |line: &str, mark: &str| {
        let mut behind = line.split(mark).skip(1);
        behind.next().is_some_and(|rest| rest.split_whitespace().next() == Some(anchor))
    };
    let mut lines = text.lines().enumerate();
    lines.find(|(_, line)| marks(line, "ANCHOR:"))?;
    let mut inside = Vec::new();
    for (number, line) in lines {
        if marks(line, "ANCHOR_END:") {
            return Some(inside);
        }
        if !line.contains("ANCHOR") {
            inside.push(number);
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
