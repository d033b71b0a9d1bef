//! Parsers of option values. Their errors complete clap's message "invalid value …: ".

use crate::http::MAX_FIELDS;
use std::time::Duration;

/// Parses a number of seconds, such as `10` or `0.5`, greater than 0 and at most a year.
/// A time of less than a millisecond becomes a millisecond. The limit of a year keeps
/// sums of times far from overflow.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 31_536_000.0 => {
            Ok(Duration::from_secs_f64(number).max(Duration::from_millis(1)))
        }
        _ => {
            Err("a number of seconds between 0.001 and 31536000, such as 10 or 0.5"
                .into())
        }
    }
}

/// Parses a whole number of at most 2^40. The limit keeps sums of such numbers far from
/// overflow in 64 bits.
pub(crate) fn size<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let size = text.parse().ok().filter(|size: &u64| *size <= 1 << 40);
    size.and_then(|size| T::try_from(size).ok())
        .ok_or("a whole number, at most 1099511627776".into())
}

/// Parses a number of header fields, from 1 to [`MAX_FIELDS`].
pub(crate) fn fields(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=MAX_FIELDS).contains(number))
        .ok_or(format!("a number from 1 to {MAX_FIELDS}"))
}
