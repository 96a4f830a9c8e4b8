//! The one way to print a size, a rate and a duration, to read a size, and to make foreign bytes printable.

use core::fmt::Write as _;

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// A size in binary units with three significant digits: `0 B`, `512 KiB`, `1.25 GiB`, `-3.1 MiB`.
pub fn bytes(value: f64) -> String {
    let mut magnitude = value.abs();
    let mut unit = 0;
    // 1023.5 would print as "1024 KiB": go on to the next unit before it can.
    while magnitude >= 1023.5 && unit + 1 < UNITS.len() {
        magnitude /= 1024.0;
        unit += 1;
    }
    // What rounds to zero has no sign.
    let sign = if value < 0.0 && (unit > 0 || magnitude >= 0.5) {
        "-"
    } else {
        ""
    };
    let digits =
        usize::from(unit > 0 && magnitude < 99.95) + usize::from(unit > 0 && magnitude < 9.995);
    format!("{sign}{magnitude:.digits$} {}", UNITS[unit])
}

/// A growth: like [`bytes`] with a plus sign where it is positive.
pub fn signed_bytes(value: f64) -> String {
    let text = bytes(value);
    if value > 0.0 && !text.starts_with("0 ") {
        format!("+{text}")
    } else {
        text
    }
}

/// A rate of growth in the unit of time that gives readable numbers: `1.2 MiB/s`, `300 KiB/min`,
/// `2.5 MiB/h`, `4.1 MiB/day`. Zero is `0 B/s`.
pub fn rate(bytes_per_second: f64) -> String {
    per(bytes_per_second, time_unit(bytes_per_second))
}

/// Two rates in the same unit of time, that of the greater: `5.53 MiB/min to 5.93 MiB/min`.
pub fn rates(low: f64, high: f64) -> String {
    let unit = time_unit(low.abs().max(high.abs()));
    format!("{} to {}", per(low, unit), per(high, unit))
}

/// Seconds of the unit of time that gives readable numbers, and its name.
fn time_unit(bytes_per_second: f64) -> (f64, &'static str) {
    match bytes_per_second.abs() {
        s if s < NO_RATE => (1.0, "s"),
        s if s >= 100.0 * 1024.0 => (1.0, "s"),
        s if s * 60.0 >= 100.0 * 1024.0 => (60.0, "min"),
        s if s * 3600.0 >= 100.0 * 1024.0 => (3600.0, "h"),
        _ => (86_400.0, "day"),
    }
}

/// Less than half a byte a day.
const NO_RATE: f64 = 0.5 / 86_400.0;

fn per(bytes_per_second: f64, (seconds, unit): (f64, &str)) -> String {
    if bytes_per_second.abs() < NO_RATE {
        return format!("0 B/{unit}");
    }
    format!("{}/{unit}", bytes(bytes_per_second * seconds))
}

/// A count's rate: `2.0 per second`, `14 per minute`, `3.1 per hour`.
pub fn count_rate(per_second: f64) -> String {
    let (value, unit) = match per_second.abs() {
        s if s >= 0.5 => (per_second, "second"),
        s if s * 60.0 >= 0.5 => (per_second * 60.0, "minute"),
        _ => (per_second * 3600.0, "hour"),
    };
    let digits = usize::from(value.abs() < 9.95);
    format!("{value:.digits$} per {unit}")
}

/// A number with at most `decimals` decimals and without zeros at their end, more decimals where it is smaller than
/// they show: `1.02`, `.0014` as `0.0014`, `96`.
pub fn number(value: f64, decimals: usize) -> String {
    let needed = if value == 0.0 || !value.is_finite() {
        decimals
    } else {
        // Two significant digits of what is small; beyond twelve decimals it is zero to any reader.
        (0..=12)
            .find(|&k| value.abs() * 10_f64.powi(k) >= 10.0)
            .map_or(12, |k| usize::try_from(k).unwrap_or(decimals))
            .max(decimals)
    };
    let small = value.abs() < 10_f64.powi(-i32::try_from(decimals).unwrap_or(0));
    let text = format!("{value:.*}", if small { needed } else { decimals });
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" { "0" } else { text }.to_owned()
}

/// A duration in the two largest units that matter: `45 s`, `2 min 10 s`, `3 h 20 min`, `5 days`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "for ever".to_owned();
    }
    if seconds < 10.0 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    let whole = seconds.round() as u64;
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => pair(whole / 60, "min", whole % 60, "s"),
        3_600..172_800 => pair(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        172_800..31_536_000 => pair(whole / 86_400, "days", whole % 86_400 / 3_600, "h"),
        _ => pair(
            whole / 31_536_000,
            "years",
            whole % 31_536_000 / 86_400,
            "days",
        ),
    }
}

/// `1 thread`, `2 threads`, `2 processes`, `2 entries`.
pub fn plural(count: u64, noun: &str) -> String {
    if count == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ if noun.ends_with('s') => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

/// Bytes: `512KiB`, `2MB`, `64k`, `4096`. Units with an `i`, and single letters, count in 1,024; those
/// with a `B` alone in 1,000.
///
/// # Errors
/// What is wrong with it, and how sizes are written.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let help = || format!("{text:?} is no size; write it as 512KiB, 2MB or 4096");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| help())?;
    let unit = unit.trim().to_ascii_lowercase();
    let (step, letter) = match unit.as_bytes() {
        [] | [b'b'] => (1.0, b'b'),
        [letter] | [letter, b'i', b'b'] => (1024.0, *letter),
        [letter, b'b'] => (1000.0, *letter),
        _ => return Err(help()),
    };
    let power = match letter {
        b'b' => 0,
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        _ => return Err(help()),
    };
    let bytes = (number * f64::powi(step, power)).round();
    if bytes > 9.0e15 {
        return Err(format!("{text} is more than can be counted"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative, below 2^53"
    )]
    Ok(bytes as u64)
}

/// Foreign bytes (names of processes, threads, files) as text that cannot move a terminal's cursor:
/// control characters and what is not UTF-8 become `\xNN`, a backslash becomes `\\`.
pub fn printable(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() || is_bidi_control(c) => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        push_escaped(&mut text, byte);
                    }
                }
                c => text.push(c),
            }
        }
        for &byte in chunk.invalid() {
            push_escaped(&mut text, byte);
        }
    }
    text
}

fn push_escaped(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}

/// Characters that reorder what follows them: a name must not be able to disguise a line.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_never_1024() {
        for (value, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1023.6, "1.00 KiB"),
            (1024.0 * 1023.9, "1.00 MiB"),
            (1024.0 * 512.0, "512 KiB"),
            (1.25 * 1024.0 * 1024.0 * 1024.0, "1.25 GiB"),
            (-3.1 * 1024.0 * 1024.0, "-3.10 MiB"),
            (12.34 * 1024.0 * 1024.0, "12.3 MiB"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
        }
        assert_eq!(signed_bytes(2048.0), "+2.00 KiB");
        assert_eq!(signed_bytes(0.0), "0 B");
    }

    #[test]
    fn rates_choose_a_readable_unit_of_time() {
        assert_eq!(rate(0.0), "0 B/s");
        assert_eq!(rate(1024.0 * 1024.0), "1.00 MiB/s");
        assert_eq!(rate(1024.0 * 1024.0 / 60.0), "1.00 MiB/min");
        assert_eq!(rate(1024.0 * 1024.0 / 3600.0), "1.00 MiB/h");
        assert_eq!(rate(-1024.0 * 5.0), "-300 KiB/min");
        // Alone, these would be 5.97 MiB/min and 100 KiB/s.
        assert_eq!(
            rates(1024.0 * 99.0, 1024.0 * 101.0),
            "99.0 KiB/s to 101 KiB/s"
        );
        assert_eq!(rates(-1024.0 * 5.0, 0.0), "-300 KiB/min to 0 B/min");
        assert_eq!(rates(0.0, 0.0), "0 B/s to 0 B/s");
    }

    #[test]
    fn nouns_have_plurals() {
        let told = ["thread", "process", "entry", "key"].map(|noun| plural(2, noun));
        assert_eq!(told, ["2 threads", "2 processes", "2 entries", "2 keys"]);
        assert_eq!(plural(1, "process"), "1 process");
    }

    #[test]
    fn numbers_show_what_matters_of_them() {
        for (value, decimals, text) in [
            (1.02, 2, "1.02"),
            (1.0, 2, "1"),
            (0.0014, 2, "0.0014"),
            (1.0 / 720.0, 2, "0.0014"),
            (96.0, 0, "96"),
            (-812.347, 2, "-812.35"),
            (100.0, 0, "100"),
            (-0.0, 1, "0"),
            (1e-30, 2, "0"),
        ] {
            assert_eq!(number(value, decimals), text, "{value}");
        }
    }

    #[test]
    fn durations_show_two_units() {
        for (seconds, text) in [
            (3.25, "3.2 s"),
            (45.0, "45 s"),
            (130.0, "2 min 10 s"),
            (7_800.0, "2 h 10 min"),
            (172_800.0, "2 days"),
            (f64::INFINITY, "for ever"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn foreign_bytes_cannot_break_a_line_or_a_terminal() {
        assert_eq!(
            printable(b"a b)\n\x1b[2J\xff\\"),
            "a b)\\x0a\\x1b[2J\\xff\\\\"
        );
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\xe2\\x80\\xaeb");
    }

    #[test]
    fn sizes_are_read_in_both_systems() {
        let good = [
            ("4096", 4096),
            ("512KiB", 524_288),
            ("512 kib", 524_288),
            ("64k", 65_536),
            ("2MB", 2_000_000),
            ("1.5MiB", 1_572_864),
            ("1G", 1 << 30),
            ("7b", 7),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "-1",
            "1e3",
            "5 apples",
            "1KiBB",
            "9999999TiB",
            "1..2",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
