//! How long a page takes, by what is on it.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::pages::{Page, Pages};

/// Words of prose, and lines of code and of transcripts, that are read in a minute, with
/// understanding.
const WORDS: f64 = 160.0;
const LINES: f64 = 12.0;
/// What it takes to type a block of commands, to wait, and to look; and to decide on a
/// prediction.
const BLOCK: f64 = 3.0;
const PREDICTION: f64 = 1.0;
/// Nobody believes a minute.
const ROUND: f64 = 5.0;
/// Not to be read from front to back.
const REFERENCE: [&str; 4] =
    ["contract.md", "matrix.md", "glossary.md", "system-calls.md"];
/// How a command begins that the reader is to type.
const COMMANDS: [&str; 10] = [
    "cargo ",
    "curl ",
    "nc ",
    "strace ",
    "ps ",
    "top ",
    "target/",
    "grep ",
    "(",
    "my-server",
];

/// What is on a page.
#[derive(Default)]
struct Load {
    words: usize,
    lines: usize,
    blocks: usize,
    predictions: usize,
}

impl Load {
    fn of(page: &Page) -> Load {
        let mut load = Load::default();
        let mut block: Option<String> = None;
        for event in Parser::new_ext(&page.whole, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => {
                    block = Some(String::new());
                }
                Event::End(TagEnd::CodeBlock) => {
                    let code = block.take().unwrap_or_default();
                    load.lines += code.lines().count();
                    let typed = code
                        .lines()
                        .any(|line| COMMANDS.iter().any(|c| line.starts_with(c)));
                    load.blocks += usize::from(typed);
                }
                Event::Text(text) | Event::Code(text) => match &mut block {
                    Some(code) => code.push_str(&text),
                    None => load.words += text.split_whitespace().count(),
                },
                _ => {}
            }
        }
        load.predictions = page.whole.matches("<details class=\"predict\"").count();
        load
    }

    fn reading(&self) -> f64 {
        self.words as f64 / WORDS + self.lines as f64 / LINES
    }

    fn with_experiments(&self) -> f64 {
        self.reading() + self.blocks as f64 * BLOCK + self.predictions as f64 * PREDICTION
    }
}

fn rounded(minutes: f64) -> u64 {
    ((minutes / ROUND).ceil() * ROUND) as u64
}

/// All pages with their minutes.
pub(super) fn table(pages: &Pages) -> String {
    let mut table =
        String::from("| page | to read it | with its experiments |\n|---|--:|--:|\n");
    let (mut reading, mut doing) = (0, 0);
    for page in pages.0.iter().filter(|page| !REFERENCE.contains(&page.file.as_str())) {
        let load = Load::of(page);
        let (read, done) = (rounded(load.reading()), rounded(load.with_experiments()));
        reading += read;
        doing += done;
        table += &format!(
            "| [{}]({}) | {} | {} |\n",
            page.title,
            page.file,
            time(read),
            time(done)
        );
    }
    // In whole hours, or every edit of a page would change it.
    let hours = |minutes: u64| time(minutes.next_multiple_of(60));
    table += &format!(
        "| **all of it** | {} | {} |
",
        hours(reading),
        hours(doing)
    );
    table += &format!(
        "\n*Counted, not measured: {WORDS} words or {LINES} lines of code a minute; {BLOCK} minutes for each block of \
         commands, {PREDICTION} for each prediction. Exercises come on top.*\n"
    );
    table
}

/// For the head of each page.
pub(super) fn each(pages: &Pages) -> String {
    let mut text = String::new();
    for page in &pages.0 {
        let name = page.file.trim_end_matches(".md");
        let load = Load::of(page);
        let (read, done) = (rounded(load.reading()), rounded(load.with_experiments()));
        let line = if read == done {
            format!("About {}.", time(read))
        } else {
            format!("About {} to read, {} with the experiments.", time(read), time(done))
        };
        text +=
            &format!("<!-- ANCHOR: {name} -->\n{line}\n<!-- ANCHOR_END: {name} -->\n");
    }
    text
}

/// Minutes, or hours and minutes.
fn time(minutes: u64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} minutes"),
        (1, 0) => "1 hour".to_owned(),
        (hours, 0) => format!("{hours} hours"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lines_commands_and_predictions_count() {
        let page = Page {
            file: "a.md".into(),
            title: "A".into(),
            text: String::new(),
            whole: "one `two` three\n\n```text\ncargo run\nmore\n```\n\n```rust\nfn f() {}\n```\n\
                    <details class=\"predict\">\n\nfour\n\n</details>\n"
                .into(),
        };
        let load = Load::of(&page);
        assert_eq!((load.words, load.lines, load.blocks, load.predictions), (4, 3, 1, 1));
    }

    #[test]
    fn minutes_for_people() {
        assert_eq!(rounded(0.5), 5);
        assert_eq!(time(60), "1 hour");
        assert_eq!(time(95), "1 h 35 min");
    }
}
