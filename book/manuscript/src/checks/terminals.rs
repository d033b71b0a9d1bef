//! Checks commands for several terminals: a reader must be able to paste each block as a whole,
//! and to see which terminal it is for.
//!
//! If a program runs until it is stopped, commands pasted after its command do not run: the program
//! reads them as input, or Ctrl-C discards them. So the command of such a program must be the last
//! command of its block; and if another block of commands follows in the same section, both blocks
//! must name their terminals (```` ```text,terminal-server ````, and `terminal-A` to `C` for
//! clients, as in the transcripts).

use std::sync::LazyLock;

use profiles::PROFILES;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

/// A pattern for the beginnings of commands that run until they are stopped, apart from the book's
/// servers.
const ENDLESS: &str = r"strace (?:.* )?-p |top |nc |nginx |haproxy ";

/// A pattern that matches a line that starts a program in the foreground which runs until it is
/// stopped.
static HOLDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    let server = format!(r"(?:{}|lost-wakeup|small-\w+)", names.join("|"));
    let starts = format!(r"cargo run .*--bin {server}|(?:strace .*)?target/\w+/{server}");
    Regex::new(&format!(r"^(?:\(.*)?(?:(?:{starts})(?: |$)|{ENDLESS})")).ok()
});
/// A pattern that matches the beginning of a line that is typed at a shell.
static TYPED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:\(.*)?(?:cargo|curl|nc|strace|ps|top|grep|ask|printf|for|kill|nginx|haproxy|target/\S+) ").ok()
});

/// A block of commands for the reader to type.
struct Block {
    /// The byte offset in the page at which the block begins.
    at: usize,
    /// Whether the block's info string names a terminal.
    named: bool,
    /// Whether the block's last command occupies its terminal until that command is stopped.
    holds: bool,
}

/// Returns a message for each block of commands that cannot be pasted as a whole, or that does not
/// name its terminal although it must, with the byte offset at which the block begins.
pub(super) fn in_page(page: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut before: Option<Block> = None;
    let mut block: Option<(bool, usize, String)> = None;
    for (event, range) in Parser::new_ext(page, Options::all()).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) => before = None,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                block = Some((info.contains("terminal-"), range.start, String::new()));
            }
            Event::Text(part) => {
                if let Some((.., code)) = &mut block {
                    code.push_str(&part);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                let Some((named, at, code)) = block.take() else { continue };
                let lines = commands(&code);
                let Some((last, others)) = lines.split_last() else { continue };
                if others.iter().any(|line| holds(line)) {
                    found.push((at, "a command that runs until it is stopped, and others behind it: give each terminal a block of its own, ```text,terminal-server, ```text,terminal-A"));
                }
                let this = Block { at, named, holds: holds(last) };
                if let Some(before) =
                    before.filter(|before| before.holds && !(before.named && named))
                {
                    found.push((before.at, "this block's command runs on while the next block is typed: name the terminal of both, ```text,terminal-server, ```text,terminal-A"));
                }
                before = Some(this);
            }
            _ => {}
        }
    }
    found
}

/// Returns the lines of a code block that holds commands, each with its continuation lines joined.
/// Returns nothing if the block's first line is not a command.
fn commands(code: &str) -> Vec<String> {
    let whole = code.replace("\\\n", " ");
    let lines =
        whole.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    let typed =
        |line: &String| TYPED.as_ref().is_some_and(|pattern| pattern.is_match(line));
    if lines.first().is_some_and(typed) { lines } else { Vec::new() }
}

fn holds(line: &str) -> bool {
    let background = line.trim_end().ends_with('&') || line.contains("& ");
    !background && HOLDS.as_ref().is_some_and(|pattern| pattern.is_match(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(page: &str) -> usize {
        in_page(page).len()
    }

    #[test]
    fn what_runs_on_is_the_last_of_its_block() {
        for (page, count) in [
            ("```text\ncargo run --release --bin epoll\ncurl x\n```\n", 1),
            ("```text\nstrace -T -p $(pidof poll)\ncurl x\n```\n", 1),
            (
                "```text\ncargo build --release --bin poll\nstrace target/release/poll\n```\n",
                0,
            ),
            ("```text\ntarget/release/epoll --listen a &\ncurl x\n```\n", 0),
            (
                "```text\ncargo run -p client-suite -- check \\\n  --bin target/release/select \\\n  --like poll\n```\n",
                0,
            ),
            ("```text\n1.0 #1 accept\n```\n", 0),
        ] {
            assert_eq!(problems(page), count, "{page}");
        }
    }

    #[test]
    fn blocks_for_several_terminals_name_them() {
        let two = |a: &str, b: &str| {
            format!(
                "```text{a}\ncargo run --bin epoll\n```\n\nThen:\n\n```text{b}\ncurl x\n```\n"
            )
        };
        assert_eq!(problems(&two("", "")), 1);
        assert_eq!(problems(&two(",terminal-A", "")), 1);
        assert_eq!(problems(&two(",terminal-A", ",terminal-B")), 0);
        assert_eq!(
            problems(
                "```text\ncargo run --bin epoll\n```\n\n## Next\n\n```text\ncurl x\n```\n"
            ),
            0
        );
    }
}
