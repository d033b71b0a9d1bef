//! The pages in the order of the table of contents, with their include directives expanded.

use std::fs;
use std::path::Path;

use anyhow::Result;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use regex::Captures;

use crate::files::read;
use crate::includes::{INCLUDE, anchored};

/// A page of the book.
#[derive(Debug)]
pub struct Page {
    /// Path of the page's file, relative to `src`.
    pub file: String,
    /// Text of the page's first heading.
    pub title: String,
    /// The Markdown as the author wrote it, with include directives.
    pub text: String,
    /// The Markdown with its includes expanded, except for drawings and reading times.
    pub whole: String,
}

/// A section of a page: the text from one heading to the next.
#[derive(Debug)]
pub struct Section {
    /// The heading's anchor, for links.
    pub id: String,
    /// The heading's text.
    pub title: String,
    /// The section's Markdown, which begins with the heading.
    pub text: String,
}

/// All pages, in the order of the table of contents.
#[derive(Debug)]
pub struct Pages(pub Vec<Page>);

impl Pages {
    /// Reads SUMMARY.md, the table of contents, and every page that it names, below `src`.
    ///
    /// # Errors
    ///
    /// SUMMARY.md or a page that it names cannot be read.
    pub fn read(src: &Path) -> Result<Pages> {
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

/// Returns `text` with its include directives replaced by the included text, also within included
/// Markdown. Drawings are left out, and so are the reading times, which would depend on themselves.
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

/// Returns the sections of a page's Markdown. Text before the first heading is in no section.
pub fn sections(text: &str) -> Vec<Section> {
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

/// Returns the anchor that mdBook makes from a heading. (If mdBook made another one, the check of
/// the rendered book's links would find the broken link.)
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
