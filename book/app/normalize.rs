//! What differs between two runs of the same scenario and means nothing:
//! times, dates, ports that the kernel chose, process numbers; and whether a client's end
//! was there already when a server that never waits looked again.

use std::sync::LazyLock;

use regex::Regex;

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // A field of an answer, at the terminal of a client that may have a name.
        (r"(?m)^((?:\w+\| )?(?:Date|Last-Modified|ETag)): .*$", "$1: …"),
        // A panic: the line of the source.
        (r"(?m)^panicked at (\S+?\.rs):\d+:\d+:", "panicked at $1:"),
        // What a shell says of a program that was aborted, where its memory is kept.
        (r" \(core dumped\)", ""),
        (r"\b(127\.0\.0\.1):\d+\b", "$1:PORT"),
        // The compiler's choice, from version to version.
        (r"\ba future of \d+ bytes", "a future of N bytes"),
        (r"\b\d+ bytes of one touched", "N bytes of one touched"),
        // The clock of a trace, at the start of its line.
        (r"(?m)^ *\d+\.\d{3}  ", "TIME  "),
        (r"\b(pid|process|thread|worker) +\d+\b", "$1 N"),
        // A time with its unit, and the spaces that right-align it.
        (r"[ +]*\b\d+(\.\d+)? ?(ns|µs|us|ms|milliseconds|seconds|s)\b", " TIME"),
        (r"(?m)^TIME  #\d+ +wait .*\n(TIME  #\d+ +read +the end)$", "$1"),
    ]
    .into_iter()
    .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with)))
    .collect()
});

/// The text with everything volatile replaced by a name for it.
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
