//! The pages in the order of the table of contents, with what they include.

use std::fs;
use std::path::Path;

use anyhow::Result;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use regex::Captures;

use crate::files::read;
use crate::includes::{INCLUDE, anchored};

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
        let mut pages = Vec::new();
        for event in Parser::new(&read(&src.join("SUMMARY.md"))?) {
            if let Event::Start(Tag::Link { dest_url, .. }) = event {
                let text = read(&src.join(&*dest_url))?;
                let title = sections(&text).into_iter().next().map(|first| first.title);
                pages.push(Page {
                    file: dest_url.to_string(),
                    title: title.unwrap_or_default(),
                    whole: expand(src, &text),
                    text,
                });
            }
        }
        Ok(Pages(pages))
    }
}

/// Returns the text with what it includes, and what that includes; except how long the pages
/// take, which would depend on itself.
fn expand(dir: &Path, text: &str) -> String {
    let Some(pattern) = INCLUDE.as_ref() else { return text.to_owned() };
    let included = |found: &Captures<'_>| {
        let path = dir.join(&found[2]);
        let ending = path.extension().unwrap_or_default();
        if found[2].contains("minutes") || ending == "svg" {
            return String::new();
        }
        let whole = fs::read_to_string(&path).unwrap_or_default();
        match found.get(3) {
            Some(anchor) => anchored(&whole, anchor.as_str()).unwrap_or_default(),
            None if ending == "md" => expand(path.parent().unwrap_or(dir), &whole),
            None => whole,
        }
    };
    pattern.replace_all(text, included).into_owned()
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
}
