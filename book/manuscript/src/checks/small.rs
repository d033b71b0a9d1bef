//! Checks that the pages show every line of every small server exactly once, and that they show the
//! code on a connection's path through the finished servers. A small server is a short program that
//! a reader builds from a chapter's page.
//!
//! A reader builds the small servers from the pages alone. A line that no page shows would leave a
//! program that does not compile, and a line that is shown twice would leave a program that the
//! reader cannot put together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::files::{files, read};
use crate::includes::{INCLUDE, anchored_lines};
use crate::problem::Problem;

/// An item of a source file: the file's path, and the beginning of the item's first line.
type Item = (&'static str, &'static str);

/// The items of the finished servers that the pages must show, in an open or a folded listing. If
/// an item is defined several times, every definition must be shown.
const PATH: &[Item] = &[
    ("ch01-blocking/src/server/listener.rs", "pub fn bind("),
    ("ch01-blocking/src/server/listener.rs", "fn open("),
    ("ch01-blocking/src/server/listener.rs", "pub fn accept("),
    ("ch01-blocking/src/server/listener.rs", "pub fn accept_now("),
    ("ch01-blocking/src/stream.rs", "fn fill("),
    ("ch01-blocking/src/stream.rs", "fn arm_read_timeout("),
    ("ch01-blocking/src/stream.rs", "fn deadline("),
    ("ch01-blocking/src/connection.rs", "pub fn handle_connection("),
    ("ch01-blocking/src/serve.rs", "pub enum After"),
    ("ch01-blocking/src/serve.rs", "pub fn serve("),
    ("ch01-blocking/src/serve.rs", "fn too_late("),
    ("ch01-blocking/src/serve.rs", "pub fn refuse("),
    ("ch01-blocking/src/serve.rs", "pub fn linger("),
    ("ch01-blocking/src/deadlines.rs", "pub enum Wait"),
    ("ch01-blocking/src/http/inbox.rs", "pub enum Parsed"),
    ("ch01-blocking/src/http/inbox.rs", "pub fn next("),
    ("ch01-blocking/src/http/outbox.rs", "pub fn push("),
    ("ch02-threadpool/src/queue.rs", "pub struct Queue"),
    ("ch02-threadpool/src/queue.rs", "struct State"),
    ("ch02-threadpool/src/queue.rs", "fn has_room("),
    ("ch03-nonblocking/src/connection.rs", "enum State"),
    ("ch03-nonblocking/src/connection.rs", "enum Then"),
    ("ch03-nonblocking/src/connection.rs", "pub enum Wake"),
    ("ch03-nonblocking/src/connection.rs", "pub enum Next"),
    ("ch03-nonblocking/src/connection.rs", "pub fn advance("),
    ("ch03-nonblocking/src/connection.rs", "fn apply("),
    ("ch03-nonblocking/src/connection.rs", "fn drive("),
    ("ch03-nonblocking/src/connection.rs", "fn fill("),
    ("ch03-nonblocking/src/connection.rs", "fn answer("),
    ("ch03-nonblocking/src/connection/waits.rs", "pub(super) fn on_deadline("),
    ("ch03-nonblocking/src/poller.rs", "pub struct Interest"),
    ("ch03-nonblocking/src/poller.rs", "pub struct Ready"),
    ("ch03-nonblocking/src/poller.rs", "pub trait Poller"),
    ("ch03-nonblocking/src/table.rs", "pub struct Table"),
    ("ch03-nonblocking/src/table.rs", "pub fn insert("),
    ("ch03-nonblocking/src/table.rs", "pub fn remove("),
    ("ch03-nonblocking/src/event_loop.rs", "fn turn("),
    ("ch03-nonblocking/src/event_loop/accept.rs", "pub(super) fn accept("),
    ("ch03-nonblocking/src/event_loop/accept.rs", "fn admit("),
    ("ch03-nonblocking/src/timers.rs", "fn link("),
    ("ch06-coroutines/src/context/x86_64.rs", "pub(crate) unsafe fn switch("),
    ("ch06-coroutines/src/coroutine.rs", "fn switch_to("),
    ("ch06-coroutines/src/coroutine.rs", "pub(crate) fn suspend_for("),
    ("ch06-coroutines/src/coroutine.rs", "unsafe extern \"C\" fn run<"),
    ("ch06-coroutines/src/runtime/scheduler.rs", "pub(crate) fn run("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "fn run_task("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "fn resume("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "fn poll("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "fn put_back("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "pub fn park("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "pub fn wake("),
    ("ch06-coroutines/src/runtime/scheduler.rs", "pub(crate) fn notify("),
    ("ch06-coroutines/src/runtime/reactor.rs", "fn report("),
    ("ch06-coroutines/src/runtime/reactor.rs", "pub(crate) fn wait("),
    ("ch06-coroutines/src/runtime/reactor.rs", "pub(crate) fn subscribe("),
    ("ch06-coroutines/src/runtime/reactor.rs", "pub fn wait("),
    ("ch06-coroutines/src/runtime/reactor.rs", "fn poll("),
    ("ch06-coroutines/src/runtime/remote.rs", "pub(crate) fn send("),
    ("ch06-coroutines/src/runtime/remote.rs", "pub(crate) fn announce_sleep("),
    ("ch06-coroutines/src/runtime/waker.rs", "fn wake_by_ref("),
    ("ch06-coroutines/src/runtime/future.rs", "pub fn race<"),
    ("ch06-coroutines/src/server/stream.rs", "fn fill("),
    ("ch06-coroutines/src/server/stream.rs", "pub(super) fn try_fill("),
    ("ch06-coroutines/src/server/mod.rs", "pub(crate) struct Connection"),
    ("ch06-coroutines/src/server/mod.rs", "fn store_idle("),
    ("ch06-coroutines/src/server/mod.rs", "fn activate("),
    ("ch06-coroutines/src/server/coroutine_server.rs", "fn worker("),
    ("ch06-coroutines/src/server/coroutine_server.rs", "fn handle_connection("),
    ("ch06-coroutines/src/server/async_server.rs", "async fn worker("),
    ("ch06-coroutines/src/server/async_server.rs", "fn handle_connection("),
    ("ch06-coroutines/src/server/async_stream.rs", "pub(crate) async fn fill("),
    ("ch06-coroutines/src/server/async_serve.rs", "pub(crate) async fn serve("),
];

/// Pairs of a type and a function that matches on the type's variants. A page that
/// shows both must show the type first.
const FIRST: &[(Item, Item)] = &[
    (
        ("ch01-blocking/src/http/inbox.rs", "pub enum Parsed"),
        ("ch01-blocking/src/serve.rs", "pub fn serve("),
    ),
    (
        ("ch01-blocking/src/serve.rs", "pub enum After"),
        ("ch01-blocking/src/serve.rs", "pub fn serve("),
    ),
    (
        ("ch01-blocking/src/deadlines.rs", "pub enum Wait"),
        ("ch01-blocking/src/serve.rs", "pub fn serve("),
    ),
    (
        ("ch02-threadpool/src/queue.rs", "pub struct Queue"),
        ("ch02-threadpool/src/queue.rs", "fn has_room("),
    ),
    (
        ("ch03-nonblocking/src/connection.rs", "enum State"),
        ("ch03-nonblocking/src/connection.rs", "fn drive("),
    ),
    (
        ("ch03-nonblocking/src/connection.rs", "enum Then"),
        ("ch03-nonblocking/src/connection.rs", "fn drive("),
    ),
    (
        ("ch03-nonblocking/src/connection.rs", "pub enum Wake"),
        ("ch03-nonblocking/src/connection.rs", "fn apply("),
    ),
    (
        ("ch03-nonblocking/src/connection.rs", "pub enum Next"),
        ("ch03-nonblocking/src/connection.rs", "fn drive("),
    ),
    (
        ("ch03-nonblocking/src/poller.rs", "pub struct Ready"),
        ("ch03-nonblocking/src/connection.rs", "fn apply("),
    ),
    (
        ("ch03-nonblocking/src/poller.rs", "pub struct Interest"),
        ("ch03-nonblocking/src/connection/waits.rs", "pub(super) fn wait("),
    ),
    (
        ("ch03-nonblocking/src/connection.rs", "pub enum Next"),
        ("ch03-nonblocking/src/event_loop.rs", "fn turn("),
    ),
];

/// A place where a source line is shown: the index of the page in the book, and the byte
/// in the page's text.
type Place = (usize, usize);

/// The places where each line of each source is shown, by the source's path relative to
/// the checkout and the line's number.
type Shown = BTreeMap<String, BTreeMap<usize, Vec<Place>>>;

/// Checks the pages in `src` against the sources in `checkout`.
pub(super) fn check(src: &Path, checkout: &Path) -> Result<Vec<Problem>> {
    let pages = pages(src)?;
    let shown = shown(src, checkout, &pages)?;
    let mut problems = Vec::new();
    for file in &small_servers(checkout)? {
        let text = read(&checkout.join(file))?;
        problems.extend(each_line_once(file, &text, shown.get(file), &pages));
    }
    let find = |&(file, begin): &Item| -> Result<Vec<Option<Place>>> {
        let text = read(&checkout.join(file))?;
        let lines = text.lines().enumerate();
        let begins = lines.filter(|(_, line)| line.trim_start().starts_with(begin));
        let place = |number| Some(*shown.get(file)?.get(&number)?.first()?);
        Ok(begins.map(|(number, _)| place(number)).collect())
    };
    for item in PATH {
        let places = find(item)?;
        let (file, begin) = item;
        if places.is_empty() {
            problems.push(Problem::in_file(Path::new(file), format!("no `{begin}`")));
        } else if places.contains(&None) {
            let what = format!("no page shows `{begin}`");
            problems.push(Problem::in_file(Path::new(file), what));
        }
    }
    for (first, then) in FIRST {
        if find(first)?.first() > find(then)?.first() {
            let what = format!("`{}` is shown behind `{}`", first.1, then.1);
            problems.push(Problem::in_file(Path::new(first.0), what));
        }
    }
    Ok(problems)
}

/// Returns the names of the pages, in the order of the book.
fn pages(src: &Path) -> Result<Vec<String>> {
    let summary = read(&src.join("SUMMARY.md"))?;
    let names = summary.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}

/// Returns the paths, relative to the checkout, of the small servers' source files, including
/// the modules that only small servers use.
fn small_servers(checkout: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(checkout)? {
        let src = entry?.path().join("src");
        if !src.is_dir() {
            continue;
        }
        for path in files(&src, "rs")? {
            let inside = path.strip_prefix(&src).unwrap_or(&path);
            let name =
                path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_small = inside.starts_with("small")
                || inside == Path::new("small.rs")
                || inside.starts_with("bin") && name.starts_with("small-");
            // `tests/src/small.rs` is part of the client suite, which tests the small servers, and
            // belongs to none of them.
            if is_small && !src.starts_with(checkout.join("tests")) {
                let path = path.strip_prefix(checkout).unwrap_or(&path);
                found.insert(path.display().to_string());
            }
        }
    }
    Ok(found)
}

/// Returns the places where the pages include each line of each source.
fn shown(src: &Path, checkout: &Path, pages: &[String]) -> Result<Shown> {
    let mut shown = Shown::new();
    for (number, name) in pages.iter().enumerate() {
        let page = read(&src.join(name))?;
        let found = INCLUDE.iter().flat_map(|pattern| pattern.captures_iter(&page));
        for include in found.filter(|include| include.get(1).is_none()) {
            let path = normal(&src.join(&include[2]));
            let (Ok(file), Some(anchor)) = (path.strip_prefix(checkout), include.get(3))
            else {
                continue;
            };
            let Ok(text) = read(&path) else { continue }; // reported by `sources`
            let place = (number, include.get(0).map_or(0, |whole| whole.start()));
            let lines = shown.entry(file.display().to_string()).or_default();
            for line in anchored_lines(&text, anchor.as_str()).unwrap_or_default() {
                lines.entry(line).or_default().push(place);
            }
        }
    }
    Ok(shown)
}

/// Removes `..` from a path, without looking at the files.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

fn each_line_once(
    file: &str,
    text: &str,
    shown: Option<&BTreeMap<usize, Vec<Place>>>,
    pages: &[String],
) -> Vec<Problem> {
    let nowhere = BTreeMap::new();
    let shown = shown.unwrap_or(&nowhere);
    let mut problems = Vec::new();
    let problem = |number: usize, what: String| {
        Problem::in_file(Path::new(file), format!("line {}: {what}", number + 1))
    };
    let is_on_page = |line: &str| !line.trim().is_empty() && !line.contains("ANCHOR");
    let lines = text.lines().enumerate().filter(|(_, line)| is_on_page(line));
    for (number, line) in lines {
        match shown.get(&number).map_or(&[][..], Vec::as_slice) {
            [_] => {}
            [] => {
                problems.push(problem(number, format!("no page shows `{}`", line.trim())))
            }
            [(first, _), .., (last, _)] => {
                let (first, last) = (&pages[*first], &pages[*last]);
                let what = format!("shown more than once, in {first} and {last}");
                problems.push(problem(number, what));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(shown: &[(usize, &[Place])]) -> Vec<String> {
        let shown = shown.iter().map(|(line, places)| (*line, places.to_vec())).collect();
        let pages = ["a.md".to_owned(), "b.md".to_owned()];
        let text = "// ANCHOR: a\none\n\ntwo\n// ANCHOR_END: a\n";
        let problems = each_line_once("x.rs", text, Some(&shown), &pages);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_line_is_shown_once() {
        assert!(found(&[(1, &[(0, 5)]), (3, &[(0, 9)])]).is_empty());
        assert_eq!(found(&[(1, &[(0, 5)])]).len(), 1); // one line is missing
        assert_eq!(found(&[(1, &[(0, 5), (1, 7)]), (3, &[(0, 9)])]).len(), 1); // shown twice
    }

    #[test]
    fn paths_lose_their_dots() {
        assert_eq!(normal(Path::new("/a/b/../../c.rs")), Path::new("/c.rs"));
    }
}
