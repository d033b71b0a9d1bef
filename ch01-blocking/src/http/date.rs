//! HTTP dates (RFC 9110 section 5.6.7), in whole seconds: one format is written, three are
//! read.
//!
//! This module does not use the crate httpdate, which rejects dates before 1970 and
//! leap seconds, and reads a two-digit year as one from 1970 to 2069. A file may be
//! older than 1970, and the RFC interprets a two-digit year relative to the current
//! one.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time in the years 0000 to 9999, in seconds since the beginning of the year
/// 0000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(i64);

const DAY: i64 = 24 * 60 * 60;
const EPOCH: i64 = days_before(1970) * DAY;
const LAST: i64 = days_before(10_000) * DAY - 1;

const WEEKDAYS: [&str; 7] =
    ["Saturday", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the number of days before `year`, counted from the start of the year 0000.
const fn days_before(year: i64) -> i64 {
    365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400
}

/// Returns the number of days in a month of `year`; `month` is 0 for January.
fn days_of(month: usize, year: i64) -> i64 {
    match month {
        1 => days_before(year + 1) - days_before(year) - 337,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

impl HttpDate {
    /// Returns the current time, rounded down to a whole second.
    pub fn now() -> HttpDate {
        SystemTime::now().into()
    }

    /// Parses a date in any of the three formats of HTTP. Returns `None` if `text` has
    /// none of these formats, or if the calendar has no such date.
    ///
    /// A two-digit year stands for the latest year in which the date is at most 50 years
    /// after `now`.
    pub(crate) fn parse(text: &[u8], now: SystemTime) -> Option<HttpDate> {
        let words: Vec<&str> = std::str::from_utf8(text).ok()?.split(' ').collect();
        let short = |name: &str| WEEKDAYS.iter().any(|day| day[..3] == *name);
        match words[..] {
            // The preferred format: Sun, 06 Nov 1994 08:49:37 GMT
            [name, day, month, year, time, "GMT"] if short(name.strip_suffix(',')?) => {
                HttpDate::new(number(year, 4)?, month, number(day, 2)?, time)
            }
            // The format of RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
            [name, date, time, "GMT"] if WEEKDAYS.contains(&name.strip_suffix(',')?) => {
                let (day, date) = date.split_once('-')?;
                let (month, year) = date.split_once('-')?;
                let (day, year) = (number(day, 2)?, number(year, 2)?);
                let now = HttpDate::from(now);
                let latest = now.year() + 50;
                let year = latest - (latest - year).rem_euclid(100);
                let is_too_late = HttpDate::new(year - 50, month, day, time)
                    .is_none_or(|date| date > now);
                let year = if year == latest && is_too_late { year - 100 } else { year };
                HttpDate::new(year, month, day, time)
            }
            // The format of asctime(3): Sun Nov  6 08:49:37 1994
            [name, month, "", day, time, year] if short(name) => {
                HttpDate::new(number(year, 4)?, month, number(day, 1)?, time)
            }
            [name, month, day, time, year] if short(name) => {
                HttpDate::new(number(year, 4)?, month, number(day, 2)?, time)
            }
            _ => None,
        }
    }

    /// Returns the date with these parts, or `None` if there is no such date. `month`
    /// is a name such as `Nov`, and `time` is `HH:MM:SS`.
    fn new(year: i64, month: &str, day: i64, time: &str) -> Option<HttpDate> {
        let month = MONTHS.iter().position(|name| *name == month)?;
        let (hour, time) = time.split_once(':')?;
        let (minute, second) = time.split_once(':')?;
        let (hour, minute) = (number(hour, 2)?, number(minute, 2)?);
        let second = number(second, 2)?;
        let is_time = hour < 24 && minute < 60 && second < 60;
        // A leap second (23:59:60) has the same number as the second after it
        // (00:00:00), as in POSIX's formula for the seconds since the Epoch.
        let is_leap_second = (hour, minute, second) == (23, 59, 60);
        if !(1..=days_of(month, year)).contains(&day) || !(is_time || is_leap_second) {
            return None;
        }
        let months: i64 = (0..month).map(|month| days_of(month, year)).sum();
        let days = days_before(year) + months + day - 1;
        Some(HttpDate(days * DAY + (hour * 60 + minute) * 60 + second))
    }

    fn year(self) -> i64 {
        let days = self.0 / DAY;
        let about = days * 400 / days_before(400); // an estimate: years differ in length
        let year = if days_before(about) > days { about - 1 } else { about };
        if days_before(year + 1) <= days { year + 1 } else { year }
    }
}

/// Parses a number of exactly `len` digits. Returns `None` for anything else.
fn number(digits: &str, len: usize) -> Option<i64> {
    let is_number =
        digits.len() == len && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Converts a time, rounded down to a whole second. A time outside the years 0000 to
/// 9999 becomes the first or the last second of these years.
impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> HttpDate {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(time) => i64::try_from(time.as_secs()).unwrap_or(LAST),
            Err(before) => {
                let time = before.duration();
                let begun = time.as_secs() + u64::from(time.subsec_nanos() > 0);
                i64::try_from(begun).map_or(-EPOCH, |begun| -begun)
            }
        };
        HttpDate(seconds.saturating_add(EPOCH).clamp(0, LAST))
    }
}

/// Formats the date in the preferred format (IMF-fixdate), the only one that is sent.
impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        let weekday = &WEEKDAYS[(days % 7) as usize][..3]; // day 0 was a Saturday
        let year = self.year();
        let (mut month, mut day) = (0, days - days_before(year));
        while day >= days_of(month, year) {
            day -= days_of(month, year);
            month += 1;
        }
        let (day, month) = (day + 1, MONTHS[month]);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(seconds: i64) -> SystemTime {
        let time = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { UNIX_EPOCH - time } else { UNIX_EPOCH + time }
    }

    fn parse(text: &str) -> Option<HttpDate> {
        HttpDate::parse(text.as_bytes(), at(1_800_000_000)) // now: January of 2027
    }

    #[test]
    fn the_three_forms() {
        let same = Some(HttpDate::from(at(784_111_777)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), same);
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT"), same);
        assert_eq!(parse("Sun Nov  6 08:49:37 1994"), same);
        assert_eq!(
            parse("Tue Nov 15 08:49:37 1994"),
            parse("Tue, 15 Nov 1994 08:49:37 GMT")
        );
    }

    #[test]
    fn what_the_calendar_does_not_have() {
        for text in [
            "Sun, 29 Feb 1900 00:00:00 GMT",
            "Sun, 31 Apr 2000 00:00:00 GMT",
            "Sun, 00 Jan 2000 00:00:00 GMT",
            "Sun, 01 Jan 2000 24:00:00 GMT",
            "Sun, 01 Jan 2000 00:60:00 GMT",
            "Sun, 01 Jan 2000 00:00:60 GMT",
            "Sun, 01 Jan 2000 23:59:61 GMT",
            "Sun, 1 Jan 2000 00:00:00 GMT",
            "Sun, 01 jan 2000 00:00:00 GMT",
            "Sun, 01 Jan 2000 00:00:00 UTC",
            "Sun, 01 Jan +200 00:00:00 GMT",
            "Sunday, 01 Jan 2000 00:00:00 GMT",
            "Sun, 01-Jan-00 00:00:00 GMT",
            "Sun Jan 1 00:00:00 2000",
            "Sun Jan  01 00:00:00 2000",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_next() {
        assert_eq!(
            parse("Sat, 31 Dec 2016 23:59:60 GMT"),
            parse("Sun, 01 Jan 2017 00:00:00 GMT")
        );
    }

    #[test]
    fn two_digits_are_never_more_than_fifty_years_ahead() {
        // `parse` takes Friday, 15 Jan 2027 08:00:00 as the current time.
        for (two, four) in [
            ("Friday, 15-Jan-77 08:00:00 GMT", "Fri, 15 Jan 2077 08:00:00 GMT"),
            ("Friday, 15-Jan-77 08:00:01 GMT", "Sat, 15 Jan 1977 08:00:01 GMT"),
            ("Friday, 15-Jan-76 08:00:01 GMT", "Wed, 15 Jan 2076 08:00:01 GMT"),
            ("Friday, 15-Jan-78 08:00:00 GMT", "Sun, 15 Jan 1978 08:00:00 GMT"),
            ("Friday, 29-Feb-28 08:00:00 GMT", "Tue, 29 Feb 2028 08:00:00 GMT"),
        ] {
            assert_eq!(parse(two), parse(four), "{two}");
            assert!(parse(two).is_some(), "{two}");
        }
    }

    #[test]
    fn the_first_and_the_last() {
        let date = |seconds| HttpDate::from(at(seconds)).to_string();
        assert_eq!(date(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(-EPOCH - 1), "Sat, 01 Jan 0000 00:00:00 GMT");
        assert_eq!(date(LAST - EPOCH + 1), "Fri, 31 Dec 9999 23:59:59 GMT");
        let part = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(HttpDate::from(part).to_string(), "Wed, 31 Dec 1969 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in -EPOCH..LAST - EPOCH) {
            let date = HttpDate::from(at(seconds));
            prop_assert_eq!(HttpDate(seconds + EPOCH), date);
            prop_assert_eq!(parse(&date.to_string()), Some(date));
        }
    }
}
