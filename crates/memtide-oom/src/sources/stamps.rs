//! Times as log files write them.
//!
//! ```text
//! Nov 21 15:48:47                          RFC 3164: without a year, in local time
//! 2026-11-21T15:48:47.123456+00:00         RFC 3339; with a comma from dmesg
//! Sat Nov 21 15:48:47 2026                 dmesg -T
//! ```

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// A file may be written a little before its clock: a line from tomorrow is from last year.
const AHEAD_NS: i64 = 86_400_000_000_000;

/// How stamps of a file are understood.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Local time of the machine that wrote it.
    pub zone: TimeZone,
    /// When the file was last written, nanoseconds since 1970: a stamp without a year is of the last year
    /// in which it lies before this.
    pub written_ns: i64,
}

/// `Nov 21 15:48:47`: the moment and what follows.
pub(super) fn without_year<'a>(text: &'a str, zone: &Zone) -> Option<(i64, &'a str)> {
    let (month, rest) = text.split_at_checked(3)?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
    let (day, rest) = rest.split_once(' ')?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let month = i8::try_from(month + 1).ok()?;
    let day: i8 = day.parse().ok()?;
    let latest = zone.written_ns.saturating_add(AHEAD_NS);
    let now = Timestamp::from_nanosecond(i128::from(latest)).ok()?;
    let year = zone.zone.to_datetime(now).year();
    // Nine years hold a 29 February whatever century they lie in.
    (0..9).find_map(|back| {
        let date = Date::new(year.checked_sub(back)?, month, day).ok()?;
        let at = local(date, clock, &zone.zone)?;
        (at <= latest).then_some((at, rest))
    })
}

/// `Sat Nov 21 15:48:47 2026`.
pub(super) fn with_weekday(text: &str, zone: &Zone) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    words.next().filter(|day| DAYS.contains(day))?;
    let (month, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = i8::try_from(month + 1).ok()?;
    let date = Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    local(date, clock, &zone.zone)
}

/// RFC 3339 at the start of a text: the moment and what follows the blank after it.
pub(super) fn rfc3339(text: &str) -> Option<(i64, &str)> {
    let (stamp, rest) = text.split_once(' ')?;
    let is_one = stamp.len() >= 20 && stamp.as_bytes().get(10) == Some(&b'T');
    let at: Timestamp = is_one.then(|| stamp.replace(',', ".").parse().ok())??;
    Some((i64::try_from(at.as_nanosecond()).ok()?, rest))
}

/// A date and `15:48:47` of local time. Where summer time ends an hour comes twice: the first is taken.
fn local(date: Date, clock: &str, zone: &TimeZone) -> Option<i64> {
    let mut parts = clock.split(':').map(str::parse::<i8>);
    let (hour, minute, second) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    if parts.next().is_some() {
        return None;
    }
    // A leap second is the second before it.
    let civil: DateTime =
        date.to_datetime(jiff::civil::Time::new(hour, minute, second.min(59), 0).ok()?);
    let at = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
    i64::try_from(at.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(written: &str) -> Zone {
        let written: Timestamp = written.parse().unwrap();
        Zone {
            zone: TimeZone::UTC,
            written_ns: i64::try_from(written.as_nanosecond()).unwrap(),
        }
    }

    fn shown(ns: i64) -> String {
        Timestamp::from_nanosecond(i128::from(ns))
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_year_is_the_last_in_which_the_line_was_written_before_the_file() {
        for (stamp, written, at) in [
            (
                "Nov 21 15:48:47",
                "2026-11-21T16:00:00Z",
                "2026-11-21T15:48:47Z",
            ),
            // A file that was rotated at New Year.
            (
                "Dec 31 23:59:59",
                "2026-01-01T00:00:03Z",
                "2025-12-31T23:59:59Z",
            ),
            (
                "Jan  1 00:00:01",
                "2026-01-01T00:00:03Z",
                "2026-01-01T00:00:01Z",
            ),
            // Written by a clock that runs ahead.
            (
                "Nov 21 16:00:10",
                "2026-11-21T16:00:00Z",
                "2026-11-21T16:00:10Z",
            ),
            (
                "Feb 29 12:00:00",
                "2026-03-01T00:00:00Z",
                "2024-02-29T12:00:00Z",
            ),
        ] {
            let line = format!("{stamp} host kernel: x");
            let (ns, rest) = without_year(&line, &zone(written)).unwrap();
            assert_eq!(
                (shown(ns).as_str(), rest),
                (at, " host kernel: x"),
                "{stamp}"
            );
        }
        for broken in [
            "",
            "Nov",
            "Nov 21",
            "Nov 41 15:48:47 h",
            "Foo 21 15:48:47 h",
            "Nov 21 25:48:47 h",
            "Feb 30 12:00:00 h",
        ] {
            assert!(
                without_year(broken, &zone("2026-11-21T16:00:00Z")).is_none(),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn times_of_dmesg_and_rsyslog_are_read() {
        let (ns, rest) = rfc3339("2026-11-21T16:48:47.5+01:00 host kernel: x").unwrap();
        assert_eq!(
            (shown(ns).as_str(), rest),
            ("2026-11-21T15:48:47.5Z", "host kernel: x")
        );
        assert!(rfc3339("2026-11-21T16:48:47,123456+01:00 x").is_some());
        let ns = with_weekday("Sat Nov 21 15:48:47 2026", &zone("2026-11-21T16:00:00Z")).unwrap();
        assert_eq!(shown(ns), "2026-11-21T15:48:47Z");
    }
}
