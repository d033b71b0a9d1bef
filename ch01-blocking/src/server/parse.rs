//! Parsers of option values. Their errors complete clap's message "invalid value …: ".

use crate::http::MAX_FIELDS;
use std::time::Duration;

/// Parses a number of seconds, such as `10` or `0.5`; at least a millisecond and at most a
/// year, beyond which the clock's arithmetic could overflow.
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

/// Parses a whole number of at most 2^40, beyond which arithmetic could overflow.
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
