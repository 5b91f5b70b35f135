//! The line before each message: `From sender Sat Sep 14 21:22:28 2013`.

use imapper_core::types::InternalDate;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// The date of such a line; `None` if it is no such line. The zone may stand before or behind the year, or be
/// missing: then it is UTC, as RFC 4155 has it. The seconds may be missing.
pub(super) fn read(line: &[u8]) -> Option<InternalDate> {
    let line = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    // What comes first is the sender, who may be written with spaces: the time is looked for from the end.
    let time = words.iter().rposition(|word| is_time(word))?;
    let (month, day) = (words.get(time.checked_sub(2)?)?, words.get(time - 1)?);
    let rest = words.get(time + 1..)?;
    let year =
        rest.iter().find(|word| word.len() == 4 && word.bytes().all(|octet| octet.is_ascii_digit()))?;
    let zone = rest.iter().find(|word| is_zone(word)).copied().unwrap_or("+0000");
    let clock = words.get(time)?;
    let seconds = if clock.matches(':').count() == 1 { ":00" } else { "" };
    InternalDate::parse(format!("{day}-{month}-{year} {clock}{seconds} {zone}").as_bytes())
}

fn is_time(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    (2..=3).contains(&parts.len())
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|octet| octet.is_ascii_digit()))
}

fn is_zone(word: &str) -> bool {
    word.len() == 5
        && word.starts_with(['+', '-'])
        && word.bytes().skip(1).all(|octet| octet.is_ascii_digit())
}

/// The line, in UTC.
pub(super) fn line(date: InternalDate) -> String {
    let utc = InternalDate { offset_minutes: 0, ..date };
    let shown = utc.to_string(); // 14-Sep-2013 21:22:28 +0000
    let mut words = shown.split(' ');
    let (calendar, clock) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut calendar = calendar.split('-');
    let (day, month, year) = (
        calendar.next().unwrap_or_default(),
        calendar.next().unwrap_or_default(),
        calendar.next().unwrap_or_default(),
    );
    let weekday =
        usize::try_from(utc.day().rem_euclid(7)).ok().and_then(|day| DAYS.get(day)).unwrap_or(&"Thu");
    let day = day.strip_prefix('0').map_or_else(|| day.to_owned(), |digit| format!(" {digit}"));
    format!("From MAILER-DAEMON {weekday} {month} {day} {clock} {year}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<InternalDate> {
        read(text.as_bytes())
    }

    #[test]
    fn the_forms_that_are_in_use() {
        let date = InternalDate::parse(b"14-Sep-2013 21:22:28 +0000").unwrap();
        for line in [
            "From john@example.com Sat Sep 14 21:22:28 2013\n",
            "From - Sat Sep 14 21:22:28 2013\r\n",
            "From John Doe Sat Sep 14 21:22:28 2013",
            "From x Sat Sep 14 21:22:28 +0000 2013",
            "From x Sat Sep 14 21:22:28 2013 +0000",
            "From x Sat Sep 14 21:22:28 UTC 2013",
            "From x  Sat Sep 14 21:22:28 2013 remote from somewhere",
        ] {
            assert_eq!(at(line), Some(date), "{line}");
        }
        assert_eq!(at("From x Sun Sep  1 00:02 2013").unwrap().to_string(), "01-Sep-2013 00:02:00 +0000");
        assert_eq!(
            at("From x Sun Sep  1 00:02:03 2013 -0300").unwrap().to_string(),
            "01-Sep-2013 00:02:03 -0300"
        );
        for line in [
            "From here on it is easy\n",
            "From x Sat Foo 14 21:22:28 2013",
            "From 10:00 on",
            "from x",
            "From ",
        ] {
            assert_eq!(at(line), None, "{line}");
        }
    }

    #[test]
    fn a_line_that_was_written_is_read() {
        for text in ["14-Sep-2013 21:22:28 +0000", "01-Jan-1970 00:00:00 +0000", "31-Dec-9999 23:59:59 +0000"]
        {
            let date = InternalDate::parse(text.as_bytes()).unwrap();
            assert_eq!(at(&line(date)), Some(date), "{text}");
        }
        let zone = InternalDate::parse(b"14-Sep-2013 21:22:28 -0300").unwrap();
        assert_eq!(line(zone), "From MAILER-DAEMON Sun Sep 15 00:22:28 2013\n");
        assert_eq!(
            line(InternalDate { seconds: 0, offset_minutes: 0 }),
            "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
        );
    }
}
