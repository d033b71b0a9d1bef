//! What differs between two runs of the same failure and means nothing.

use std::sync::LazyLock;

use regex::Regex;

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Dates of today; those of long ago are part of a case.
        (r"\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT", "DATE"),
        (r#""[0-9a-f]{4,}(-[0-9a-f]+\.[0-9a-f]+-[0-9a-f]+)?(\\?)""#, "\"TAG$2\""),
        (r"\b127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\bos error \d+", "os error N"),
        // How much had come when the client looked. It is shown up to a certain byte,
        // and the tags before that differ in length: so a part is compared that is surely there.
        (
            r"(?m)^( +\d+\. \w+ receives .{0,400}).* … .*\(\d+ bytes in all\)$",
            "$1 … (N bytes in all)",
        ),
        (r"(?m)^(came +)\d+ bytes in all$", "${1}N bytes in all"),
        // The head among them, with a tag that differs in length.
        (r"(?m)^(came +)\d+ bytes, not all of them", "${1}N bytes, not all of them"),
        // Counters that grow while the client asks.
        (r"\b\d+ KiB more", "N KiB more"),
        (r"(?m)^(came .*still: \w+:) \d+$", "$1 N"),
        // At nearly every look; the others fall into a moment between two waits.
        (r"\bbusy at \d+ of", "busy at N of"),
        // The client that asked last, and how many steps it was from being the first.
        (r"(?m)^by hand, [A-Z]\d+ +", "by hand, X  "),
        (r"\b\d+ (steps before|more steps|more bytes)", "N $1"),
        // A long transcript is that of a client that asked again and again.
        (
            r"(?m)^ +\d+\. .*\n(?: +\d+\. .*\n)* +… \d+ more …\n(?: +\d+\. .*\n)*",
            "      … more than is compared …\n",
        ),
    ]
    .into_iter()
    .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)))
    .collect()
});

/// The text with everything volatile replaced by a name for it, and each of several
/// equal lines given once: a server may complain as often as it likes.
pub(super) fn mask(text: &str) -> String {
    let text = MASKS.iter().fold(text.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    });
    let mut lines: Vec<&str> = text.lines().collect();
    lines.dedup();
    lines.join("\n")
}

/// The lines that depend on no event.
pub(super) fn heart(text: &str) -> String {
    const HEADS: [&str; 4] = ["the promise ", "expected ", "start it ", "the book "];
    let fixed = |line: &&str| HEADS.iter().any(|head| line.starts_with(head));
    text.lines().filter(fixed).collect::<Vec<_>>().join("\n")
}
