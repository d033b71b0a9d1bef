//! Rewrites the listings of a page: removes the indentation that all lines of a listing have in
//! common, and adds the name of the listing's file, as a link to a copy of the whole file.
//!
//! mdBook alone would include the same lines with their full indentation and no file name.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use crate::files::read;
use crate::includes::{INCLUDE, anchored};

/// The directory in the rendered book that contains copies of the source files.
const SOURCES: &str = "sources";

/// A rewriter of the pages' listings, which also records the source files of the
/// listings.
#[derive(Debug)]
pub struct Listings {
    /// The root of the Cargo workspace, below which all sources are.
    checkout: PathBuf,
    shown: BTreeSet<PathBuf>,
}

impl Listings {
    /// Returns a rewriter of listings from sources below `checkout`, which has shown no source yet.
    pub fn new(checkout: &Path) -> Self {
        Self { checkout: checkout.to_owned(), shown: BTreeSet::new() }
    }

    /// Rewrites each block into which a page includes Rust code. `page` is the path of the page's
    /// file.
    ///
    /// An include directive that cannot be resolved stays unchanged; mdBook and the checks report
    /// the error.
    pub fn rewrite(&mut self, page: &Path, text: &str) -> String {
        let to_top = "../".repeat(page.components().count().saturating_sub(1));
        let mut out = String::with_capacity(text.len());
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            let listing = line
                .starts_with("```rust")
                .then(|| lines.peek().and_then(|include| self.listing(page, include)))
                .flatten();
            match listing {
                Some((file, number, code)) => {
                    let _ = write!(
                        out,
                        "<p class=\"file\"><a href=\"{to_top}{SOURCES}/{file}.html#L{number}\">{file}</a></p>\n\n{line}{code}"
                    );
                    lines.next();
                }
                None => out.push_str(line),
            }
        }
        out
    }

    /// Resolves an include directive of the page `page`: returns the included file's name, the
    /// number of the first included line in that file, and the included lines. `None` if the
    /// directive cannot be resolved.
    fn listing(
        &mut self,
        page: &Path,
        directive: &str,
    ) -> Option<(String, usize, String)> {
        let found = INCLUDE.as_ref()?.captures(directive)?;
        let (path, anchor) = (found.get(2)?.as_str(), found.get(3)?.as_str());
        let path = self.checkout.join("book/src").join(page.parent()?).join(path);
        let file = without_dots(&path);
        let text = read(&file).ok()?;
        let code = dedented(&anchored(&text, anchor)?);
        let number = 2 + text.lines().position(|line| {
            line.split("ANCHOR:").nth(1).is_some_and(|name| name.trim() == anchor)
        })?;
        let name = file.strip_prefix(&self.checkout).ok()?.to_owned();
        let shown = name.display().to_string();
        self.shown.insert(name);
        Some((shown, number, code))
    }

    /// Writes an HTML page with the whole source for each file from which a listing was taken.
    ///
    /// # Errors
    ///
    /// A source cannot be read, or a page cannot be written.
    pub fn write_sources(&self, out: &Path) -> Result<()> {
        for file in &self.shown {
            let text = read(&self.checkout.join(file))?;
            let path = out.join(SOURCES).join(format!("{}.html", file.display()));
            let dir = path.parent().context("a file below the book")?;
            fs::create_dir_all(dir)
                .and_then(|()| fs::write(&path, page(file, &text)))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Returns an HTML page with the whole source file, its lines numbered.
fn page(file: &Path, text: &str) -> String {
    let name = file.display();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n<style>{STYLE}</style>\n<h1>{name}</h1>\n<pre>"
    );
    for (at, line) in text.lines().enumerate() {
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(page, "<span id=\"L{}\">{line}</span>", at + 1);
    }
    page + "</pre>\n</html>\n"
}

const STYLE: &str = ":root { color-scheme: light dark; } \
    body { margin: 1rem; font-family: system-ui, sans-serif; } h1 { font-size: 1.1rem; } \
    pre { overflow-x: auto; counter-reset: line; line-height: 1.45; } \
    span { counter-increment: line; scroll-margin-top: 3rem; } \
    span:target { background: light-dark(#fff3bf, #4a4316); } \
    span::before { content: counter(line); display: inline-block; width: 3rem; margin-right: 1rem; \
    text-align: right; color: light-dark(#6a6f7a, #9a9caa); }";

/// Removes the indentation that all lines of `code` have in common.
fn dedented(code: &str) -> String {
    let indents = code.lines().filter(|line| !line.trim().is_empty());
    let common = indents.map(|line| line.len() - line.trim_start().len()).min();
    let without =
        |line: &str| line.get(common.unwrap_or(0)..).unwrap_or("").to_owned() + "\n";
    code.lines().map(without).collect()
}

/// Resolves `..` in a path without looking at the file system.
fn without_dots(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    resolved
}

/// The greatest width of a listing's lines, in columns, that fits a page of ordinary width.
pub(crate) const COLUMNS: usize = 88;

/// Returns the width, in columns, of the widest line of `code`, without the indentation that all
/// lines have in common.
pub(crate) fn columns(code: &str) -> usize {
    dedented(code).lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_its_file_s_name_and_no_common_indentation() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let source = "use a;\n    // ANCHOR: x\n    fn f() {\n\n        1\n    }\n    // ANCHOR_END: x\n";
        fs::write(dir.path().join("a.rs"), source)?;
        let mut listings = Listings::new(dir.path());
        let text = "One.\n\n```rust\n{{#include ../../a.rs:x}}\n```\n\n```text\n{{#include b.txt}}\n```\n";
        let shown = listings.rewrite(Path::new("page.md"), text);
        assert_eq!(
            shown,
            "One.\n\n<p class=\"file\"><a href=\"sources/a.rs.html#L3\">a.rs</a></p>\n\n```rust\nfn f() {\n\n    1\n}\n```\n\n\
             ```text\n{{#include b.txt}}\n```\n"
        );
        listings.write_sources(dir.path())?;
        let page = fs::read_to_string(dir.path().join("sources/a.rs.html"))?;
        assert!(page.contains("<span id=\"L3\">    fn f() {</span>"), "{page}");
        Ok(())
    }

    #[test]
    fn what_cannot_be_included_stays() {
        let mut listings = Listings::new(Path::new("/nowhere"));
        let text = "```rust\n{{#include ../../a.rs:x}}\n```\n";
        assert_eq!(listings.rewrite(Path::new("page.md"), text), text);
    }
}
