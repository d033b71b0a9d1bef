//! Formats numbers and tables for readers.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// A pattern that matches a number, a space, and a unit.
static UNIT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let unit = "(?:ns|µs|ms|s|min|h|minutes?|hours?|seconds?|B|KiB|MiB|GiB)\\b|%";
    Regex::new(&format!("([0-9]) ({unit})")).ok()
});

/// Puts a no-break space between each number and its unit, so that no line ends between them.
pub fn keep_units(text: &str) -> Cow<'_, str> {
    match UNIT.as_ref() {
        Some(unit) => unit.replace_all(text, "$1\u{a0}$2"),
        None => text.into(),
    }
}

/// Formats a number of bytes in the largest of the units B, KiB, MiB and GiB that is at most that
/// number.
pub fn bytes(bytes: f64) -> String {
    match bytes / 1024.0 {
        kib if kib >= 1024.0 * 1024.0 => format!("{:.1} GiB", kib / 1024.0 / 1024.0),
        kib if kib >= 1024.0 => format!("{:.1} MiB", kib / 1024.0),
        kib if kib >= 1.0 => format!("{kib:.1} KiB"),
        _ => format!("{bytes:.0} B"),
    }
}

/// Formats a whole number with commas between the thousands.
pub fn thousands(number: usize) -> String {
    indicatif::HumanCount(number as u64).to_string()
}

/// Formats a count with its noun: `1 silent client`, `10 silent clients`.
pub fn counted(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {thing}{s}", thousands(count))
}

/// Formats a measured value for a table's cell: with three significant digits, or, from 100
/// on, rounded to a whole number.
pub fn measured(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => thousands(v.round() as usize),
    }
}

/// Formats a number for a sentence: with three significant digits and no trailing zeros, or,
/// from 100 on, rounded to a whole number.
pub fn in_words(number: f64) -> String {
    let size = number.abs();
    if size >= 100.0 {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(size.round() as usize));
    }
    let places = match size {
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        s if s > 0.0 => 2 + (-s.log10()).ceil() as usize,
        _ => 0,
    };
    let text = format!("{number:.*}", places.min(12));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Returns a Markdown table. `head` names the columns, as in `server | >memory`, where `>`
/// aligns a column to the right. Each row has the same form, without `>`.
pub fn table(head: &str, rows: impl IntoIterator<Item = String>) -> String {
    let names = head.split('|').map(|name| name.trim().trim_start_matches('>'));
    let mut table = format!("| {} |\n|", names.collect::<Vec<_>>().join(" | "));
    for name in head.split('|') {
        table += if name.trim().starts_with('>') { "--:|" } else { "---|" };
    }
    table.push('\n');
    for row in rows {
        table += &format!("| {row} |\n");
    }
    table
}

/// Escapes `&`, `<` and `>` for text in SVG or HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Formats a number of seconds coarsely, in words: up to 50 seconds in steps of ten seconds, and
/// longer durations in steps of half a minute.
pub fn time_in_words(seconds: f64) -> String {
    match seconds {
        s if s <= 50.0 => match (s / 10.0).ceil() as u64 * 10 {
            10 => "ten seconds".to_owned(),
            tens => format!("{tens} seconds"),
        },
        s => match (s / 30.0).round() as u64 {
            2 => "a minute".to_owned(),
            halves if halves % 2 == 0 => format!("{} minutes", halves / 2),
            halves => format!("{} ½ minutes", halves / 2),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(10), "10");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!([900.0, 2048.0].map(bytes), ["900 B", "2.0 KiB"]);
        assert_eq!(bytes(3.5 * 1024.0 * 1024.0), "3.5 MiB");
        assert_eq!(counted(1, "silent client"), "1 silent client");
        assert_eq!(counted(1_000, "client"), "1,000 clients");
        let values = [0.456, 5.678, 56.78, 5678.9].map(measured);
        assert_eq!(values, ["0.46", "5.68", "56.8", "5,679"]);
        for (number, text) in [
            (0.0, "0"),
            (0.631, "0.631"),
            (0.00045, "0.00045"),
            (3.0, "3"),
            (3.456, "3.46"),
            (34.56, "34.6"),
            (1234.5, "1,235"),
            (-7.0, "-7"),
        ] {
            assert_eq!(in_words(number), text);
        }
    }

    #[test]
    fn a_number_keeps_its_unit() {
        for (text, expected) in [
            ("1.63 µs (2 B)", "1.63\u{a0}µs (2\u{a0}B)"),
            ("100 % of 2 h 5 min", "100\u{a0}% of 2\u{a0}h 5\u{a0}min"),
            ("10 servers, 3 Bytes, 1 `s`", "10 servers, 3 Bytes, 1 `s`"),
        ] {
            assert_eq!(keep_units(text), expected);
        }
    }

    #[test]
    fn a_table_aligns_its_numbers() {
        let rows = ["`a` | 1".to_owned(), "`b` | 2".to_owned()];
        let expected = "| server | memory |\n|---|--:|\n| `a` | 1 |\n| `b` | 2 |\n";
        assert_eq!(table("server | >memory", rows), expected);
    }

    #[test]
    fn times_for_people() {
        for (seconds, words) in [
            (3.0, "ten seconds"),
            (31.0, "40 seconds"),
            (48.0, "50 seconds"),
            (53.0, "a minute"),
            (95.0, "1 ½ minutes"),
            (118.0, "2 minutes"),
        ] {
            assert_eq!(time_in_words(seconds), words);
        }
    }
}
