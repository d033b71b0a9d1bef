//! What each small server passes and must fail, from the lists that its chapter's test keeps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;

use crate::files::read;
use crate::paths::Paths;
use crate::text::table as markdown;

/// The small servers with their chapters' directories, and the files made for them.
pub(super) const SERVERS: [(&str, &str, &str); 9] = [
    ("ch01-blocking", "small-hello", "small-hello.md"),
    ("ch01-blocking", "small-iterative", "small-iterative.md"),
    ("ch01-blocking", "small-thread", "small-thread.md"),
    ("ch01-blocking", "small-fork", "small-fork.md"),
    ("ch02-threadpool", "small-pool", "small-pool.md"),
    ("ch03-nonblocking", "small-spin", "small-spin.md"),
    ("ch04-select-poll", "small-poll", "small-poll.md"),
    ("ch05-epoll", "small-epoll", "small-epoll.md"),
    ("ch05-epoll", "small-epoll-et", "small-epoll-et.md"),
];

/// How many cases are named for each reason.
const NAMED: usize = 3;

/// Returns a server's failing cases by reason, the most frequent first.
pub(super) fn table(paths: &Paths, chapter: &str, server: &str) -> Result<String> {
    let list = paths.checkout().join(chapter).join("tests/small").join(server);
    let list = read(&list.with_extension("txt"))?;
    let (mut all, mut passed) = (0, 0);
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (verdict, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (case, reason) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        all += 1;
        passed += usize::from(verdict == "pass");
        if verdict != "pass" {
            reasons.entry(reason.trim()).or_default().push(case);
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    let row = |(reason, cases): &(&str, Vec<&str>)| {
        let mut named = String::new();
        for case in cases.iter().take(NAMED) {
            let _ = write!(named, "`{case}` "); // a String takes everything
        }
        let more = if cases.len() > NAMED { "…" } else { "" };
        format!("{reason} | {} | {named}{more}", cases.len())
    };
    let text = markdown("why | >cases | which", reasons.iter().map(row));
    Ok(format!(
        "Of the {all} cases that apply to it, `{server}` passes {passed}.\n\n<details>\n\
         <summary>Show it: the cases that it must fail, and why</summary>\n\n{text}\n</details>\n"
    ))
}
