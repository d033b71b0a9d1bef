//! Tables of the cases that each small server passes and fails, made from the lists that the tests
//! of the small servers keep.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use figures::text::table as markdown;
use manuscript::files::read;

use crate::paths::Paths;

/// The small servers: for each, the directory of its chapter, its name, and the file in generated/
/// with the table of its cases.
pub(super) const SERVERS: [(&str, &str, &str); 11] = [
    ("ch01-blocking", "small-hello", "small-hello.md"),
    ("ch01-blocking", "small-iterative", "small-iterative.md"),
    ("ch01-blocking", "small-thread", "small-thread.md"),
    ("ch01-blocking", "small-fork", "small-fork.md"),
    ("ch02-threadpool", "small-pool", "small-pool.md"),
    ("ch03-nonblocking", "small-spin", "small-spin.md"),
    ("ch04-select-poll", "small-poll", "small-poll.md"),
    ("ch05-epoll", "small-epoll", "small-epoll.md"),
    ("ch05-epoll", "small-epoll-et", "small-epoll-et.md"),
    ("ch06-coroutines", "small-coroutine", "small-coroutine.md"),
    ("ch06-coroutines", "small-async", "small-async.md"),
];

/// Pairs of a reason and the names of the test cases that have this reason in a server's list, the
/// most frequent reason first.
type Reasons<'l> = Vec<(&'l str, Vec<&'l str>)>;

/// Returns the number of cases that a server passes, followed by folded tables of the other cases
/// with the reasons from the server's list: the cases that the server must fail, and those that it
/// may pass or fail because their outcome is a race.
pub(super) fn table(paths: &Paths, chapter: &str, server: &str) -> Result<String> {
    let list = paths.checkout().join(chapter).join("tests/small").join(server);
    let list = read(&list.with_extension("txt"))?;
    let count = |verdict| lines(&list).filter(|line| line.0 == verdict).count();
    let (all, passed) = (lines(&list).count(), count("pass"));
    let (failed, races) = (count("fail"), count("varies"));
    let cases = if races == 1 { "1 case is" } else { &format!("{races} cases are") };
    let raced = match races {
        0 => String::new(),
        _ => format!(" {cases} a race, which may end either way."),
    };
    let mut folded = rows(&by_reason(&list, "fail"));
    if races > 0 {
        let table = rows(&by_reason(&list, "varies"));
        let _ = write!(folded, "\nA race, which may end either way:\n\n{table}"); // never fails
    }
    Ok(format!(
        "Of the {all} cases that apply to it, `{server}` passes {passed} and must fail \
         {failed}.{raced} This command judges it by these lists:\n\n\
         ```text\ncargo test -p {chapter} --test suite {server}::\n```\n\n\
         <details>\n\
         <summary>Show it: the cases that it does not pass, and why</summary>\n\n\
         {folded}\n</details>\n"
    ))
}

/// Returns the verdict, the case and the reason from each line of a small server's list, without
/// the list's comments.
fn lines(list: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    list.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (verdict, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (case, reason) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        (verdict, case, reason.trim())
    })
}

/// Returns the cases that have the verdict `verdict` in a small server's list, grouped by reason.
fn by_reason<'l>(list: &'l str, verdict: &str) -> Reasons<'l> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, case, reason) in lines(list).filter(|line| line.0 == verdict) {
        reasons.entry(reason).or_default().push(case);
    }
    let mut reasons: Reasons<'_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    reasons
}

/// Returns a Markdown table with a row for each reason: the reason, and the names of its cases.
fn rows(reasons: &Reasons<'_>) -> String {
    let row = |(reason, cases): &(&str, Vec<&str>)| {
        let named: Vec<_> = cases.iter().map(|case| format!("`{case}`")).collect();
        format!("{reason} | {} | {}", cases.len(), named.join(" "))
    };
    markdown("why | >cases | which", reasons.iter().map(row))
}
