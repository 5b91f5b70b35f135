//! From when until when a certificate is valid (RFC 5280 §4.1.2.5): the one field of X.509 that rustls does
//! not read on the server's side.

/// First and last second, as Unix time; `None` if the certificate can't be read.
pub(super) fn of(certificate: &[u8]) -> Option<(i64, i64)> {
    let mut certificate = Der(certificate).expect(SEQUENCE)?;
    let mut signed = certificate.expect(SEQUENCE)?;
    let _version = signed.optional(0xa0);
    let _serial = signed.expect(INTEGER)?;
    let _signature = signed.expect(SEQUENCE)?;
    let _issuer = signed.expect(SEQUENCE)?;
    let mut validity = signed.expect(SEQUENCE)?;
    Some((validity.time()?, validity.time()?))
}

/// The day of a Unix time, in UTC.
pub(super) fn day(seconds: i64) -> String {
    // Civil from days, counted in eras of 400 years from 1 March 0000.
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + i64::from(month <= 2))
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// What is left to read of a DER value.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, Der<'a>)> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let octets = usize::from(first & 0x7f);
            if octets > 4 {
                return None;
            }
            let (digits, after) = rest.split_at_checked(octets)?;
            length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            rest = after;
        }
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, Der(value)))
    }

    fn expect(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    fn optional(&mut self, tag: u8) -> Option<Der<'a>> {
        if self.0.first() == Some(&tag) { self.expect(tag) } else { None }
    }

    /// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as Unix time.
    fn time(&mut self) -> Option<i64> {
        let (tag, Der(text)) = self.next()?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let (year, rest) = text.split_at_checked(if tag == GENERALIZED_TIME { 4 } else { 2 })?;
        let mut year: i64 = year.parse().ok()?;
        if tag == UTC_TIME {
            year += if year < 50 { 2000 } else { 1900 };
        } else if tag != GENERALIZED_TIME {
            return None;
        }
        let pair = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
        let (month, day) = (pair(0)?, pair(2)?);
        let (hour, minute, second) = (pair(4)?, pair(6)?, pair(8)?);
        let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = days + (153 * month + 2) / 5 + day - 1 - 719_468;
        Some(((days * 24 + hour) * 60 + minute) * 60 + second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(-1), "1969-12-31");
        assert_eq!(day(4_102_444_799), "2099-12-31");
    }

    #[test]
    fn both_forms_of_time() {
        let time = |tag, text: &str| {
            let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
            der.extend(text.bytes());
            Der(&der).time()
        };
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "000229000001Z"), Some(951_782_401));
        assert_eq!(time(GENERALIZED_TIME, "20991231235959Z"), Some(4_102_444_799));
        assert_eq!(time(GENERALIZED_TIME, "2099"), None);
        assert_eq!(time(INTEGER, "700101000000Z"), None);
    }

    #[test]
    fn rubbish_has_no_validity() {
        for rubbish in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x89\x00", b"\x30\x02\x30\x00"]
        {
            assert_eq!(of(rubbish), None);
        }
    }
}
