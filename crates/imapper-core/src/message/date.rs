//! The Date field (RFC 5322 §3.3 and its obsolete forms in §4.3).

use super::header::unfold;
use super::lex::Lexer;

/// When a message says it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Year of the calendar day as it is written, time and zone disregarded (SENTON and its kind,
    /// RFC 3501 §6.4.4).
    pub year: u16,
    /// Month of that day, 1 to 12.
    pub month: u8,
    /// Day of that month, 1 to 31.
    pub day: u8,
    /// The instant in seconds since 1970-01-01T00:00:00Z (SORT DATE, RFC 5256 §2.2). A time or a zone
    /// that is missing or invalid counts as zero.
    pub unix: i64,
}

impl Sent {
    /// The calendar day as a value to compare days by.
    pub fn ymd(&self) -> (u16, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// Reads the value of a Date field. `None` if it names no day that exists.
    pub fn parse(value: &[u8]) -> Option<Sent> {
        let value = unfold(value);
        let lex = &mut Lexer::new(&value);
        separators(lex);
        if lex.peek()?.is_ascii_alphabetic() {
            lex.take_while(|b| b.is_ascii_alphabetic() || b == b'.'); // the day of the week
            separators(lex);
        }
        let (day, _) = number(lex)?;
        separators(lex);
        let month = month(lex.take_while(|b| b.is_ascii_alphabetic()))?;
        separators(lex);
        let year = match number(lex)? {
            (year @ 0..50, 1 | 2) => year + 2000,
            (year, 1..=3) => year + 1900,
            (year, _) => year,
        };
        let year = u16::try_from(year).ok().filter(|y| (1..=9999).contains(y))?;
        let day = u8::try_from(day).ok().filter(|d| (1..=days_in_month(year, month)).contains(d))?;
        let seconds = time(lex).unwrap_or(0) - zone(lex).unwrap_or(0);
        Some(Sent { year, month, day, unix: days_since_1970(year, month, day) * 86_400 + seconds })
    }
}

fn separators(lex: &mut Lexer) {
    lex.skip_cfws();
    while matches!(lex.peek(), Some(b',' | b'-')) {
        lex.bump();
        lex.skip_cfws();
    }
}

/// A number of at most nine digits, and how many there were.
fn number(lex: &mut Lexer) -> Option<(u32, usize)> {
    let digits = lex.take_while(|b| b.is_ascii_digit());
    if digits.len() > 9 {
        return None;
    }
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, digits.len()))
}

fn month(word: &[u8]) -> Option<u8> {
    const NAMES: [&[u8]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let word = word.get(..3)?;
    (1..).zip(NAMES).find(|(_, name)| word.eq_ignore_ascii_case(name)).map(|(i, _)| i)
}

/// `hh:mm[:ss]` in seconds; `None` if it is none, or out of range.
fn time(lex: &mut Lexer) -> Option<i64> {
    lex.skip_cfws();
    let mut part = |most: u32| {
        let n = number(lex).map(|(n, _)| n).filter(|n| *n <= most);
        lex.skip_cfws();
        let more = lex.eat(b':');
        lex.skip_cfws();
        n.map(|n| (i64::from(n), more))
    };
    let (hour, true) = part(23)? else { return None };
    let (minute, more) = part(59)?;
    let second = if more { part(60)?.0 } else { 0 };
    Some(hour * 3600 + minute * 60 + second)
}

/// A zone's offset in seconds east of UTC. Names that are not known, and the military ones, are
/// UTC (RFC 5322 §4.3).
fn zone(lex: &mut Lexer) -> Option<i64> {
    lex.skip_cfws();
    let sign = match lex.peek()? {
        b'+' => 1,
        b'-' => -1,
        _ => {
            let hours = match &*lex.take_while(|b| b.is_ascii_alphabetic()).to_ascii_uppercase() {
                b"EDT" => -4,
                b"EST" | b"CDT" => -5,
                b"CST" | b"MDT" => -6,
                b"MST" | b"PDT" => -7,
                b"PST" => -8,
                _ => 0,
            };
            return Some(hours * 3600);
        }
    };
    lex.bump();
    let (n, 4) = number(lex)? else { return None };
    (n % 100 < 60).then(|| sign * i64::from(n / 100 * 60 + n % 100) * 60)
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: u16, month: u8, day: u8) -> i64 {
    let before = i64::from(year) - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    let months: i64 = (1..month).map(|m| i64::from(days_in_month(year, m))).sum();
    years + months + i64::from(day) - 719_163
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> Option<((u16, u8, u8), i64)> {
        Sent::parse(value.as_bytes()).map(|s| (s.ymd(), s.unix))
    }

    #[test]
    fn the_forms_of_rfc_5322() {
        assert_eq!(sent("Fri, 21 Nov 1997 09:55:06 -0600"), Some(((1997, 11, 21), 880_127_706)));
        assert_eq!(
            sent(" Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)"),
            Some(((1969, 2, 13), -27_723_480))
        );
        assert_eq!(sent("21 Nov 97 09:55:06 GMT"), Some(((1997, 11, 21), 880_106_106)));
        assert_eq!(
            sent("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600"),
            Some(((1997, 11, 21), 880_127_706))
        );
        assert_eq!(sent("1 Jan 1970 00:00 +0000"), Some(((1970, 1, 1), 0)));
        assert_eq!(sent("Tue, 29 Feb 2000 12:00:00 EST"), Some(((2000, 2, 29), 951_843_600)));
    }

    #[test]
    fn the_day_is_the_one_that_is_written() {
        assert_eq!(sent("31 Dec 2013 23:30:00 -0500"), Some(((2013, 12, 31), 1_388_550_600)));
        assert_eq!(sent("13-Sep-2013"), Some(((2013, 9, 13), 1_379_030_400)));
        assert_eq!(sent("Friday 13 September 2013 25:00"), Some(((2013, 9, 13), 1_379_030_400)));
        assert_eq!(sent("1 Jan 70"), Some(((1970, 1, 1), 0)));
        assert_eq!(sent("1 Jan 101"), Some(((2001, 1, 1), 978_307_200)));
    }

    #[test]
    fn what_is_no_day_is_none() {
        for bad in [
            "",
            "x",
            "31 Feb 2013",
            "0 Jan 2013",
            "1 Foo 2013",
            "1 Jan",
            "1 Jan 99999",
            "1 Jan 0000",
            "9999999999999 Jan 2013",
            "(",
            "1 é 2013",
        ] {
            assert_eq!(sent(bad), None, "{bad}");
        }
    }
}
