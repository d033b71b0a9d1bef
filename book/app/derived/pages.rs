//! The pages in the order of the table of contents, with what they include.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use regex::{Captures, Regex};

/// `{{#include path}}` and `{{#include path:anchor}}`.
static INCLUDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\{\{\s*#include\s+([^}:\s]+)(?::([^}\s]+))?\s*\}\}").ok()
});

/// A page of the book.
pub(super) struct Page {
    /// Its file below `src`.
    pub file: String,
    /// What its first heading says.
    pub title: String,
    /// Its Markdown, as it is written.
    pub text: String,
    /// The same with what it includes.
    pub whole: String,
}

/// A piece of a page, from one heading to the next.
pub(super) struct Section {
    /// The heading, as a link has it.
    pub id: String,
    pub title: String,
    pub text: String,
}

pub(super) struct Pages(pub Vec<Page>);

impl Pages {
    pub(super) fn read(src: &Path) -> Result<Pages> {
        let read = |file: &str| {
            fs::read_to_string(src.join(file))
                .with_context(|| format!("cannot read {file}"))
        };
        let summary = read("SUMMARY.md")?;
        let mut pages = Vec::new();
        for event in Parser::new(&summary) {
            if let Event::Start(Tag::Link { dest_url, .. }) = event {
                let text = read(&dest_url)?;
                pages.push(Page {
                    file: dest_url.to_string(),
                    title: sections(&text)
                        .into_iter()
                        .next()
                        .map(|s| s.title)
                        .unwrap_or_default(),
                    whole: expand(src, &text),
                    text,
                });
            }
        }
        Ok(Pages(pages))
    }
}

/// The text with what it includes, and what that includes. How long the pages take is left
/// out: else it would depend on itself.
fn expand(dir: &Path, text: &str) -> String {
    let Some(pattern) = INCLUDE.as_ref() else {
        return text.to_owned();
    };
    pattern
        .replace_all(text, |found: &Captures<'_>| {
            let path = dir.join(&found[1]);
            let ending = path.extension().unwrap_or_default();
            if found[1].contains("minutes") || ending == "svg" {
                return String::new();
            }
            let whole = fs::read_to_string(&path).unwrap_or_default();
            match found.get(2) {
                Some(anchor) => anchored(&whole, anchor.as_str()),
                None if ending == "md" => expand(path.parent().unwrap_or(dir), &whole),
                None => whole,
            }
        })
        .into_owned()
}

fn anchored(text: &str, anchor: &str) -> String {
    let names = |line: &str, mark: &str| {
        line.split(mark)
            .nth(1)
            .is_some_and(|rest| rest.split_whitespace().next() == Some(anchor))
    };
    text.lines()
        .skip_while(|line| !names(line, "ANCHOR:"))
        .skip(1)
        .take_while(|line| !names(line, "ANCHOR_END:"))
        .filter(|line| !line.contains("ANCHOR"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The sections of a page.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut heading: Option<(usize, String)> = None;
    let mut starts = Vec::new();
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                heading = Some((range.start, String::new()))
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some((_, title)) = &mut heading {
                    title.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => starts.extend(heading.take()),
            _ => {}
        }
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    for ((start, title), end) in starts.iter().zip(ends) {
        sections.push(Section {
            id: id(title),
            title: title.clone(),
            text: text[*start..end].to_owned(),
        });
    }
    sections
}

/// As mdBook makes it; the check of links in the rendered book would notice if not.
fn id(title: &str) -> String {
    title
        .chars()
        .filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '-' || c == '_' => {
                Some(c.to_ascii_lowercase())
            }
            c if c.is_whitespace() => Some('-'),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let found = sections("# Page\n\none\n\n## What `poll` is\n\ntwo\n\n### More\n");
        let ids: Vec<&str> = found.iter().map(|section| section.id.as_str()).collect();
        assert_eq!(ids, ["page", "what-poll-is", "more"]);
        assert!(found[1].text.contains("two") && !found[0].text.contains("two"));
    }

    #[test]
    fn only_what_is_between_the_anchors() {
        let text = "no\n// ANCHOR: a\nyes\n// ANCHOR: b\ntoo\n// ANCHOR_END: b\n// ANCHOR_END: a\nno\n";
        assert_eq!(anchored(text, "a"), "yes\ntoo\n");
        assert_eq!(anchored(text, "b"), "too\n");
    }
}
