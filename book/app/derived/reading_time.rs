//! Estimates the minutes that a reader needs for a page, from the numbers of its words, lines of
//! code, blocks of commands, and predictions.
//!
//! The constants are fitted to a reading of two pages as they were on 2026-11-29. The reader was a
//! programmer to whom the subject was new. The reader typed every command, and for every listing
//! opened the file that contains it. The page of chapter 1 took about three hours, and the page of
//! chapter 3 between four and five. A test checks that the constants still yield these times.

use figures::text::table as markdown;
use manuscript::pages::{Page, Pages};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Words of prose that are read, and understood, in a minute.
const WORDS: f64 = 90.0;
/// Lines of code or of transcripts that are read, and understood, in a minute. The minute includes
/// a look into the file that contains a listing.
const LINES: f64 = 6.0;
/// Minutes for a block of commands: the reader types the commands, waits, and reads the output.
/// Blocks for several terminals that belong together count once.
const BLOCK: f64 = 5.0;
/// Minutes for a prediction: the reader decides on an answer, and finds out why it was wrong.
const PREDICTION: f64 = 3.0;
/// Every reading time is rounded up to a multiple of this number of minutes.
const ROUND: f64 = 5.0;
/// The pages for looking things up and those for teachers, which have no row in the
/// table of reading times.
const REFERENCE: [&str; 8] = [
    "contract.md",
    "matrix.md",
    "all-figures.md",
    "glossary.md",
    "system-calls.md",
    "teachers.md",
    "teachers-grading.md",
    "teachers-marks.md",
];
/// Beginnings of lines that are commands for the reader to type, separated by `|`.
const COMMANDS: &str = "cargo |curl |nc |strace |ps |top |target/|grep |(|my-server";

/// Counts of everything on a page on which a reader spends time.
#[derive(Default)]
struct Load {
    /// Number of words of prose.
    words: usize,
    /// Number of lines in code blocks.
    lines: usize,
    /// Number of code blocks with commands for the reader to type.
    blocks: usize,
    predictions: usize,
}

impl Load {
    fn of(page: &Page) -> Load {
        let mut load = Load::default();
        let mut block: Option<String> = None;
        let mut is_client = false;
        for event in Parser::new_ext(&page.whole, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    block = Some(String::new());
                    // Of several blocks for different terminals, only the one for the server's
                    // terminal counts as a block of commands.
                    is_client = info.contains("terminal-") && !info.contains("-server");
                }
                Event::End(TagEnd::CodeBlock) => {
                    let code = block.take().unwrap_or_default();
                    load.lines += code.lines().count();
                    let typed = code
                        .lines()
                        .any(|line| COMMANDS.split('|').any(|c| line.starts_with(c)));
                    load.blocks += usize::from(typed && !is_client);
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

    /// Returns the minutes that a reader needs for the page, first without its experiments
    /// (commands and predictions) and then with them.
    fn minutes(&self) -> [u64; 2] {
        let reading = self.words as f64 / WORDS + self.lines as f64 / LINES;
        let doing = self.blocks as f64 * BLOCK + self.predictions as f64 * PREDICTION;
        [reading, reading + doing].map(rounded)
    }
}

fn rounded(minutes: f64) -> u64 {
    ((minutes / ROUND).ceil() * ROUND) as u64
}

/// Returns the minutes that a reader needs for `page`, first without its experiments and then with
/// them.
pub(super) fn minutes(page: &Page) -> [u64; 2] {
    Load::of(page).minutes()
}

/// Returns a table of all pages that are read from front to back, with their reading times.
pub(super) fn table(pages: &Pages) -> String {
    let to_read = |page: &&Page| !REFERENCE.contains(&page.file.as_str());
    let mut all = [0, 0];
    let mut rows = Vec::new();
    for page in pages.0.iter().filter(to_read) {
        let minutes = minutes(page);
        all = [0, 1].map(|at| all[at] + minutes[at]);
        let times = minutes.map(time).join(" | ");
        rows.push(format!("[{}]({}) | {times}", page.title, page.file));
    }
    // The sum of all reading times is rounded up to whole hours, so that few edits of a page change
    // the sum.
    let hours = all.map(|minutes: u64| time(minutes.next_multiple_of(60)));
    rows.push(format!("**all of it** | {}", hours.join(" | ")));
    markdown("page | >to read it | >with its experiments", rows)
        + &format!(
            "\n*Counted: {WORDS} words or {LINES} lines of code a minute, {BLOCK} minutes for each block of commands, \
         {PREDICTION} for each prediction. These rates are those of a real reading of chapters 1 and 3, in which every \
         command was typed and the files around the listings were opened. Exercises come on top.*\n"
        )
}

/// Returns, for each page, the line below the title that states the reading time. Each line is
/// between mdBook's comments `ANCHOR` and `ANCHOR_END` with the page's name.
pub(super) fn each(pages: &Pages) -> String {
    let line = |page: &Page| {
        let name = page.file.trim_end_matches(".md");
        let line = match minutes(page) {
            [read, done] if read == done => format!("About {}.", time(read)),
            both => {
                let [read, done] = both.map(time);
                format!("About {read} to read, {done} with the experiments.")
            }
        };
        format!("<!-- ANCHOR: {name} -->\n{line}\n<!-- ANCHOR_END: {name} -->\n")
    };
    pages.0.iter().map(line).collect()
}

/// Formats a number of minutes; from 60 on, as hours and minutes.
pub(super) fn time(minutes: u64) -> String {
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

    /// The first row of numbers is for the page of chapter 1, the second for that of chapter 3, as
    /// they were when a programmer new to the subject read them and measured how long it took. A
    /// row holds the page's counts, followed by the least and the most minutes that the estimate
    /// may give.
    #[test]
    fn the_model_gives_what_a_real_reading_took() {
        for (words, lines, blocks, predictions, least, most) in
            [(3591, 482, 6, 7, 160, 200), (5504, 860, 9, 8, 240, 300)]
        {
            let load = Load { words, lines, blocks, predictions };
            let [_, minutes] = load.minutes();
            assert!((least..=most).contains(&minutes), "{minutes} minutes");
        }
    }

    #[test]
    fn minutes_for_people() {
        assert_eq!(rounded(0.5), 5);
        assert_eq!(time(60), "1 hour");
        assert_eq!(time(95), "1 h 35 min");
    }
}
