//! Masks the parts of a failure's text that differ from run to run: dates, ports, counts.

use std::sync::LazyLock;

use regex::Regex;

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Dates from 2000 on, and all dates in the format of RFC 850 (the second pattern), depend
        // on the time of the run. Earlier dates are part of a case and stay.
        (r"\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT", "DATE"),
        (r"\w+day, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT", "DATE"),
        (r#""[0-9a-f]{4,}(-[0-9a-f]+\.[0-9a-f]+-[0-9a-f]+)?(\\?)""#, "\"TAG$2\""),
        (r"\b127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\bos error \d+", "os error N"),
        // A client's "receives" event ends with the number of bytes received so far, which is
        // masked. The event's excerpt of the bytes contains ETags of varying length, so only the
        // beginning of the excerpt is compared.
        (
            r"(?m)^( +\d+\. \w+ receives .{0,400}).* … .*\(\d+ bytes in all\)$",
            "$1 … (N bytes in all)",
        ),
        (r"(?m)^(actual +)\d+ bytes in all$", "${1}N bytes in all"),
        // The number of received bytes is masked because it includes a response head, whose ETag
        // varies in length.
        (r"(?m)^(actual +)\d+ bytes, not all of them", "${1}N bytes, not all of them"),
        // Counters that grow while the client polls them are masked.
        (r"\b\d+ KiB more", "N KiB more"),
        (r"(?m)^(actual .*still: \w+:) \d+$", "$1 N"),
        // A server that spins is running in nearly every sample of its threads, but not in all, so
        // the number of samples in which it was busy is masked.
        (r"\bbusy at \d+ of", "busy at N of"),
        // A case that connects one client after the other fails at a different client in each run.
        // So the name of the failing client (a letter and a number) and the number of earlier steps
        // are masked.
        (r"(?m)^by hand, [A-Z]\d+ +", "by hand, X  "),
        (r"\b\d+ (steps before|more steps|more bytes)", "N $1"),
        // Only the beginning of a long transcript is compared: it comes from a loop of requests
        // that does not always have the same number of rounds.
        (
            r"(?m)^ +\d+\. .*\n(?: +\d+\. .*\n)* +… \d+ more …\n(?: +\d+\. .*\n)*",
            "      … more events than are compared …\n",
        ),
    ]
    .into_iter()
    .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)))
    .collect()
});

/// Returns a failure's text with every part that varies from run to run replaced by a placeholder.
/// Consecutive equal lines become one, because a server may log the same line any number of times.
pub(super) fn mask(text: &str) -> String {
    let text = MASKS.iter().fold(text.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    });
    let mut lines: Vec<&str> = text.lines().collect();
    lines.dedup();
    lines.join("\n")
}

/// Returns only those lines of a failure's text that are the same in every run, whatever the server
/// did.
pub(super) fn fixed_lines(text: &str) -> String {
    const HEADS: [&str; 4] = ["promise ", "expected ", "start ", "book "];
    let fixed = |line: &&str| HEADS.iter().any(|head| line.starts_with(head));
    text.lines().filter(fixed).collect::<Vec<_>>().join("\n")
}
