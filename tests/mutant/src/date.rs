//! Reads and writes dates, as seconds since 1970; earlier dates are negative.
//!
//! The crate httpdate handles only the years from 1970 to 9999. To support earlier years,
//! `read` and `write` add 400 years to a date before httpdate converts it, and subtract 400 years
//! from the result. The weekday stays correct, because the calendar repeats itself every 400 years.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mutations::Mutation;
use crate::switch::wrong;

const YEARS: i64 = 400;
const SECONDS: i64 = 146_097 * 86_400;

/// Parses a date in any of HTTP's three formats. Returns the seconds since 1970, or `None` if the
/// text is in none of them.
pub(crate) fn read(text: &str) -> Option<i64> {
    if wrong(Mutation::DatesInOneForm) && text.get(3..5) != Some(", ") {
        return None;
    }
    let text = four_digits(text)?;
    let at = if text.contains(',') { text.len() - 17 } else { text.len() - 4 };
    let year = text.get(at..at + 4)?.parse::<i64>().ok()?;
    if wrong(Mutation::DatesFrom1970) && year < 1970 {
        return None;
    }
    let moved = format!("{}{:04}{}", &text[..at], year + YEARS, &text[at + 4..]);
    let (moved, leap) = if text.contains(" 23:59:60 ") && !wrong(Mutation::NoLeapSecond) {
        (moved.replace(":60", ":59"), 1)
    } else {
        (moved, 0)
    };
    let time = httpdate::parse_http_date(&moved).ok()?;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(i64::try_from(seconds).ok()? - SECONDS + leap)
}

/// Rewrites `Sunday, 06-Nov-94 08:49:37 GMT` as `Sun, 06 Nov 1994 08:49:37 GMT`, and returns a date
/// in another format unchanged; `None` if the text is malformed.
fn four_digits(text: &str) -> Option<String> {
    let Some((day, month_and_more)) = text.split_once('-') else {
        let long_enough = text.is_ascii() && text.len() >= 24;
        return long_enough.then(|| text.to_owned());
    };
    let (weekday, day) = day.split_once(", ")?;
    let (month, year_and_time) = month_and_more.split_once('-')?;
    let (year, time) = year_and_time.split_once(' ')?;
    let two = year.parse::<i64>().ok().filter(|year| (0..100).contains(year))?;
    let now = SystemTime::now();
    let of = |year| {
        let short = weekday.get(..3)?;
        let text = format!("{short}, {day} {month} {year:04} {time}");
        (text.is_ascii() && text.len() == 29).then_some(text)
    };
    let century = |year: i64| of(year + two);
    if wrong(Mutation::TwoDigitsFrom1970) {
        return century(if two < 70 { 2000 } else { 1900 });
    }
    let limit = now + Duration::from_secs(SECONDS.unsigned_abs() / 8);
    let this = httpdate::fmt_http_date(now)[12..14].parse::<i64>().ok()? * 100;
    // The year belongs to the latest century in which the date is not more than 50 years in the
    // future.
    [this + 100, this, this - 100].into_iter().find_map(|begin| {
        let text = century(begin)?;
        httpdate::parse_http_date(&text).ok().filter(|date| *date <= limit)?;
        Some(text)
    })
}

/// Formats a date, given in seconds since 1970, in HTTP's preferred format (IMF-fixdate).
pub(crate) fn write(seconds: i64) -> String {
    let moved = u64::try_from(seconds + SECONDS).unwrap_or(0);
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(moved));
    let year = text[12..16].parse::<i64>().unwrap_or(YEARS) - YEARS;
    format!("{}{year:04}{}", &text[..12], &text[16..])
}
