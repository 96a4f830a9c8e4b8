//! How values on the command line are written.

use memtide_report::flamegraph::What;
use std::time::Duration;

/// A duration as `humantime` reads it: `500ms`, `30s`, `10m`, `2h 30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 500ms, 30s, 10m or \"2h 30m\""))
}

/// What a flame graph shows, by its name.
pub(crate) fn parse_what(text: &str) -> Result<What, String> {
    What::from_name(text).ok_or_else(|| {
        let names = What::ALL.map(What::name).join(", ");
        format!("give one of {names}")
    })
}

/// Bytes: `512KiB`, `2MB`, `64k`, `4096`. Units with an `i`, and single letters, count in 1,024; those
/// with a `B` alone in 1,000.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
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

#[cfg(test)]
mod tests {
    use super::parse_bytes;

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
