//! Round numbers for the axes.
//!
//! Memory is counted in powers of 1,024, so a round number is 700 MiB or 1.25 GiB, never 734,003,200
//! bytes. Labels of ticks are printed here and not by [`memtide_model::text`], because a tick is exact:
//! "1 GiB", not "1.00 GiB", and "10,020 MiB" where neighbours would read the same in GiB.

/// A tick: its value and its label.
pub(crate) type Tick = (f64, String);

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// Round sizes from `low` to `high`, about `count` of them.
pub(crate) fn sizes(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return Vec::new();
    }
    let wanted = (span / count.max(1) as f64).max(1.0);
    let mut power = 0;
    while power + 1 < UNITS.len() && wanted >= 1024_f64.powi(exponent(power + 1)) {
        power += 1;
    }
    let unit = 1024_f64.powi(exponent(power));
    // Steps of 200 MiB would pass 1 GiB between two ticks: from there on halves and quarters of the
    // next unit are the round numbers.
    let crosses = high >= 1024.0 * unit && high / unit < 6.0 * 1024.0 && power + 1 < UNITS.len();
    let zoomed = low > 1024.0 * unit;
    let steps: &[f64] = if crosses && !zoomed {
        &[256.0, 512.0, 1024.0]
    } else {
        &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1024.0]
    };
    let step = unit * nearest(steps, wanted / unit);
    multiples(low, high, step)
        .map(|value| (value, size_label(value, step, power)))
        .collect()
}

fn exponent(power: usize) -> i32 {
    i32::try_from(power).unwrap_or(0)
}

/// The step at or above the wanted one, unless the one below is much nearer.
fn nearest(steps: &[f64], wanted: f64) -> f64 {
    let ratio = |step: f64| (step / wanted).max(wanted / step);
    steps
        .iter()
        .copied()
        .min_by(|a, b| ratio(*a).total_cmp(&ratio(*b)))
        .unwrap_or(1.0)
}

fn multiples(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - 1e-9).ceil();
    (0..64)
        .map(move |index| (first + f64::from(index)) * step)
        .take_while(move |value| *value <= high * (1.0 + 1e-9))
}

/// In the largest unit in which the tick has at most two decimals, else in the step's own unit.
fn size_label(value: f64, step: f64, power: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let quarter = |amount: f64| (amount * 4.0).fract() == 0.0;
    for upper in (power..UNITS.len()).rev() {
        let unit = 1024_f64.powi(exponent(upper));
        let step_fits = upper == power || quarter(step / unit) || value.abs() < 1024.0 * unit;
        if value.abs() >= unit && quarter(value / unit) && quarter(step / unit) && step_fits {
            return format!("{} {}", decimal(value / unit), UNITS[upper]);
        }
    }
    let unit = 1024_f64.powi(exponent(power));
    format!("{} {}", decimal(value / unit), UNITS[power])
}

/// Up to two decimals, thousands apart: "1.25", "10,020".
pub(crate) fn decimal(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text, ""), |(whole, part)| (whole, part));
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

/// Steps of time in seconds, with the unit in which their ticks are labelled.
const STEPS: [(f64, f64, &str); 30] = [
    (0.01, 1.0, "s"),
    (0.02, 1.0, "s"),
    (0.05, 1.0, "s"),
    (0.1, 1.0, "s"),
    (0.2, 1.0, "s"),
    (0.5, 1.0, "s"),
    (1.0, 1.0, "s"),
    (2.0, 1.0, "s"),
    (5.0, 1.0, "s"),
    (10.0, 1.0, "s"),
    (20.0, 1.0, "s"),
    (60.0, 60.0, "min"),
    (120.0, 60.0, "min"),
    (300.0, 60.0, "min"),
    (600.0, 60.0, "min"),
    (900.0, 60.0, "min"),
    (1_800.0, 60.0, "min"),
    (3_600.0, 3_600.0, "h"),
    (7_200.0, 3_600.0, "h"),
    (14_400.0, 3_600.0, "h"),
    (21_600.0, 3_600.0, "h"),
    (43_200.0, 3_600.0, "h"),
    (86_400.0, 86_400.0, "days"),
    (172_800.0, 86_400.0, "days"),
    (432_000.0, 86_400.0, "days"),
    (864_000.0, 86_400.0, "days"),
    (1_728_000.0, 86_400.0, "days"),
    (4_320_000.0, 86_400.0, "days"),
    (8_640_000.0, 86_400.0, "days"),
    (31_536_000.0, 86_400.0, "days"),
];

/// Round times from `low`, but not before 0, to `high` in seconds, at most about `count` of them.
pub(crate) fn times(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return Vec::new();
    }
    let wanted = span / count.max(1) as f64;
    let (step, unit, name) = STEPS
        .into_iter()
        .find(|(step, ..)| *step >= wanted)
        .unwrap_or(STEPS[STEPS.len() - 1]);
    multiples(low.max(0.0), high, step)
        .map(|value| {
            let label = match value / unit {
                0.0 => "0".to_owned(),
                1.0 if name == "days" => "1 day".to_owned(),
                amount => format!("{} {name}", decimal(amount)),
            };
            (value, label)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1024.0 * 1024.0;
    const GIB: f64 = 1024.0 * MIB;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn sizes_are_round_in_their_own_unit() {
        let ticks = sizes(0.0, 730.0 * MIB, 6);
        assert_eq!(
            labels(&ticks),
            [
                "0", "100 MiB", "200 MiB", "300 MiB", "400 MiB", "500 MiB", "600 MiB", "700 MiB"
            ]
        );
        assert!((ticks[7].0 - 700.0 * MIB).abs() < 1.0);
        assert_eq!(
            labels(&sizes(0.0, 1.3 * GIB, 5)),
            ["0", "256 MiB", "512 MiB", "768 MiB", "1 GiB", "1.25 GiB"]
        );
        assert_eq!(
            labels(&sizes(0.0, 5.2 * GIB, 5)),
            ["0", "1 GiB", "2 GiB", "3 GiB", "4 GiB", "5 GiB"]
        );
        assert_eq!(
            labels(&sizes(0.0, 1100.0, 5)),
            ["0", "256 B", "512 B", "768 B", "1 KiB"]
        );
    }

    #[test]
    fn neighbouring_labels_never_read_the_same() {
        for low in [0.0, 3.0 * MIB, 9.76 * GIB, 10_240.0 * GIB] {
            for share in [2.0, 0.1, 0.004, 0.0006] {
                let high = low + (low * share).max(65_536.0);
                let ticks = sizes(low, high, 5);
                assert!((2..=12).contains(&ticks.len()), "{low} {high}: {ticks:?}");
                for pair in ticks.windows(2) {
                    assert_ne!(pair[0].1, pair[1].1, "{ticks:?}");
                }
                assert!(
                    ticks
                        .iter()
                        .all(|(value, _)| (low - 1.0..=high * 1.001).contains(value))
                );
            }
        }
    }

    #[test]
    fn times_choose_their_unit() {
        assert_eq!(
            labels(&times(0.0, 30.0, 7)),
            ["0", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]
        );
        assert_eq!(
            labels(&times(0.0, 72_000.0, 6)),
            ["0", "4 h", "8 h", "12 h", "16 h", "20 h"]
        );
        let month = times(0.0, 30.0 * 86_400.0, 7);
        assert_eq!(labels(&month)[..3], ["0", "5 days", "10 days"]);
    }

    #[test]
    fn an_empty_or_broken_range_has_no_ticks() {
        assert!(sizes(5.0, 5.0, 5).is_empty());
        assert!(sizes(0.0, f64::NAN, 5).is_empty());
        assert!(times(1.0, 0.0, 5).is_empty());
    }
}
