//! Checks that no page shows the answer to a prediction before the reader has predicted. Everything
//! that gives the answer away must follow the prediction directly, in a `<div class="told">`, which
//! stays hidden until the reader has predicted.

const BEGINS: &str = "<details class=\"predict\"";
const ENDS: &str = "</details>\n";
const TOLD: &str = "<div class=\"told\">";

/// Returns a message for each prediction of a page whose answer is not hidden, and for each
/// misplaced `<div class="told">`, with the byte offset at which the prediction or the div begins.
pub(super) fn in_page(page: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    // The byte offsets at which predictions end, where a `<div class="told">` may begin.
    let mut ends = Vec::new();
    for (at, _) in page.match_indices(BEGINS) {
        let Some(end) = page[at..].find(ENDS).map(|end| at + end + ENDS.len()) else {
            continue;
        };
        let behind = page[end..].trim_start();
        ends.push(page.len() - behind.len());
        let measured =
            page[at..].lines().next().is_some_and(|line| line.contains("data-lab="));
        // A transcript, a figure or a table directly after the prediction shows the answer.
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
