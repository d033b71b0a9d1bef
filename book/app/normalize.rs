//! Masks everything in a transcript that may differ between two runs of the same scenario: times,
//! dates, ports that the kernel chose, process IDs. Also removes a trace's line about waiting for a
//! client's end of file, which is missing if the end of file has arrived before the server waits.

use std::sync::LazyLock;

use regex::Regex;

/// The patterns to mask, each with its replacement. Each pattern is applied to the text that the
/// previous one has produced.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Masks the values of the header fields `Date`, `Last-Modified` and `ETag`. If the
        // transcript has several terminals, the name of the client's terminal precedes the field's
        // name.
        (r"(?m)^((?:\w+\| )?(?:Date|Last-Modified|ETag)): .*$", "$1: …"),
        // Removes the line and column from a panic's message.
        (r"(?m)^panicked at (\S+?\.rs):\d+:\d+:", "panicked at $1:"),
        // Removes the words `(core dumped)`, which a shell adds to "Aborted" on systems that write
        // core dumps.
        (r" \(core dumped\)", ""),
        (r"\b(127\.0\.0\.1):\d+\b", "$1:PORT"),
        // Masks the size of a future and the used size of a stack, which depend on the compiler's
        // version.
        (r"\ba future of \d+ bytes", "a future of N bytes"),
        (r"\b\d+ bytes of one touched", "N bytes of one touched"),
        // Masks the time at the start of a trace's line.
        (r"(?m)^ *\d+\.\d{3}  ", "TIME  "),
        (r"\b(pid|process|thread|worker) +\d+\b", "$1 N"),
        (r"\bPid\(\d+\)", "Pid(N)"),
        // Masks a time with its unit, together with the spaces that align it to the right.
        (r"[ +]*\b\d+(\.\d+)? ?(ns|µs|us|ms|milliseconds|seconds|s)\b", " TIME"),
        // Removes the line about waiting for the client's end of file: the trace lacks this line if
        // the end of file has arrived before the server waits.
        (r"(?m)^TIME  #\d+ +wait .*\n(TIME  #\d+ +read +the end)$", "$1"),
    ]
    .into_iter()
    .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)))
    .collect()
});

/// Returns `text` with everything that differs from run to run replaced by a placeholder.
pub(crate) fn normalize(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_the_same_are_the_same() {
        let one = "   0.004  #1  accept   127.0.0.1:50112\nslept 1.2 ms\nDate: Sun, 01 Jan 2023 00:00:00 GMT\n";
        let two = "  12.300  #1  accept   127.0.0.1:41000\nslept  13 ms\nDate: Mon, 02 Jan 2023 00:00:00 GMT\n";
        assert_eq!(normalize(one), normalize(two));
    }

    #[test]
    fn an_end_may_have_been_there_already() {
        let wrote = "   0.100  #1      write    130 bytes\n";
        let read = "   0.200  #1      read     the end\n";
        let wait = "   0.150  #1      wait     for a request, 60.0 s at most\n";
        assert_eq!(
            normalize(&format!("{wrote}{read}")),
            normalize(&format!("{wrote}{wait}{read}"))
        );
    }

    #[test]
    fn what_matters_stays() {
        let text = "HTTP/1.1 200 OK\nContent-Length: 13\nread 78 bytes\n";
        assert_eq!(normalize(text), text);
    }
}
