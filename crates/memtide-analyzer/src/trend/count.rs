//! Does a count grow, and does it go on growing?
//!
//! Counts have no noise of measurement: a few units more are a fact. What can mislead is a pool that
//! fills and stops, so growth must be *sustained*: the last 30 % of the record brought at least 12 % of
//! the growth, and the last rise is not longer ago than four of the usual gaps between rises (or 12 %
//! of the record).

use crate::statistics::Series;
use crate::statistics::quantile::{floor_index, median, median_of};
use crate::thresholds::{SUSTAINED_GAPS, SUSTAINED_PART, SUSTAINED_SHARE, SUSTAINED_WAIT};
use crate::trail::Trail;
use memtide_model::Unit;

/// How a count grew.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// End less start.
    pub delta: f64,
    /// At least as much as was asked for.
    pub grown: bool,
    /// Grown, and still growing at the end.
    pub sustained: bool,
}

/// How a series grew, of which `least` counts as growth.
pub fn growth(series: &Series, least: f64) -> Growth {
    growth_told(series, least, ("", Unit::Count), &mut Trail::unheard())
}

/// The same of a series of that name and unit, with its numbers in the trail.
pub fn growth_told(
    series: &Series,
    least: f64,
    (name, unit): (&str, Unit),
    trail: &mut Trail,
) -> Growth {
    let n = series.len();
    let delta = series.delta();
    if n < 3 || !trail.at_least(&format!("growth of {name}"), delta, unit, least) {
        return Growth {
            delta,
            ..Growth::default()
        };
    }
    let half = series.end_len() / 2;
    let at = floor_index(n as f64 * (1.0 - SUSTAINED_PART));
    let before = median(&series.y[at.saturating_sub(half)..(at + half + 1).min(n)]);
    let rises: Vec<f64> = (1..n)
        .filter(|&k| series.y[k] > series.y[k - 1])
        .map(|k| series.t[k])
        .collect();
    let gaps: Vec<f64> = rises.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let waited = series.t[n - 1] - rises.last().copied().unwrap_or(series.t[0]);
    // Two rises have one gap: no gap to speak of, so any wait may be the usual one.
    let usual = if gaps.len() < 2 {
        f64::INFINITY
    } else {
        median_of(gaps)
    };
    let patience = (SUSTAINED_GAPS * usual).max(SUSTAINED_WAIT * series.span());
    let late = series.end() - before;
    Growth {
        delta,
        grown: true,
        sustained: trail.at_least(
            "of it in the last part",
            late,
            unit,
            SUSTAINED_SHARE * delta,
        ) && trail.below("since its last rise", waited, Unit::Seconds, patience),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(value: impl Fn(f64) -> f64) -> Series {
        Series::of((0..96).map(|k| (f64::from(k) * 0.5, value(f64::from(k) * 0.5).floor())))
    }

    #[test]
    fn a_pool_that_filled_is_grown_but_not_sustained() {
        let pool = growth(&count(|t| (t * 4.0).min(24.0)), 5.0);
        assert!(pool.grown && !pool.sustained, "{pool:?}");
        let leak = growth(&count(|t| 3.0 + t), 5.0);
        assert!(leak.grown && leak.sustained, "{leak:?}");
        let few = growth(&count(|t| t / 20.0), 5.0);
        assert!(!few.grown, "{few:?}");
    }

    #[test]
    fn slow_steady_rises_are_sustained_though_each_wait_is_long() {
        let slow = growth(&count(|t| (t / 7.0).floor()), 5.0);
        assert!(slow.sustained, "{slow:?}");
    }
}
