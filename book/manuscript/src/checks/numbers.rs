//! Finds measured numbers that an author has typed into a page. A measured number must come from a
//! recorded result, so every number with a unit of measurement is a problem unless a mark says that
//! the number is given: a limit, a setting, a published figure. The words on the right of each
//! example say which text the mark covers.
//!
//! ```text
//! It waits 10 s <!-- given: --head-timeout --> and closes.   this paragraph, list item or table row
//! <!-- given: published -->                                  alone on a line: the block that follows
//! <!-- given page: the contract -->                          all of the page
//! ```

use std::path::Path;
use std::sync::LazyLock;

use anyhow::Result;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

use crate::files::{files, read};
use crate::problem::Problem;

static MEASURED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let number = r"\b\d[\d,.\u{202f}\u{a0}]*";
    // Matches up to three spaces between a number and its unit, because each HTML tag between the
    // two has been replaced by a space.
    let gap = r"(?:[\s\u{202f}\u{a0}]|&nbsp;){0,3}";
    // Matches a number in words, which is a problem only before a unit of measurement or in a
    // comparison.
    let words = r"\b(?i:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|sixteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million)";
    let measures = r"(?:(?:nano|micro|milli)?seconds|(?:kilo|mega|giga)bytes|[KMG]iB|per\s?cent|percent)\b";
    let compared = r"(?:as|faster|slower|more|less|fewer|longer|cheaper|dearer|larger|smaller|lighter|heavier|better|worse|higher|lower|the\s(?:memory|time|cost|price|size))\b";
    let time =
        r"(?:ns|µs|μs|us|ms|s|sec|nanoseconds?|microseconds?|milliseconds?|seconds?)\b";
    let size = r"(?:[kKMGT]i?B|bytes|kilobytes|megabytes|gigabytes|[kMG]bit/s)\b";
    let rate = r"(?:(?:requests?|connections?|switches|calls|packets|messages|cycles|clients|answers|events|bytes)\s*(?:/|per\b|an?\b|each\b)|req/s|rps\b|RPS\b|qps\b)";
    let ratio = r"(?:%|per\s?cent\b|×|x\b|[GM]Hz\b|cycles\b)";
    Regex::new(&format!(
        r"{number}{gap}(?:{time}|{size}|{rate}|{ratio}|times\b)|{words}[\s-](?:{measures}|times\s{compared})|[×≈~]\s?\d[\d,.]*"
    ))
    .ok()
});

static TAGS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)<!--.*?-->|<[^>]*>|(?m)^.*\{\{#.*$").ok());

/// Returns a problem for each number with a unit of measurement that no mark `<!-- given -->`
/// covers, in every page and every hand-drawn figure below `src`. Files in generated/ and
/// transcripts/ are skipped, because the book's program writes them.
///
/// # Errors
///
/// A file or a directory cannot be read.
pub fn check(src: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in files(src, "md")?.into_iter().chain(files(src, "svg")?) {
        let name = path.strip_prefix(src).unwrap_or(&path);
        if name.starts_with("generated") || name.starts_with("transcripts") {
            continue;
        }
        let text = read(&path)?;
        let found = if name.extension().is_some_and(|ending| ending == "svg") {
            in_html(&text, 0)
        } else {
            in_page(&text)
        };
        problems.extend(found.into_iter().map(|(at, number)| {
            let what = format!(
                "{number:?} is typed by hand: include a recorded result, or, if it was not measured, mark it `<!-- given: why -->`"
            );
            Problem::at(name, &text, at, what)
        }));
    }
    Ok(problems)
}

/// The block of a page that is being read: its text so far, the byte where it starts, and
/// whether it contains a mark `<!-- given -->`.
#[derive(Default)]
struct Block {
    text: String,
    start: usize,
    given: bool,
}

/// Returns the numbers with a unit of measurement that no mark `<!-- given -->` covers, each with
/// the byte offset at which its block starts.
fn in_page(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block = Block::default();
    // Whether a mark `<!-- given -->` alone on a line has been read, and the block that the mark
    // covers has not begun yet.
    let mut next_given = false;
    let (mut depth, mut given_depth) = (0_usize, None);
    let mut code = false;
    for (event, range) in Parser::new_ext(page, Options::all()).into_offset_iter() {
        match &event {
            Event::Start(tag) => {
                if next_given && !matches!(tag, Tag::HtmlBlock) && given_depth.is_none() {
                    given_depth = Some(depth);
                    next_given = false;
                }
                depth += 1;
                code |= matches!(tag, Tag::CodeBlock(_));
                if is_block(tag.to_end()) {
                    flush(&mut block, given_depth.is_some(), &mut found);
                    block.start = range.start;
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                code &= !matches!(tag, TagEnd::CodeBlock);
                if matches!(tag, TagEnd::TableCell) {
                    block.text.push('|');
                }
                if is_block(*tag) {
                    flush(&mut block, given_depth.is_some(), &mut found);
                    block.start = range.end;
                }
                if given_depth == Some(depth) {
                    given_depth = None;
                }
            }
            Event::Text(text) if !code => block.text.push_str(text),
            Event::SoftBreak | Event::HardBreak => block.text.push(' '),
            // A backtick takes the place of inline code, so that a number before the code and a
            // unit after the code are not read as one figure.
            Event::Code(_) => block.text.push('`'),
            Event::InlineHtml(html) => block.given |= html.starts_with("<!-- given"),
            Event::Html(html) if html.starts_with("<!-- given page") => {
                return Vec::new();
            }
            Event::Html(html) if html.starts_with("<!-- given") => next_given = true,
            Event::Html(html) if given_depth.is_none() => {
                found.extend(in_html(html, range.start))
            }
            _ => {}
        }
    }
    flush(&mut block, false, &mut found);
    found
}

/// Returns whether the tag ends a block: a part of a page, such as a paragraph, that is searched by
/// itself, because a number and its unit are never in different blocks.
fn is_block(tag: TagEnd) -> bool {
    use TagEnd::{Heading, Item, Paragraph, TableHead, TableRow};
    matches!(tag, Paragraph | Heading(_) | Item | TableRow | TableHead)
}

fn flush(block: &mut Block, given: bool, found: &mut Vec<(usize, String)>) {
    let Block { text, start, given: marked } = std::mem::take(block);
    if !given && !marked {
        found.extend(numbers(&text).into_iter().map(|number| (start, number)));
    }
}

/// Returns the numbers with a unit of measurement in the text of a piece of HTML or SVG, outside
/// its tags. Each number comes with `start`, the byte offset of the piece. Returns no numbers if
/// the piece contains a mark `<!-- given -->`.
fn in_html(html: &str, start: usize) -> Vec<(usize, String)> {
    match TAGS.as_ref() {
        Some(tags) if !html.contains("<!-- given") => {
            numbers(&tags.replace_all(html, " "))
                .into_iter()
                .map(|number| (start, number))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn numbers(text: &str) -> Vec<String> {
    MEASURED.as_ref().map_or_else(Vec::new, |pattern| {
        pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_numbers_are_found() {
        for page in [
            "It takes 12 ms.",
            "It takes\n12\nms, we saw.",
            "About 3 MB of memory.",
            "Only 40 µs.",
            "It does 5,000 requests/s.",
            "It does 5,000 requests a second.",
            "epoll is **3.4×** as fast.",
            "It was 20 times faster.",
            "Each costs 9.1\u{a0}KB.",
            "CPU at 97%.",
            "- an item\n- another of 7 seconds\n",
            "| a | b |\n|---|---|\n| x | 12 ms |\n",
            "# A heading of 12 ms",
            "<figure>\n<figcaption>It takes 12 ms.</figcaption>\n</figure>\n",
            "Given 1 s <!-- given -->.\n\nBut this one is not: 12 ms.",
            "<!-- given -->\n\nGiven 1 s.\n\nBut this one is not: 12 ms.",
            "It was 20 times as dear, or so.",
            "Twelve milliseconds later it answers.",
            "It is three times as fast.",
            "Some forty kilobytes of it.",
            "A thread is ten times dearer.",
            "Ninety per cent of them.",
            "Only 12 per cent.",
            "It does 5,000 req/s.",
            "It does 200 calls per request.",
            "A factor of ×3.4 lies between.",
            "About ~40 of them.",
            "| a | b |\n|---|---|\n| x | 3.4× |\n",
            "| a | b |\n|---|---|\n| x | 97&nbsp;% |\n",
            "<table><tr><td>12 KiB</td></tr></table>\n",
            "<p>It takes <b>12</b> ms.</p>\n",
            "<p>It takes 12&nbsp;ms.</p>\n",
            "> quoted: 40 µs",
            "It takes **12** ms.",
        ] {
            assert_eq!(in_page(page).len(), 1, "{page}");
        }
    }

    #[test]
    fn numbers_that_were_not_measured_pass() {
        for page in [
            "Ten thousand clients, 10,000 of them, in 2025, chapter 3.",
            "HTTP/1.1, RFC 9112 section 2, `sleep 12 ms`, port 8080.",
            "```text\n12 ms\n```\n",
            "{{#include generated/idle.md}}",
            "After 10 s <!-- given: --head-timeout --> it closes.",
            "| a | b |\n|---|---|\n| x | 12 ms <!-- given --> |\n",
            "<!-- given: published -->\n\n| a | b |\n|---|---|\n| x | 12 ms |\n| y | 13 ms |\n",
            "<!-- given page: the contract -->\n\n# 12 ms\n\nAnd 13 ms.",
            "<figure>\n{{#include 12 ms.svg}}\n</figure>\n",
            "- given 7 seconds <!-- given -->\n- nothing\n",
            "It asked three times, and the second machine answered.",
            "A hundred clients a second, a byte at a time, half of them.",
        ] {
            assert_eq!(in_page(page), [], "{page}");
        }
    }

    #[test]
    fn a_figure_s_words_count_its_coordinates_do_not() {
        assert_eq!(
            in_html("<svg viewBox='0 0 12 ms'><text>12 ms</text></svg>", 0).len(),
            1
        );
        assert_eq!(in_html("<svg d='M12 5s3'><text>time</text></svg>", 0).len(), 0);
    }
}
