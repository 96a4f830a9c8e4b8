//! A comparison in words: ratios as "41 % less (39 to 43 %)", and what an arm costs and saves in a sentence.

use super::arms::runs;
use crate::statistics::quantile::floor_index;
use memtide_model::comparison::{Arm, Medians, Ratio};
use memtide_model::text;

/// "3.2 %", "41 %".
pub(super) fn percent(share: f64) -> String {
    format!("{} %", number(share, digits(share)))
}

/// Shares below a tenth with a digit behind the point.
fn digits(share: f64) -> usize {
    usize::from((100.0 * share).abs() < 9.95)
}

fn number(share: f64, digits: usize) -> String {
    // What rounds to zero has no sign.
    let rounded = format!("{:.digits$}", 100.0 * share);
    match rounded.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| matches!(c, '0' | '.')) => zero.to_owned(),
        _ => rounded,
    }
}

/// "41 % less (39 to 43 %)", "3.0 % more (1.0 to 5.0 %)", "2.5 times as much (2.4 to 2.7)".
pub(super) fn change(ratio: &Ratio) -> String {
    in_words(ratio, "less", "more", "as much")
}

/// "60 % more slowly (50 to 70 %)", "2.5 times as fast (2.4 to 2.7)".
pub(super) fn pace(ratio: &Ratio) -> String {
    in_words(ratio, "more slowly", "faster", "as fast")
}

fn in_words(ratio: &Ratio, less: &str, more: &str, as_much: &str) -> String {
    let Ratio {
        value, low, high, ..
    } = *ratio;
    if value >= 2.0 {
        return format!("{value:.1} times {as_much} ({low:.1} to {high:.1})");
    }
    let (share, from, to, word) = if value < 1.0 {
        (1.0 - value, 1.0 - high, 1.0 - low, less)
    } else {
        (value - 1.0, low - 1.0, high - 1.0, more)
    };
    let digits = digits(share);
    let (from, to) = (number(from, digits), number(to, digits));
    format!("{} {word} ({from} to {to} %)", percent(share))
}

/// The smallest saving that could have been seen: the change that is detectable, downwards.
pub(super) fn detectable_saving(ratio: &Ratio) -> Option<f64> {
    ratio.detectable.map(|share| share / (1.0 + share))
}

/// "no difference in CPU time is shown: 2.0 % less (-3.0 to 7.0 %), and 4.0 % could have been seen".
fn none_shown(of: &str, ratio: &Ratio, detectable: Option<f64>) -> String {
    let found = format!("no difference in {of} is shown: {}", change(ratio));
    match detectable {
        Some(share) if share >= 1.0 => format!(
            "{found}, and only {:.1} times as much could have been seen",
            1.0 + share
        ),
        Some(share) => format!("{found}, and {} could have been seen", percent(share)),
        None => found,
    }
}

/// What an arm costs: "it takes 3.0 % more CPU time (1.0 to 5.0 %)", or that nothing is shown.
pub(super) fn cost(ratio: Option<&Ratio>, of: &str) -> Option<String> {
    let ratio = ratio?;
    Some(if ratio.differs {
        let change = change(ratio);
        let (amount, interval) = change.split_once(" (")?;
        format!("it takes {amount} {of} ({interval}")
    } else {
        none_shown(of, ratio, ratio.detectable)
    })
}

/// "p = 0.004 after correction for 3 tests".
pub(super) fn chance(ratio: &Ratio, tests: u64) -> String {
    let p = ratio.p_corrected.or(ratio.p).unwrap_or(1.0);
    let p = if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    if ratio.p_corrected.is_some() && tests > 1 {
        format!("{p} after correction for {tests} tests")
    } else {
        p
    }
}

/// "jemalloc: 61.2 MiB after settling, 41 % less (39 to 43 %), p = 0.004.", or that no difference is shown.
pub(super) fn settled(arm: &Arm, baseline: &Arm, tests: u64) -> Option<String> {
    let ratio = arm.settled_rss_ratio.as_ref()?;
    let size = text::bytes(arm.median.settled_rss?);
    let other = text::bytes(baseline.median.settled_rss?);
    let judged = if ratio.differs {
        format!("{}, {}", change(ratio), chance(ratio, tests))
    } else {
        none_shown("memory", ratio, detectable_saving(ratio))
    };
    Some(format!(
        "{}: RSS after settling is {size} ({}), against {other} under {}: {judged}.",
        arm.arm,
        median_of(arm),
        baseline.arm
    ))
}

fn median_of(arm: &Arm) -> String {
    format!("median of {}", text::plural(runs(arm), "run"))
}

/// The measures beside the tested one, each with both medians: peak, CPU, time, the load's metric.
pub(super) fn beside(arm: &Arm, baseline: &Arm) -> Vec<String> {
    let row = |name, ratio: Option<Ratio>, of: fn(&Medians) -> Option<f64>, show: Show| {
        let (ratio, here, there) = (ratio?, of(&arm.median)?, of(&baseline.median)?);
        let judged = if ratio.differs {
            change(&ratio)
        } else {
            none_shown("it", &ratio, ratio.detectable)
        };
        let (here, there) = (show(here), show(there));
        Some(format!("{name}: {here} against {there}: {judged}."))
    };
    let rows = [
        row("Peak RSS", arm.peak_rss_ratio, |m| m.peak_rss, text::bytes),
        row("CPU time", arm.cpu_ratio, |m| m.cpu_seconds, text::duration),
        row("Time", arm.wall_ratio, |m| m.wall_seconds, text::duration),
        row("The load's metric", arm.metric_ratio, |m| m.metric, plain),
    ];
    rows.into_iter().flatten().collect()
}

/// How a number is printed.
type Show = fn(f64) -> String;

/// A number without a unit that is known: five digits, as many of them behind the point as it takes.
fn plain(value: f64) -> String {
    let whole = value.abs().max(1.0).log10().floor();
    let digits = [4, 3, 2, 1]
        .into_iter()
        .nth(floor_index(whole))
        .unwrap_or(0);
    format!("{value:.digits$}")
}

/// What of the heap the program uses and what the allocator keeps, where both arms could be read.
pub(super) fn heap(arm: &Arm, baseline: &Arm) -> Option<String> {
    let (here, there) = (&arm.median, &baseline.median);
    Some(format!(
        "Live blocks take {} against {}; kept by the allocator and not used: {} against {}.",
        text::bytes(here.heap_live?),
        text::bytes(there.heap_live?),
        text::bytes(here.heap_retained?),
        text::bytes(there.heap_retained?)
    ))
}

/// "jemalloc grows by 1.20 MiB/s, 0.99 times the rate of glibc (0.97 to 1.02)."
pub(super) fn rate(arm: &Arm, baseline: &Arm) -> Option<String> {
    let ratio = arm.growth_ratio.as_ref()?;
    Some(format!(
        "Under {} memory grows by {} while the work is done, {:.2} times the rate under {} ({:.2} to {:.2}).",
        arm.arm,
        text::rate(arm.median.bytes_per_second?),
        ratio.value,
        baseline.arm,
        ratio.low,
        ratio.high
    ))
}

/// "a", "a and b", "a, b and c".
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64, high: f64) -> Ratio {
        Ratio {
            value,
            low,
            high,
            p: Some(0.002),
            p_corrected: None,
            differs: true,
            detectable: Some(0.25),
        }
    }

    #[test]
    fn changes_read_as_people_say_them() {
        for (given, words) in [
            (ratio(0.59, 0.57, 0.61), "41 % less (39 to 43 %)"),
            (ratio(1.03, 1.01, 1.05), "3.0 % more (1.0 to 5.0 %)"),
            (ratio(0.97, 0.95, 1.01), "3.0 % less (-1.0 to 5.0 %)"),
            (ratio(2.5, 2.41, 2.66), "2.5 times as much (2.4 to 2.7)"),
            (ratio(1.0, 0.9999, 1.0), "0.0 % more (0.0 to 0.0 %)"),
        ] {
            assert_eq!(change(&given), words);
        }
        assert_eq!(pace(&ratio(0.4, 0.3, 0.5)), "60 % more slowly (50 to 70 %)");
        assert_eq!(
            cost(Some(&ratio(1.03, 1.01, 1.05)), "CPU time").unwrap(),
            "it takes 3.0 % more CPU time (1.0 to 5.0 %)"
        );
        let (same, far) = (ratio(0.98, 0.93, 1.03), Some(13.4));
        assert_eq!(
            none_shown("time", &same, same.detectable),
            "no difference in time is shown: 2.0 % less (-3.0 to 7.0 %), and 25 % could have been seen"
        );
        assert!(
            none_shown("time", &same, far)
                .ends_with("and only 14.4 times as much could have been seen")
        );
        assert_eq!(detectable_saving(&ratio(1.0, 1.0, 1.0)), Some(0.2));
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
