//! Tests that the book has every section that a failure of the client suite names.

use std::collections::BTreeSet;
use std::fs;

use book::paths::Paths;
use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

/// A page of the book: its headings, and the names by which the suite's failure texts refer to it.
struct Page {
    names: Vec<String>,
    headings: BTreeSet<String>,
}

fn pages() -> Vec<Page> {
    let book = Paths::find(None).expect("the book is in the checkout");
    let entries = fs::read_dir(book.src()).expect("the pages can be listed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let markdown = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let page = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("the page can be read");
        let (mut names, mut headings) = (Vec::new(), BTreeSet::new());
        for (level, heading) in all_headings(&text) {
            if level == HeadingLevel::H1 {
                names.push(heading.clone());
            }
            headings.insert(heading);
        }
        // A failure can refer to ch01-blocking.md as Chapter 1.
        let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let number = file.strip_prefix("ch").and_then(|rest| rest.get(..2));
        let number: Option<u8> = number.and_then(|digits| digits.parse().ok());
        names.extend(number.map(|number| format!("Chapter {number}")));
        Page { names, headings }
    };
    markdown.map(page).collect()
}

fn all_headings(markdown: &str) -> Vec<(HeadingLevel, String)> {
    let (mut found, mut open) = (Vec::new(), None);
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                open = Some((level, String::new()))
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, heading)) = &mut open {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

/// Returns a problem if a reference such as `Chapter 1, "One section" and "Another"; The contract,
/// "A third"` names a page or a section that does not exist. `None` if all of them exist.
fn wrong(place: &str, pages: &[Page]) -> Option<String> {
    for part in place.split("; ") {
        let (name, sections) = part.split_once(", ").unwrap_or((part, ""));
        // A chapter may have several pages.
        let named = |page: &&Page| page.names.iter().any(|n| n == name);
        let pages: Vec<&Page> = pages.iter().filter(named).collect();
        if pages.is_empty() {
            return Some(format!("no page is called {name:?}"));
        }
        // The names of sections are between quotation marks.
        let sections: Vec<&str> = sections.split('"').skip(1).step_by(2).collect();
        if sections.is_empty() {
            return Some(format!("{part:?} names no section"));
        }
        let is_there = |s: &str| pages.iter().any(|page| page.headings.contains(s));
        if let Some(section) = sections.iter().find(|s| !is_there(s)) {
            return Some(format!("{name} has no section {section:?}"));
        }
    }
    None
}

#[test]
fn every_case_is_explained_somewhere() {
    let pages = pages();
    let problems: BTreeSet<String> = client_suite::cases::all()
        .iter()
        .filter_map(|case| {
            let why = wrong(case.section(), &pages)?;
            Some(format!("{}: {why}", case.full_name()))
        })
        .collect();
    let lines: Vec<&str> = problems.iter().map(String::as_str).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn a_section_that_is_not_there_is_noticed() {
    let pages = pages();
    for place in ["Chapter 1, \"Nowhere\"", "Chapter 99, \"Limits\"", "The contract"] {
        assert!(wrong(place, &pages).is_some(), "{place}");
    }
}
