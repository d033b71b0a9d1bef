//! No prediction stands above its answer: what gives it away is behind it, in a
//! `<div class="told">`, which is in sight only while the prediction is open.

use std::path::Path;

use anyhow::Result;

use crate::files::{files, read};
use crate::problem::Problem;

const BEGINS: &str = "<details class=\"predict\"";
const ENDS: &str = "</details>\n";
const TOLD: &str = "<div class=\"told\">";

/// Checks every page below `src`.
pub(super) fn check(src: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in files(src, "md")? {
        let name = path.strip_prefix(src).unwrap_or(&path);
        let text = read(&path)?;
        let found = in_page(&text);
        problems.extend(
            found.into_iter().map(|(at, what)| Problem::at(name, &text, at, what)),
        );
    }
    Ok(problems)
}

fn in_page(page: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    // Where a `told` may begin.
    let mut ends = Vec::new();
    for (at, _) in page.match_indices(BEGINS) {
        let Some(end) = page[at..].find(ENDS).map(|end| at + end + ENDS.len()) else {
            continue;
        };
        let behind = page[end..].trim_start();
        ends.push(page.len() - behind.len());
        let measured =
            page[at..].lines().next().is_some_and(|line| line.contains("data-lab="));
        // What shows itself: a transcript, a figure, a table.
        let shows = ["```text", "{{#include generated", "<figure", "|"];
        let shows = shows.iter().any(|begin| behind.starts_with(begin));
        let typed = behind.starts_with("```text")
            && !behind.lines().nth(1).is_some_and(|line| line.contains("{{#"));
        if measured && !behind.starts_with(TOLD) || shows && !typed {
            found.push((at, "the answer stands below this prediction: put it, with the text that gives it away, into a <div class=\"told\"> right behind it"));
        }
    }
    for (at, _) in page.match_indices(TOLD).filter(|(at, _)| !ends.contains(at)) {
        found.push((at, "this <div class=\"told\"> is not right behind a prediction, so it would never be hidden"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_below_its_prediction_is_found() {
        let asks = "<details class=\"predict\">\n<summary>?</summary>\n</details>\n\n";
        let measures = asks.replace("\">", "\" data-lab=\"x\">");
        let transcript = "```text\n{{#include transcripts/x.txt}}\n```\n";
        let figure = "{{#include generated/x.md}}\n";
        for (page, count) in [
            (format!("{asks}{transcript}"), 1),
            (format!("{asks}{figure}"), 1),
            (format!("{measures}Some text.\n\n{figure}"), 1),
            (format!("{measures}{TOLD}\n\n{figure}\n</div>\n"), 0),
            (format!("{asks}{TOLD}\n\n{transcript}\n</div>\n"), 0),
            (format!("{asks}Some text.\n"), 0),
            (format!("{asks}```text\ncurl x\n```\n"), 0),
            (format!("{asks}Some text.\n\n{TOLD}\n</div>\n"), 1),
        ] {
            assert_eq!(in_page(&page).len(), count, "{page}");
        }
    }
}
