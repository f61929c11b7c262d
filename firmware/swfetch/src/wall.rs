//! Wall time from the firmware's calendar, checked for sense.
use alloc::format;
use alloc::string::String;

/// 2026-01-01T00:00:00Z: a clock before this was never set.
pub const EARLIEST_S: u64 = 1_767_225_600;
/// 2100-01-01T00:00:00Z: a clock after this is wrong.
pub const LATEST_S: u64 = 4_102_444_800;

/// A date as firmware gives it (UTC or local; a light client needs only the order of magnitude).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// 1900 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// Returns Unix seconds, or `None` for a date that does not exist or that lies outside 2026 to 2099.
pub fn unix_seconds(date: Date) -> Option<u64> {
    let Date {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = date;
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    if !(1970..=9999).contains(&year) {
        return None;
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, years starting in March.
    let shifted_year = u64::from(year) - u64::from(month <= 2);
    let shifted_month = (u64::from(month) + 9) % 12;
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let day_of_year = (153 * shifted_month + 2) / 5 + u64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds =
        days * 86_400 + u64::from(hour) * 3600 + u64::from(minute) * 60 + u64::from(second);
    (EARLIEST_S..LATEST_S).contains(&seconds).then_some(seconds)
}

/// Writes a length of time in its largest unit: "45 s", "12 min", "3 h", "16 days".
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: u16, month: u8, day: u8) -> Option<u64> {
        unix_seconds(Date {
            year,
            month,
            day,
            hour: 12,
            minute: 34,
            second: 56,
        })
    }

    #[test]
    fn dates_match_known_unix_times() {
        assert_eq!(at(2026, 11, 22), Some(1_795_350_896));
        assert_eq!(at(2028, 2, 29), Some(1_835_440_496));
        assert_eq!(at(2099, 12, 31), Some(4_102_403_696));
    }

    #[test]
    fn ages_are_written_in_their_largest_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn an_unset_or_broken_clock_is_refused() {
        for (year, month, day) in [
            (1900, 1, 1),
            (1970, 1, 1),
            (2000, 1, 1),
            (2025, 12, 31),
            (2100, 1, 1),
            (2026, 0, 1),
            (2026, 13, 1),
            (2026, 1, 0),
            (65535, 1, 1),
        ] {
            assert_eq!(at(year, month, day), None, "{year}-{month}-{day}");
        }
    }
}
