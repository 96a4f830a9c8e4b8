//! Series that fall back: sawtooth, rising sawtooth, fluctuation.
//!
//! Turning points are found on a running median of three with a reversal of a quarter of the range.
//! With two falls or more it oscillates; the period is the record over the number of falls. What
//! grows under an oscillation shows in the troughs, the first left out (it is the start-up). They are a
//! period apart, hence nearly independent, and Kendall's S on them is exact: p < .005 from six troughs
//! on, p < .02 with five; fewer cannot prove anything, and the shape is unclear if they rise.
//!
//! Over level troughs it is a sawtooth if it falls fast, lies in its upper half for a fair share of the time (else
//! these are bursts), and has four falls or goes straight from one turning point to the next (else a
//! random walk would do as well). What is none fluctuates.

use super::Form;
use crate::statistics::quantile::{
    floor_index, median, median_of, robust_deviation, running_median,
};
use crate::statistics::zigzag::{Turn, turns};
use crate::statistics::{Series, kendall, least_squares, theil_sen};
use crate::thresholds::{
    BURSTS_SHARE, CLEAN_PATH, ENVELOPE_LEAST, ENVELOPE_MOST, ENVELOPE_PERIODS, FALLS,
    FEWER_TROUGHS_P, KIB, REVERSAL_MATERIAL, REVERSAL_SHARE, SAWTOOTH_FALL, TEETH,
    TROUGHS_DEVIATIONS, TROUGHS_MATERIAL, TROUGHS_P, TROUGHS_SURE,
};
use crate::trail::Trail;
use memtide_model::{Shape, Unit};

/// The form of an oscillating series; `None` with fewer than two falls.
pub(super) fn form(series: &Series, material: f64, trail: &mut Trail) -> Option<Form> {
    let threshold = (REVERSAL_SHARE * series.range()).max(REVERSAL_MATERIAL * material);
    let turns = turns(&running_median(&series.y, 3), threshold);
    let falls = falls(series, &turns);
    let count = falls.len() as f64;
    if !trail.at_least(
        "swings: falls by a quarter of it",
        count,
        Unit::Count,
        FALLS,
    ) {
        return None;
    }
    let period = series.span() / count;
    trail.tell("swings: period", period, Unit::Seconds);
    let troughs = troughs(series, &turns, falls.len());
    let slope = if troughs.len() >= 3 {
        theil_sen::slope(&troughs)
    } else {
        0.0
    };
    let fall_share = median(&falls) / period;
    let count = falls.len();
    let falls_fast = |trail: &mut Trail| {
        trail.below(
            "sawtooth: fall of the period",
            fall_share,
            Unit::Share,
            SAWTOOTH_FALL,
        ) && has_teeth(series, &turns, count, trail)
    };
    let shape = match rising(&troughs, slope, series.span(), material, trail) {
        Rising::Proven => Shape::RisingSawtooth,
        Rising::Possible => Shape::Unclear,
        Rising::No if falls_fast(trail) => Shape::Sawtooth,
        Rising::No => Shape::Fluctuating,
    };
    Some(Form {
        period: Some(period),
        falls: count,
        trough_slope: Some(slope),
        trough_error: (troughs.len() >= 3)
            .then(|| least_squares::slope_error(&troughs.t, &troughs.y)),
        troughs: troughs.len(),
        ..Form::of(shape)
    })
}

enum Rising {
    Proven,
    Possible,
    No,
}

fn rising(troughs: &Series, slope: f64, span: f64, material: f64, trail: &mut Trail) -> Rising {
    let rest: Vec<f64> = (troughs.t.iter().zip(&troughs.y))
        .map(|(t, y)| y - slope * t)
        .collect();
    let deviation = robust_deviation(&rest) + KIB;
    let least = (TROUGHS_MATERIAL * material).max(TROUGHS_DEVIATIONS * deviation);
    if !trail.above(
        "rising: rise of the troughs",
        slope * span,
        Unit::Bytes,
        least,
    ) {
        return Rising::No;
    }
    let p = kendall::p_rising(&troughs.y);
    let count = troughs.len();
    let (enough, most) = if count + 1 == TROUGHS_SURE {
        (TROUGHS_SURE - 1, FEWER_TROUGHS_P)
    } else {
        (TROUGHS_SURE, TROUGHS_P)
    };
    let sure = trail.at_least("rising: troughs", count as f64, Unit::Count, enough as f64)
        && trail.below("rising: Kendall's p of them", p, Unit::Number, most);
    if sure {
        Rising::Proven
    } else if count + 1 < TROUGHS_SURE && kendall::s(&troughs.y) == every_pair(count) {
        Rising::Possible
    } else {
        Rising::No
    }
}

/// True of enough falls or clean ones, over which it lies high for a fair share of the time.
fn has_teeth(series: &Series, turns: &[Turn], falls: usize, trail: &mut Trail) -> bool {
    (trail.at_least("sawtooth: falls", falls as f64, Unit::Count, TEETH as f64)
        || trail.at_most(
            "sawtooth: path over the straight way",
            detour(series, turns),
            Unit::Number,
            CLEAN_PATH,
        ))
        && trail.at_least(
            "sawtooth: time in its upper half",
            high_share(series, turns),
            Unit::Share,
            BURSTS_SHARE,
        )
}

/// The path over the straight way through the turning points: 1 if it does not turn round between them.
fn detour(series: &Series, turns: &[Turn]) -> f64 {
    let smooth = running_median(&series.y, 3);
    let way = |points: &[f64]| -> f64 { points.windows(2).map(|w| (w[1] - w[0]).abs()).sum() };
    let ends = [0, smooth.len() - 1];
    let through: Vec<f64> = core::iter::once(ends[0])
        .chain(turns.iter().map(|turn| turn.at()))
        .chain([ends[1]])
        .map(|k| smooth[k])
        .collect();
    way(&smooth) / way(&through).max(1.0)
}

/// Share of the time that it lies above the middle between its median peak and its median trough.
fn high_share(series: &Series, turns: &[Turn]) -> f64 {
    let level = |is_peak: bool| {
        let of_kind = turns.iter().filter(|turn| turn.is_peak() == is_peak);
        median_of(of_kind.map(|turn| series.y[turn.at()]).collect())
    };
    let middle = 0.5 * (level(true) + level(false));
    let high: f64 = (series.t.windows(2).zip(&series.y))
        .filter(|(_, y)| **y > middle)
        .map(|(t, _)| t[1] - t[0])
        .sum();
    high / series.span()
}

/// Kendall's S of `count` values that rise all along.
fn every_pair(count: usize) -> i64 {
    i64::try_from(count * count.saturating_sub(1) / 2).unwrap_or(i64::MAX)
}

/// How long each fall took, in seconds; a last peak counts with the lowest value after it.
fn falls(series: &Series, turns: &[Turn]) -> Vec<f64> {
    let mut falls: Vec<f64> = turns
        .windows(2)
        .filter_map(|pair| match *pair {
            [Turn::Peak(peak), Turn::Trough(trough)] => Some(series.t[trough] - series.t[peak]),
            _ => None,
        })
        .collect();
    if let Some(&Turn::Peak(peak)) = turns.last() {
        falls.push(series.t[lowest(series, peak, series.len())] - series.t[peak]);
    }
    falls
}

/// The lower envelope: confirmed troughs, or where there are not enough the lowest values of windows
/// of about one period. The first of more than three is left out.
fn troughs(series: &Series, turns: &[Turn], falls: usize) -> Series {
    let confirmed: Vec<usize> = turns
        .iter()
        .filter_map(|turn| match *turn {
            Turn::Trough(at) => Some(at),
            Turn::Peak(_) => None,
        })
        .collect();
    let mut at = if falls >= 3 && confirmed.len() >= 3 {
        confirmed
    } else {
        let windows =
            floor_index(falls as f64 / ENVELOPE_PERIODS).clamp(ENVELOPE_LEAST, ENVELOPE_MOST);
        let n = series.len();
        (0..windows)
            .map(|k| (k * n / windows, (k + 1) * n / windows))
            .filter(|(from, to)| from < to)
            .map(|(from, to)| lowest(series, from, to))
            .collect()
    };
    if at.len() > 3 {
        at.remove(0);
    }
    Series::of(at.into_iter().map(|k| (series.t[k], series.y[k])))
}

/// The index of the lowest value from `from` up to before `to`.
fn lowest(series: &Series, from: usize, to: usize) -> usize {
    (from..to)
        .min_by(|&a, &b| series.y[a].total_cmp(&series.y[b]))
        .unwrap_or(from)
}
