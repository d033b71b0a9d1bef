//! Checks the rendered book: every link leads to a file and an anchor that exist, and no page
//! makes the browser fetch anything from another host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use percent_encoding::percent_decode_str;

use super::html::{Tag, tags};
use crate::files::{files, read};
use crate::problem::Problem;

/// The anchors of each page, by the page's path below the rendered book.
type Anchors<'a> = BTreeMap<&'a Path, BTreeSet<&'a str>>;

/// Returns a problem for each broken link, and for each URL of another host that a browser would
/// fetch, in the pages and style sheets below the directory `rendered`.
pub(super) fn check(rendered: &Path) -> Result<Vec<Problem>> {
    let below = |path: &Path| path.strip_prefix(rendered).unwrap_or(path).to_owned();
    let mut pages = BTreeMap::new();
    for path in files(rendered, "html")? {
        pages.insert(below(&path), tags(&read(&path)?));
    }
    let anchors: Anchors<'_> =
        pages.iter().map(|(name, tags)| (name.as_path(), anchors_of(tags))).collect();
    let mut problems = Vec::new();
    for (name, tags) in &pages {
        for tag in tags {
            for url in fetched(tag).iter().filter(|url| is_foreign(url)) {
                let what = format!("<{}> fetches {url} {FOREIGN}", tag.name);
                problems.push(Problem::in_file(name, what));
            }
            for link in [tag.get("href"), tag.get("src")].into_iter().flatten() {
                let what = broken(rendered, name, link, &anchors);
                problems.extend(what.map(|what| Problem::in_file(name, what)));
            }
        }
    }
    for path in files(rendered, "css")? {
        let name = below(&path);
        for url in css_urls(&read(&path)?) {
            let what = match is_foreign(&url) {
                true => Some(format!("fetches {url} {FOREIGN}")),
                false => broken(rendered, &name, &url, &anchors),
            };
            problems.extend(what.map(|what| Problem::in_file(&name, what)));
        }
    }
    Ok(problems)
}

fn anchors_of(tags: &[Tag]) -> BTreeSet<&str> {
    tags.iter().flat_map(|tag| [tag.get("id"), tag.get("name")]).flatten().collect()
}

const FOREIGN: &str = "from another host: keep a copy in the book";

/// Returns the URLs that a browser may fetch because of the tag `tag`, without a click.
fn fetched(tag: &Tag) -> Vec<String> {
    let names = ["src", "data", "poster", "srcset", "xlink:href"];
    // The `href` of any tag counts as fetched, except those of `a` and `area`, which a browser
    // follows only on a click, and that of `base`, which it does not fetch. (So the `href` of a
    // `link` tag such as `rel=canonical` counts as fetched, although no browser fetches it.)
    let href = (!matches!(tag.name.as_str(), "a" | "area" | "base")).then_some("href");
    let urls = names.into_iter().chain(href).filter_map(|name| tag.get(name));
    urls.map(str::to_owned)
        .chain(css_urls(tag.get("style").unwrap_or_default()))
        .chain(css_urls(&tag.text))
        .collect()
}

/// Returns whether the URL names a host, as `https://host/…` and `//host/…` do.
fn is_foreign(url: &str) -> bool {
    let url = url.trim();
    url.starts_with("//") || url.contains("://")
}

fn css_urls(sheet: &str) -> Vec<String> {
    let quotes = |c: char| c == '"' || c == '\'' || c.is_whitespace();
    let in_url = sheet.split("url(").skip(1).filter_map(|text| text.split(')').next());
    let imported =
        sheet.split("@import").skip(1).filter_map(|text| text.split(';').next());
    in_url
        .chain(imported.filter(|text| !text.contains("url(")))
        .map(|url| url.trim_matches(quotes).to_owned())
        .filter(|url| !url.is_empty() && !url.starts_with("data:"))
        .collect()
}

/// Returns a message if `link`, on the page `from`, leads to no file or no anchor of the book.
/// `None` if both exist, or if the link leads to another host.
fn broken(
    rendered: &Path,
    from: &Path,
    link: &str,
    anchors: &Anchors<'_>,
) -> Option<String> {
    let schemes = ["mailto:", "data:", "javascript:"];
    if is_foreign(link) || schemes.iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let [path, anchor] = [path.split('?').next().unwrap_or_default(), anchor]
        .map(|text| percent_decode_str(text).decode_utf8_lossy());
    let target = if path.is_empty() {
        from.to_owned()
    } else {
        joined(from.parent().unwrap_or(Path::new("")), &path)
    };
    let Some(target) = target_file(rendered, target) else {
        return Some(format!("the link {link:?} leads out of the book or to no file"));
    };
    let known = anchors.get(target.as_path())?;
    (!anchor.is_empty() && !known.contains(anchor.as_ref()))
        .then(|| format!("the link {link:?}: no #{anchor} in {}", target.display()))
}

fn target_file(rendered: &Path, target: PathBuf) -> Option<PathBuf> {
    if target.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let target =
        if rendered.join(&target).is_dir() { target.join("index.html") } else { target };
    rendered.join(&target).is_file().then_some(target)
}

/// Joins `dir` and `path`, and resolves `.` and `..`. A `path` that begins with `/` is relative
/// to the book's root.
fn joined(dir: &Path, path: &str) -> PathBuf {
    let mut joined = if path.starts_with('/') { PathBuf::new() } else { dir.to_owned() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if joined.pop() => {}
            part => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn problems_of(page: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("index.html"), page).expect("a page");
        fs::create_dir(dir.path().join("a")).expect("a directory");
        fs::write(
            dir.path().join("a/b.html"),
            "<h1 id='top%20of it'><a href='../index.html'>",
        )
        .expect("a page");
        check(dir.path())
            .expect("a check")
            .into_iter()
            .map(|problem| problem.what)
            .collect()
    }

    #[test]
    fn good_links_pass() {
        let page = "<p id=here><a href='#here'><a href='a/b.html#top%2520of%20it'><a href='https://example.org/'>";
        assert_eq!(problems_of(page), [""; 0]);
    }

    #[test]
    fn bad_links_are_found() {
        for page in [
            "<a href='missing.html'>",
            "<a href='#nowhere'>",
            "<a href='a/b.html#nowhere'>",
            "<a href='../up.html'>",
            "<img src='https://example.org/x.png'>",
            "<script src='//example.org/x.js'></script>",
            "<link rel=stylesheet href='http://example.org/x.css'>",
            "<style>p { background: url('https://example.org/x') }</style>",
            "<style>@import 'https://example.org/x.css';</style>",
            "<svg><use xlink:href='https://example.org/x.svg#y'/></svg>",
        ] {
            assert_eq!(problems_of(page).len(), 1, "{page}");
        }
    }
}
