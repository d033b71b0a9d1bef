//! Checks the Markdown: every page is in SUMMARY.md, every include finds its file and its
//! anchor, and code and transcripts are included, never pasted.

use std::path::Path;

use anyhow::Result;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use regex::Captures;

use crate::files::{files, read};
use crate::includes::{INCLUDE, anchored};
use crate::listings::{COLUMNS, columns};
use crate::problem::Problem;

/// Returns a problem for each page that is not in SUMMARY.md, for each include that finds nothing,
/// and for each piece of pasted code or output, in the Markdown files below `src`.
pub(super) fn check(src: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let summary = read(&src.join("SUMMARY.md"))?;
    for path in files(src, "md")? {
        let name = path.strip_prefix(src).unwrap_or(&path);
        let text = read(&path)?;
        problems.extend(includes(src, name, &text));
        problems.extend(fences(name, &text));
        let a_part = name.starts_with("generated") || name == Path::new("SUMMARY.md");
        if !a_part && !summary.contains(&format!("({})", name.display())) {
            problems
                .push(Problem::in_file(name, "not in SUMMARY.md, so mdBook omits it"));
        }
    }
    Ok(problems)
}

fn includes(src: &Path, name: &Path, text: &str) -> Vec<Problem> {
    let problem = |found: Captures<'_>| {
        let anchor = found.get(3).map_or("", |anchor| anchor.as_str());
        let what = bad_include(&src.join(name), &found[2], anchor);
        Some(Problem::at(name, text, found.get(0)?.start(), what?))
    };
    let found = INCLUDE.iter().flat_map(|pattern| pattern.captures_iter(text));
    found.filter(|found| found.get(1).is_none()).filter_map(problem).collect()
}

fn bad_include(page: &Path, file: &str, anchor: &str) -> Option<String> {
    let path = page.parent()?.join(file);
    let Ok(text) = read(&path) else {
        return Some(format!("the include finds no file {file}"));
    };
    if anchor.is_empty() {
        let code = path.extension().is_some_and(|ending| ending == "rs");
        return code.then(|| format!("include an anchor of {file}, not all of it"));
    }
    if anchor.starts_with(|first: char| first.is_ascii_digit() || first == ':') {
        return Some(format!(
            "{file}:{anchor}: line numbers go out of date; put `// ANCHOR: name` into {file}"
        ));
    }
    let Some(code) = anchored(&text, anchor) else {
        return Some(format!(
            "no `ANCHOR: {anchor}` and `ANCHOR_END: {anchor}` in {file}"
        ));
    };
    let (wide, code_file) =
        (columns(&code), path.extension().is_some_and(|it| it == "rs"));
    (code_file && wide > COLUMNS).then(|| {
        format!("{file}:{anchor} has a line of {wide} columns; a page shows {COLUMNS}")
    })
}

/// Returns a problem for each code block with pasted content. Rust must be included from the
/// sources, and output from the transcripts. The exception is a sketch, which is written for the
/// page: a mark `<!-- sketch -->` on the line above allows pasted content, and a sketch in Rust
/// must also begin with ```` ```rust,ignore ````.
fn fences(name: &Path, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut marked = false;
    let mut block: Option<(String, usize, String)> = None;
    for (event, range) in Parser::new_ext(text, Options::all()).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                block = Some((info.to_string(), range.start, String::new()));
            }
            Event::Text(part) => {
                if let Some((.., code)) = &mut block {
                    code.push_str(&part);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((info, at, code)) = block.take() {
                    let what = bad_fence(&info, &code, marked);
                    problems.extend(what.map(|what| Problem::at(name, text, at, what)));
                }
                marked = false;
            }
            Event::Start(Tag::Paragraph) => {
                if shows_code(&text[range.clone()]) {
                    let what = "code outside of a block: it would be read as Markdown; put it into ```rust";
                    problems.push(Problem::at(name, text, range.start, what));
                }
                marked = false;
            }
            Event::Html(html) => marked = html.trim_start().starts_with("<!-- sketch"),
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            _ => marked = false,
        }
    }
    problems
}

/// Returns whether `text` contains a directive that includes a Rust source file.
fn shows_code(text: &str) -> bool {
    let mut found = INCLUDE.iter().flat_map(|pattern| pattern.captures_iter(text));
    found.any(|found| found.get(1).is_none() && found[2].ends_with(".rs"))
}

fn bad_fence(info: &str, code: &str, marked: bool) -> Option<String> {
    let words: Vec<&str> = info.split([',', ' ']).collect();
    let is_include = |line: &str| line.trim_start().starts_with("{{#");
    let mut lines = code.lines().filter(|line| !line.trim().is_empty());
    match words[0] {
        "rust" if marked && words.contains(&"ignore") => None,
        "rust" => (!lines.all(is_include)).then(|| {
            "pasted Rust: include it from the sources by anchor, or mark it: `<!-- sketch -->` above and ```rust,ignore".into()
        }),
        // Commands for the reader to type may be in the page itself; their output may not.
        "console" if !marked => {
            (!lines.all(|line| is_include(line) || line.starts_with("$ ") || line.starts_with("# "))).then(|| {
                "output typed by hand: make it with a scenario in transcripts/ and include it, or put `<!-- sketch -->` above".into()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        fences(Path::new("page.md"), text).len()
    }

    #[test]
    fn included_code_passes() {
        assert_eq!(found("```rust\n{{#include ../a.rs:b}}\n```\n"), 0);
        assert_eq!(found("```console\n$ curl -i http://127.0.0.1:8080/\n```\n"), 0);
        assert_eq!(found("```text\nanything\n```\n"), 0);
    }

    #[test]
    fn pasted_code_is_found() {
        assert_eq!(found("```rust\nfn main() {}\n```\n"), 1);
        assert_eq!(found("```rust,ignore\nfn main() {}\n```\n"), 1);
        assert_eq!(found("<!-- sketch -->\n```rust\nfn main() {}\n```\n"), 1);
        assert_eq!(found("```console\n$ date\nMon\n```\n"), 1);
    }

    #[test]
    fn code_that_would_be_read_as_markdown_is_found() {
        assert_eq!(found("{{#include ../a_b.rs:c}}\n"), 1);
        assert_eq!(found("\\{{#include ../a.rs:b}} {{#include generated/a.md}}\n"), 0);
    }

    #[test]
    fn a_sketch_says_so_once() {
        let sketch = "<!-- sketch -->\n```rust,ignore\nfn main() {}\n```\n";
        assert_eq!(found(sketch), 0);
        assert_eq!(found(&format!("{sketch}\n```rust,ignore\nfn main() {{}}\n```\n")), 1);
        assert_eq!(
            found("<!-- sketch -->\n\nSome text.\n\n```rust,ignore\nfn f() {}\n```\n"),
            1
        );
    }

    #[test]
    fn includes_need_their_anchor() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a.rs"), "// ANCHOR: b\n// ANCHOR_END: b\n")
            .expect("a file");
        let of = |text: &str| includes(dir.path(), Path::new("page.md"), text).len();
        assert_eq!(of("{{#include a.rs:b}} \\{{#include none.rs:b}}"), 0);
        assert_eq!(of("{{#include a.rs:c}}"), 1);
        assert_eq!(of("{{#include a.rs:1:5}}"), 1);
        assert_eq!(of("{{#include a.rs}}"), 1);
        assert_eq!(of("{{#include none.txt}}"), 1);
    }
}
