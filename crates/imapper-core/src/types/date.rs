//! Dates of the protocol: INTERNALDATE (`date-time`, RFC 9051 §9) and the days of SEARCH (`date`).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Span;
use jiff::civil::Date;

/// Days and seconds count from here. Not by jiff's timestamps, which end a day before the year 9999 does.
const EPOCH: Date = Date::constant(1970, 1, 1);
/// `date-year` has four digits (RFC 9051 §9).
const FIRST: Date = Date::constant(0, 1, 1);
const DAY: i64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// When a message came (RFC 9051 §2.3.3): an instant, and the zone in which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalDate {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// The zone, in minutes east of UTC.
    pub offset_minutes: i16,
}

impl InternalDate {
    /// The instant, in UTC.
    pub fn from_system_time(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        };
        Self { seconds, offset_minutes: 0 }
    }

    /// The instant, without the zone.
    pub fn to_system_time(self) -> SystemTime {
        let distance = Duration::from_secs(self.seconds.unsigned_abs());
        let time = if self.seconds < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        time.unwrap_or(UNIX_EPOCH)
    }

    /// Reads the inside of a `date-time`: ` 2-Feb-2020 03:04:05 +0100`. The day may have one digit, with or
    /// without the space before it. `None` for what is no date of the calendar.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        let (date, rest) = text.split_once(' ')?;
        let (time, zone) = rest.split_once(' ')?;
        let date = parse_day(date)?;
        let [hour, minute, second]: [&str; 3] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
        let (hour, minute, second): (i8, i8, i8) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
            return None;
        }
        let east = match zone.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let zone = zone.get(1..).filter(|zone| zone.len() == 4)?;
        let (hours, minutes): (i8, i8) = (digits(zone.get(..2)?, 2)?, digits(zone.get(2..)?, 2)?);
        if minutes > 59 {
            return None;
        }
        let offset_minutes = east * (i16::from(hours) * 60 + i16::from(minutes));
        // A leap second is the next minute's first.
        let time = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let local = days(date)? * DAY + time;
        Some(Self { seconds: local - i64::from(offset_minutes) * 60, offset_minutes })
    }

    /// The calendar day in the date's own zone, as days since 1970-01-01. SEARCH compares these (RFC 9051
    /// §6.4.4, "disregarding time and timezone").
    pub fn day(self) -> i64 {
        self.local_seconds().div_euclid(DAY)
    }

    fn local_seconds(self) -> i64 {
        self.seconds.saturating_add(i64::from(self.offset_minutes) * 60)
    }
}

/// The form of `date-time` without its quotes: `02-Feb-2020 03:04:05 +0100`.
impl fmt::Display for InternalDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = calendar(self.day());
        let second = self.local_seconds().rem_euclid(DAY);
        let month = usize::try_from(date.month()).ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
        let (sign, zone) =
            (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs());
        write!(
            f,
            "{:02}-{}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            date.day(),
            month.unwrap_or(&"Jan"),
            date.year(),
            second / 3600,
            second / 60 % 60,
            second % 60,
            zone / 60,
            zone % 60
        )
    }
}

/// Reads a `date` of SEARCH, `1-Feb-1994`, without quotes: days since 1970-01-01.
pub fn parse_date(text: &[u8]) -> Option<i64> {
    days(parse_day(std::str::from_utf8(text).ok()?)?)
}

/// The day of the calendar that lies so many days from 1970-01-01, or the nearest that has a year of four
/// digits.
pub fn calendar(days: i64) -> Date {
    let end = if days < 0 { FIRST } else { Date::MAX };
    let day = Span::new().try_days(days).and_then(|span| EPOCH.checked_add(span));
    day.unwrap_or(end).max(FIRST)
}

fn days(date: Date) -> Option<i64> {
    Some(i64::from(EPOCH.until(date).ok()?.get_days()))
}

/// `d-Mon-yyyy` with one or two digits for the day.
fn parse_day(text: &str) -> Option<Date> {
    let [day, month, year]: [&str; 3] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let day = digits(day, day.len().clamp(1, 2))?;
    Date::new(digits(year, 4)?, i8::try_from(month + 1).ok()?, day).ok()
}

/// Exactly `count` decimal digits.
fn digits<T: std::str::FromStr>(text: &str, count: usize) -> Option<T> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_time_keeps_its_zone() {
        for text in ["14-Sep-2013 21:22:28 -0300", "02-Feb-2020 03:04:05 +0000", "31-Dec-1969 23:59:59 +1245"]
        {
            let date = InternalDate::parse(text.as_bytes()).unwrap();
            assert_eq!(date.to_string(), text);
            assert_eq!(InternalDate::from_system_time(date.to_system_time()).seconds, date.seconds);
        }
        let date = InternalDate::parse(b"14-Sep-2013 21:22:28 -0300").unwrap();
        assert_eq!(date.seconds, 1_379_204_548);
        assert_eq!(Some(date.day()), parse_date(b"14-Sep-2013"));
    }

    #[test]
    fn every_year_of_four_digits_has_all_its_days() {
        for (text, day) in [("31-Dec-9999", 2_932_896), ("30-Dec-9999", 2_932_895), ("01-Jan-0000", -719_528)]
        {
            assert_eq!(parse_date(text.as_bytes()), Some(day), "{text}");
            for zone in ["+0000", "-1200", "+1400"] {
                let time = format!("{text} 23:59:59 {zone}");
                let date = InternalDate::parse(time.as_bytes()).unwrap();
                assert_eq!((date.to_string(), date.day()), (time, day));
            }
        }
    }

    #[test]
    fn a_day_of_one_digit_may_be_padded() {
        let padded = InternalDate::parse(b" 2-feb-2020 03:04:05 +0000").unwrap();
        assert_eq!(Some(padded), InternalDate::parse(b"02-FEB-2020 03:04:05 +0000"));
        assert_eq!(Some(padded), InternalDate::parse(b"2-Feb-2020 03:04:05 +0000"));
        assert_eq!(parse_date(b"1-Jan-1970"), Some(0));
        assert_eq!(parse_date(b"01-Jan-1970"), Some(0));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "32-Jan-2024 00:00:00 +0000",
            "30-Feb-2024 00:00:00 +0000",
            "01-Foo-2024 00:00:00 +0000",
            "01-Jan-2024 24:00:00 +0000",
            "01-Jan-2024 00:60:00 +0000",
            "01-Jan-2024 00:00:00 0000",
            "01-Jan-2024 00:00:00 +00x0",
            "01-Jan-2024 00:00:00",
            "yesterday",
            "",
        ] {
            assert_eq!(InternalDate::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["1 Jan 2024", "0-Jan-2024", "001-Jan-2024", "1-Jan-24", "1-Jan-2024-", "-1-Jan-2024"] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn extremes_do_not_panic() {
        for seconds in [i64::MIN, i64::MAX, 0] {
            let date = InternalDate { seconds, offset_minutes: i16::MIN };
            let _ = (date.to_string(), date.day(), date.to_system_time());
        }
    }
}
