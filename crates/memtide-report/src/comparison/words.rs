//! The sentences and numbers of a comparison, for the text, the page and the picture alike.
//!
//! A ratio is shown as the change that it is: 0.69 is "-31 %", 4.2 is "×4.2". Nothing here is escaped.

use crate::chart::ticks;
use crate::sentences;
use crate::terminal::table::UNKNOWN;
use memtide_model::comparison::{
    Arm, Compared, Comparison, ComparisonKind, Ratio, StackDifference, Trial,
};
use memtide_model::{Shape, text};

/// From this ratio on a change is told as a multiple: "+900 %" is hard to read.
const MULTIPLE: f64 = 2.0;

/// A change of the median: "-31 %", "+2.4 %", "×4.2"; a dash where it is not known.
pub(super) fn change(ratio: Option<Ratio>) -> String {
    let value = ratio.map(|ratio| ratio.value).filter(|v| v.is_finite());
    value.map_or_else(
        || UNKNOWN.to_owned(),
        |value| match value {
            v if v >= MULTIPLE => multiple(v),
            v => format!("{} %", per_cent(v, near_one(v))),
        },
    )
}

/// The interval of a change: "-34 to -27 %", "×3.9 to ×4.4".
pub(super) fn interval(ratio: Option<Ratio>) -> String {
    let ends = ratio.map(|ratio| (ratio.low, ratio.high));
    let Some((low, high)) = ends.filter(|(low, high)| low.is_finite() && high.is_finite()) else {
        return UNKNOWN.to_owned();
    };
    if high >= MULTIPLE {
        return format!("{} to {}", multiple(low), multiple(high));
    }
    let fine = near_one(low) && near_one(high);
    format!("{} to {} %", per_cent(low, fine), per_cent(high, fine))
}

/// A change with its interval: "-31 % (-34 to -27 %)"; `None` where it is not known.
pub(super) fn change_within(ratio: Option<Ratio>) -> Option<String> {
    let change = change(ratio);
    let interval = interval(ratio);
    match (change.as_str(), interval.as_str()) {
        (UNKNOWN, _) => None,
        (_, UNKNOWN) => Some(change),
        _ => Some(format!("{change} ({interval})")),
    }
}

/// True where per cent have a decimal: under ten of them.
fn near_one(ratio: f64) -> bool {
    ((ratio - 1.0) * 100.0).abs() < 9.95
}

fn per_cent(ratio: f64, fine: bool) -> String {
    let value = (ratio - 1.0) * 100.0;
    let written = format!("{value:+.*}", usize::from(fine));
    // What rounds to nothing has neither sign nor decimals.
    let digits = written.trim_start_matches(['+', '-']);
    if digits.trim_matches(['0', '.']).is_empty() {
        return "0".to_owned();
    }
    written
}

fn multiple(ratio: f64) -> String {
    let digits = usize::from(ratio.abs() < 99.5);
    format!("×{ratio:.digits$}")
}

/// The p of a test: corrected for the number of arms where it was; "0.012", "< 0.001".
pub(super) fn p(ratio: Option<Ratio>) -> String {
    let p = ratio.and_then(|ratio| ratio.p_corrected.or(ratio.p));
    match p.filter(|p| p.is_finite()) {
        None => UNKNOWN.to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) if p < 0.1 => format!("{p:.3}"),
        Some(p) => format!("{p:.2}"),
    }
}

/// Whether a difference is shown: "yes", "no", or "open" where too few runs allowed no test.
pub(super) fn differs(ratio: Option<Ratio>) -> String {
    let word = ratio.map(|ratio| match (ratio.differs, ratio.p) {
        (true, _) => "yes",
        (false, Some(_)) => "no",
        (false, None) => "open",
    });
    word.unwrap_or(UNKNOWN).to_owned()
}

/// The smallest change that would have been shown: "9 %".
pub(super) fn detectable(ratio: Option<Ratio>) -> String {
    let share = ratio.and_then(|ratio| ratio.detectable);
    match share.filter(|share| share.is_finite()) {
        None => UNKNOWN.to_owned(),
        Some(share) if share < 0.0995 => format!("{:.1} %", share * 100.0),
        Some(share) => format!("{:.0} %", share * 100.0),
    }
}

/// Bytes, or a dash.
pub(super) fn bytes(value: Option<f64>) -> String {
    known(value, text::bytes)
}

/// A rate of growth, or a dash.
pub(super) fn rate(value: Option<f64>) -> String {
    known(value, text::rate)
}

/// CPU time, or a dash.
pub(super) fn cpu(value: Option<f64>) -> String {
    known(value, sentences::cpu_time)
}

/// A duration, or a dash.
pub(super) fn duration(value: Option<f64>) -> String {
    known(value, text::duration)
}

/// A number without a unit that memtide knows, with three or more digits: "12,345", "1.25", "0.00312".
pub(super) fn number(value: Option<f64>) -> String {
    known(value, |value| match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-4..1e15).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => ticks::decimal(value.round()),
        size if size >= 1.0 => ticks::decimal(value),
        _ => format!("{value:.5}").trim_end_matches('0').to_owned(),
    })
}

fn known(value: Option<f64>, print: impl Fn(f64) -> String) -> String {
    value
        .filter(|value| value.is_finite())
        .map_or_else(|| UNKNOWN.to_owned(), print)
}

/// Runs of an arm whose numbers are used.
pub(super) fn good(arm: &Arm) -> impl Iterator<Item = &Trial> {
    let stands = arm.failed.is_none();
    arm.runs
        .iter()
        .filter(move |run| stands && run.failed.is_none())
}

/// The run that stands for its arm: of those that did not fail the one with the median RSS after settling.
pub(super) fn typical(arm: &Arm) -> Option<&Trial> {
    let mut runs: Vec<_> = good(arm).collect();
    runs.sort_by_key(|run| run.settled_rss);
    let middle = runs.len().saturating_sub(1) / 2;
    runs.get(middle).copied()
}

/// True where a growth rate stands for the course of a run. That of an unclear course is shown with its
/// interval, because the change against the baseline is reckoned from it.
pub(super) fn has_rate(run: Option<&Trial>) -> bool {
    let shape = run.and_then(|run| run.shape);
    shape.is_none_or(|shape| shape.has_rate() || shape == Shape::Unclear)
}

/// What an arm is called in tables and charts: an allocator as it was given, but a long one without the
/// settings that it shares with all arms of its kind, which tell nothing apart; a recording by a letter, which fits into every
/// table, and by its name, of which a long one is cut to that of its file.
pub(super) fn name(comparison: &Comparison, index: usize) -> String {
    let arm = comparison
        .arms
        .get(index)
        .map_or("", |arm| arm.arm.as_str());
    match comparison.of {
        Compared::Allocators => without_common(&comparison.arms, arm),
        Compared::Recordings => {
            let is_long = arm.chars().count() > LONG_NAME;
            let file = arm.rsplit('/').next().filter(|_| is_long);
            format!("{} {}", letter(index), file.unwrap_or(arm))
        }
    }
}

/// Characters that a name may have before what it shares with others is left out.
const LONG_NAME: usize = 28;

/// "jemalloc:decay=1,background=true" as "jemalloc:decay=1,…" beside "jemalloc:decay=5,background=true".
fn without_common(arms: &[Arm], name: &str) -> String {
    let parts = |name: &str| -> Option<(String, Vec<String>)> {
        let (kind, settings) = name.split_once(':')?;
        Some((
            kind.to_owned(),
            settings.split(',').map(str::to_owned).collect(),
        ))
    };
    let Some((kind, settings)) = parts(name).filter(|_| name.chars().count() > LONG_NAME) else {
        return name.to_owned();
    };
    let others: Vec<_> = arms
        .iter()
        .filter(|arm| arm.arm != name)
        .filter_map(|arm| parts(&arm.arm).filter(|(other, _)| *other == kind))
        .collect();
    let shared = |setting: &String| others.iter().all(|(_, other)| other.contains(setting));
    let own: Vec<_> = settings.iter().filter(|s| !shared(s)).cloned().collect();
    if others.is_empty() || own.is_empty() || own.len() == settings.len() {
        return name.to_owned();
    }
    format!("{kind}:{},…", own.join(","))
}

/// The letter of a recording, and a number after the last letter.
pub(super) fn letter(index: usize) -> String {
    let letter = u8::try_from(index).ok().filter(|index| *index < 26);
    letter.map_or_else(
        || (index + 1).to_string(),
        |index| char::from(b'A' + index).to_string(),
    )
}

/// Where the baseline stands among the arms; the first where none has its name.
pub(super) fn baseline(comparison: &Comparison) -> usize {
    let named = |arm: &Arm| arm.arm == comparison.baseline;
    comparison.arms.iter().position(named).unwrap_or(0)
}

/// What was compared: "4 allocators, 6 runs each, of redis-server".
pub(super) fn subject(comparison: &Comparison) -> String {
    let arms = comparison.arms.len() as u64;
    match comparison.of {
        Compared::Recordings => format!(
            "{}, held against {}",
            text::plural(arms, "recording"),
            name(comparison, baseline(comparison))
        ),
        Compared::Allocators => format!(
            "{}, {} each, of {}",
            text::plural(arms, "arm"),
            text::plural(comparison.runs, "run"),
            crate::escape::name(&comparison.command.join(" "))
        ),
    }
}

/// The answer in a few words.
pub(super) fn kind(comparison: &Comparison) -> String {
    let verdict = &comparison.verdict;
    match verdict.kind {
        ComparisonKind::Take => match &verdict.arm {
            Some(arm) => {
                let stays = *arm == comparison.baseline;
                let what = if stays { "stay with" } else { "take" };
                format!("{what} {}", crate::escape::clip(arm, 80))
            }
            None => "take another allocator".to_owned(),
        },
        ComparisonKind::NoDifference => "no difference shown".to_owned(),
        ComparisonKind::NoneHelps => "no allocator helps".to_owned(),
        ComparisonKind::Better => "better".to_owned(),
        ComparisonKind::Worse => "worse".to_owned(),
        ComparisonKind::Undetermined => "undetermined".to_owned(),
    }
}

/// What an arm changes, each with its interval: what is known of memory, CPU, time and growth.
pub(super) fn numbers(of: Compared, arm: &Arm) -> Vec<(&'static str, String)> {
    let rows = match of {
        Compared::Allocators => [
            ("RSS after settling", arm.settled_rss_ratio),
            ("CPU", arm.cpu_ratio),
            ("Time", arm.wall_ratio),
            ("Growth rate", arm.growth_ratio),
        ],
        Compared::Recordings => [
            ("Growth rate", arm.growth_ratio),
            ("RSS at the end", arm.settled_rss_ratio),
            ("Peak RSS", arm.peak_rss_ratio),
            ("CPU", arm.cpu_ratio),
        ],
    };
    rows.into_iter()
        .filter_map(|(what, ratio)| Some((what, change_within(ratio)?)))
        .collect()
}

/// How the numbers were judged.
pub(super) fn statistics(comparison: &Comparison) -> String {
    if comparison.of == Compared::Recordings {
        return "rates differ where their intervals of 90 % do not overlap and the difference matters \
                over the length of the recordings; levels are shown and not judged, because one run \
                has no spread"
            .to_owned();
    }
    let statistics = &comparison.statistics;
    let alpha = statistics.alpha;
    let intervals = format!(
        "intervals are of 90 %, from {} resamples",
        statistics.resamples
    );
    let (tested, tests) = (statistics.tested, statistics.tests);
    let correction = match (tested, tests) {
        (0 | 1, 0 | 1) => String::new(),
        _ if tests > tested => format!(
            " after correction for {tests} tests of memory and growth together, and for {} by any other measure (Holm)",
            text::plural(tested, "arm")
        ),
        _ => format!(" after correction for {tested} arms (Holm), each measure by itself"),
    };
    let runs = text::plural(comparison.runs, "run");
    format!(
        "{runs} of each arm, interleaved and shuffled by seed {}; a difference counts as shown where p is \
         at most {alpha}{correction}, for which {} of each are needed, and the interval leaves out 0 %; {intervals}",
        comparison.seed,
        text::plural(statistics.runs_needed, "run")
    )
}

/// What watching cost, on the whole and in the arms where it cost least and most.
pub(super) fn overhead(comparison: &Comparison) -> String {
    let overhead = &comparison.overhead;
    let heap = if overhead.heap_read {
        "the heap was read where that is possible"
    } else {
        "the heap was not read"
    };
    let percent = |share: f64| format!("{share:.2} %");
    let arms = comparison.arms.iter().enumerate();
    let mut each: Vec<(f64, usize)> = arms
        .filter_map(|(index, arm)| Some((arm.watching_percent?, index)))
        .collect();
    each.sort_by(|a, b| a.0.total_cmp(&b.0));
    let spread = match (each.first(), each.last()) {
        (Some(&(least, _)), Some(&(most, _))) if percent(least) == percent(most) => {
            ", the same in every arm".to_owned()
        }
        (Some(&(least, quick)), Some(&(most, slow))) => format!(
            ": from {} under {} to {} under {}",
            percent(least),
            name(comparison, quick),
            percent(most),
            name(comparison, slow)
        ),
        _ => String::new(),
    };
    format!(
        "watching took {} of one core, with a budget of {} % in every arm{spread}; {heap}",
        percent(overhead.used_percent),
        overhead.budget_percent
    )
}

/// How a stack's rate changed: "+1.20 MiB/min: from 0 B/s to 1.20 MiB/min".
pub(super) fn stack_rates(stack: &StackDifference) -> String {
    let old = stack.baseline_bytes_per_second;
    let new = stack.bytes_per_second;
    let sign = if stack.difference > 0.0 { "+" } else { "" };
    let ends = match (old.filter(|r| r.is_finite()), new.filter(|r| r.is_finite())) {
        (None, None) => String::new(),
        (None, Some(new)) => format!(": {}, new", text::rate(new)),
        (Some(old), None) => format!(": from {}, gone", text::rate(old)),
        (Some(old), Some(new)) => {
            format!(": from {} to {}", text::rate(old), text::rate(new))
        }
    };
    format!("{sign}{}{ends}", rate(Some(stack.difference)))
}

/// What a stack held: "live 80.0 MiB, 3.00 MiB before".
pub(super) fn stack_live(stack: &StackDifference) -> String {
    format!(
        "live {}, in the baseline {}",
        text::bytes(stack.live_bytes as f64),
        text::bytes(stack.baseline_live_bytes as f64)
    )
}

/// The arms that a user can set up: which did not fail, and have an environment.
pub(super) fn environments(comparison: &Comparison) -> impl Iterator<Item = &Arm> {
    let shown = |arm: &&Arm| arm.failed.is_none() && !arm.environment.is_empty();
    comparison.arms.iter().filter(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64, high: f64) -> Ratio {
        Ratio {
            value,
            low,
            high,
            p: Some(0.004),
            p_corrected: None,
            differs: true,
            detectable: None,
        }
    }

    #[test]
    fn ratios_read_as_changes() {
        for (value, low, high, shown) in [
            (0.69, 0.66, 0.732, "-31 % (-34 to -27 %)"),
            (1.024, 0.991, 1.052, "+2.4 % (-0.9 to +5.2 %)"),
            (1.0, 0.98, 1.3, "0 % (-2 to +30 %)"),
            (0.0, 0.0, 0.02, "-100 % (-100 to -98 %)"),
            (-0.2, -0.5, 0.1, "-120 % (-150 to -90 %)"),
            (1.0004, 0.9998, 1.0003, "0 % (0 to 0 %)"),
            (4.21, 3.9, 4.44, "×4.2 (×3.9 to ×4.4)"),
            (1.9, 1.7, 2.1, "+90 % (×1.7 to ×2.1)"),
        ] {
            let text = change_within(Some(ratio(value, low, high))).unwrap();
            assert_eq!(text, shown, "{value} {low} {high}");
        }
        assert_eq!(change_within(None), None);
        assert_eq!(change_within(Some(ratio(f64::NAN, 0.0, 1.0))), None);
        assert_eq!(
            change_within(Some(ratio(0.5, f64::NAN, 1.0))).as_deref(),
            Some("-50 %")
        );
    }

    #[test]
    fn numbers_without_a_unit_keep_their_digits() {
        for (value, shown) in [
            (0.0, "0"),
            (1_234_567.8, "1,234,568"),
            (12.345, "12.35"),
            (-0.25, "-0.25"),
            (0.00312, "0.00312"),
            (4.2e-9, "4.20e-9"),
            (2.0e20, "2.00e20"),
        ] {
            assert_eq!(number(Some(value)), shown);
        }
        assert_eq!(number(Some(f64::INFINITY)), "-");
    }

    #[test]
    fn recordings_have_letters_and_then_numbers() {
        assert_eq!(letter(0), "A");
        assert_eq!(letter(25), "Z");
        assert_eq!(letter(26), "27");
    }
}
