//! Repeats of one measurement: the middle, and how far the others lie from it.

use serde::Serialize;

/// The median and the extremes of some repeats.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Spread {
    /// Half of the repeats are below.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many repeats.
    pub repeats: usize,
}

impl Spread {
    /// Of at least one value.
    pub(super) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Spread {
            median: at(values.len() / 2),
            min: at(0),
            max: at(last),
            repeats: values.len(),
        }
    }
}

/// Bytes as a reader wants them.
pub(crate) fn bytes(bytes: f64) -> String {
    match bytes {
        b if b >= 1024.0 * 1024.0 * 1024.0 => {
            format!("{:.1} GiB", b / (1024.0 * 1024.0 * 1024.0))
        }
        b if b >= 1024.0 * 1024.0 => format!("{:.1} MiB", b / (1024.0 * 1024.0)),
        b if b >= 1024.0 => format!("{:.1} KiB", b / 1024.0),
        b => format!("{b:.0} B"),
    }
}

/// A whole number with commas.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of a thing: `1 silent client`, `10 silent clients`.
pub(super) fn some(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {thing}{s}", thousands(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_what_came_in_any_order() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0]);
        assert_eq!(
            (spread.min, spread.median, spread.max, spread.repeats),
            (1.0, 3.0, 5.0, 3)
        );
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(10), "10");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(2048.0), "2.0 KiB");
        assert_eq!(some(1, "silent client"), "1 silent client");
        assert_eq!(some(1_000, "client"), "1,000 clients");
    }
}
