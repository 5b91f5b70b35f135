//! Sizes and times as a configuration file writes them.

use std::time::Duration;

/// A number of octets: `"64 KiB"`, `"50 MiB"`, `"100"`. Units of 1024 only, so that nobody has to guess:
/// `KB` is not taken for `KiB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A time: `"500 ms"`, `"60 s"`, `"30 min"`, `"2 h"`, `"7 d"`. The unit is never left out.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.replace('_', "").parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("64 KiB"), Some(65_536));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size(" 50 MiB "), Some(52_428_800));
        assert_eq!(size("1 GiB"), Some(1 << 30));
        assert_eq!(size("8_192"), Some(8192));
        assert_eq!(size("0"), Some(0));
        for wrong in
            ["", "KiB", "64 KB", "64 kib", "-1", "1.5 MiB", "64 KiB more", "18446744073709551615 KiB"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("60 s"), Some(Duration::from_mins(1)));
        assert_eq!(duration("30 min"), Some(Duration::from_mins(30)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2 h"), Some(Duration::from_hours(2)));
        assert_eq!(duration("7 d"), Some(Duration::from_hours(168)));
        for wrong in ["", "60", "s", "60 sec", "-1 s", "1.5 h", "99999999999999999999 s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
