//! Series that do not fall back: how do they rise?
//!
//! With D the growth, T the record: the late ratio is slope(last 40 %) / (D/T), the late share the
//! growth in the last 28 % over D, the jump the largest growth within 4 % of the samples over D. In
//! this order: stairs (mostly still, three jumps or more; stopped after a wait of 2.2 longest gaps),
//! one step, plateau, accelerating, linear (late ratio, or a straight line as good as any bent curve
//! by `AICc`), and what is left decelerates: its end cannot be told yet.

use super::Form;
use crate::statistics::quantile::{floor_index, median, running_median};
use crate::statistics::{Series, aicc, least_squares};
use crate::thresholds::{
    ACCELERATING_MIDDLE, ACCELERATING_RATIO, ENDS, JUMP_WINDOW, LAST_PART, LATE_PART, LINEAR_AICC,
    LINEAR_RATIO, LINEAR_RATIO_FITTED, PLATEAU_FALL, PLATEAU_FITTED_AICC, PLATEAU_FITTED_LINE,
    PLATEAU_FITTED_TAU, PLATEAU_LAST, PLATEAU_LAST_SLOW, PLATEAU_RATIO, PLATEAU_TAU,
    PLATEAU_TAU_RATIO, STAIRS_DOUBT, STAIRS_JUMP, STAIRS_JUMPS, STAIRS_STILL, STAIRS_STOPPED,
    STEP_JUMP, STEP_LAST, STILL_BYTES,
};
use memtide_model::Shape;

/// The form of a series with fewer than two falls.
pub(super) fn form(series: &Series, material: f64) -> Form {
    let (delta, range) = (series.delta(), series.range());
    if delta < 0.8 * material && delta < 0.35 * range {
        // It moved and came back, or it fell.
        return Form::of(if range > 2.0 * material {
            Shape::Fluctuating
        } else {
            Shape::Flat
        });
    }
    let rise = Rise::of(series, delta.max(1.0));
    let stairs = rise.still > STAIRS_STILL
        && rise.jumps.count >= STAIRS_JUMPS
        && rise.jumps.largest < STAIRS_JUMP;
    if stairs {
        return rise.form(rise.stairs(series.span()), None);
    }
    if rise.jumps.largest > STEP_JUMP && rise.jumps.count <= 2 && rise.late_share < STEP_LAST {
        return rise.form(Shape::Step, None);
    }
    if rise.still > STAIRS_STILL && rise.may_step_again() {
        return rise.form(Shape::Unclear, None);
    }
    let fits = aicc::fit(series);
    rise.form(rise.smooth(fits.as_ref(), series), fits)
}

/// What a rise is judged by.
struct Rise {
    late_ratio: f64,
    middle_ratio: f64,
    late_share: f64,
    /// Share of samples that hardly moved.
    still: f64,
    jumps: Jumps,
}

impl Rise {
    fn of(series: &Series, delta: f64) -> Self {
        let n = series.len();
        let smooth = running_median(&series.y, (n / 40).max(3));
        let mean = delta / (series.span() * (1.0 - 1.0 / ENDS as f64));
        let slope = |from, to| {
            let part = series.part(from, to);
            least_squares::line(&part.t, &part.y).slope / mean
        };
        let at = floor_index(n as f64 * (1.0 - LAST_PART));
        let before = median(&smooth[at.saturating_sub(2)..(at + 3).min(n)]);
        let still = series
            .y
            .windows(2)
            .filter(|w| (w[1] - w[0]).abs() <= STILL_BYTES);
        Self {
            late_ratio: slope(1.0 - LATE_PART, 1.0),
            middle_ratio: slope(0.25, 1.0 - LATE_PART),
            late_share: (smooth[n - 1] - before) / delta,
            still: still.count() as f64 / (n - 1) as f64,
            jumps: Jumps::of(&series.t, &smooth, delta),
        }
    }

    /// True of two steps with a wait that is not long against the time between them: too few for stairs, and no
    /// reason to say that they have ended.
    fn may_step_again(&self) -> bool {
        self.jumps.count == 2
            && (self.jumps.longest_gap).is_some_and(|gap| self.jumps.wait <= STAIRS_DOUBT * gap)
    }

    fn stairs(&self, span: f64) -> Shape {
        let longest = self.jumps.longest_gap.unwrap_or(span);
        if self.jumps.wait > STAIRS_STOPPED * longest {
            Shape::Plateau
        } else if self.jumps.wait > STAIRS_DOUBT * longest {
            Shape::Unclear
        } else if self.late_ratio >= LINEAR_RATIO_FITTED {
            Shape::Stairs
        } else if self.late_ratio > 0.3 {
            Shape::Decelerating
        } else {
            Shape::Plateau
        }
    }

    fn smooth(&self, fits: Option<&aicc::Fits>, series: &Series) -> Shape {
        let late = self.late_ratio;
        let delta = series.delta().max(1.0);
        if self.late_share < PLATEAU_LAST
            || late < PLATEAU_RATIO && self.late_share < PLATEAU_LAST_SLOW
        {
            return if series.deepest_fall() > PLATEAU_FALL * delta {
                Shape::Unclear
            } else {
                Shape::Plateau
            };
        }
        if late > ACCELERATING_RATIO && self.middle_ratio < ACCELERATING_MIDDLE {
            return Shape::Accelerating;
        }
        let straight = fits.is_some_and(|fits| fits.linear_excess() < LINEAR_AICC);
        if late >= LINEAR_RATIO || late >= LINEAR_RATIO_FITTED && straight {
            return Shape::Linear;
        }
        let tau = (fits.and_then(|fits| fits.saturation)).map_or(f64::INFINITY, |s| s.tau);
        let share = tau / series.span();
        let fitted = || {
            let lead = fits.map_or(0.0, aicc::Fits::exponential_lead);
            let goes_on = || aicc::line_beside_saturation(series).unwrap_or(delta) / delta;
            share < PLATEAU_FITTED_TAU
                && lead > PLATEAU_FITTED_AICC
                && goes_on() < PLATEAU_FITTED_LINE
        };
        if share < PLATEAU_TAU && late < PLATEAU_TAU_RATIO || fitted() {
            Shape::Plateau
        } else {
            Shape::Decelerating
        }
    }

    fn form(&self, shape: Shape, fits: Option<aicc::Fits>) -> Form {
        Form {
            late_ratio: Some(self.late_ratio),
            late_share: Some(self.late_share),
            largest_jump: Some(self.jumps.largest),
            jumps: self.jumps.count,
            saturation: fits.and_then(|fits| fits.saturation),
            ..Form::of(shape)
        }
    }
}

/// Where a rise happens by leaps.
struct Jumps {
    /// The largest as a share of the growth.
    largest: f64,
    /// How many windows in a row rise by more than 35 % of the largest.
    count: usize,
    /// Longest time between the starts of two of them; `None` with fewer than two.
    longest_gap: Option<f64>,
    /// Seconds since the last of them ended.
    wait: f64,
}

impl Jumps {
    fn of(t: &[f64], smooth: &[f64], delta: f64) -> Self {
        let n = smooth.len();
        let width = (n / JUMP_WINDOW).max(2).min(n - 1);
        let rises: Vec<f64> = (width..n).map(|k| smooth[k] - smooth[k - width]).collect();
        let largest = rises.iter().copied().fold(0.0, f64::max);
        let on = |k: usize| rises[k] > 0.35 * largest;
        let starts: Vec<usize> = (0..rises.len())
            .filter(|&k| on(k) && (k == 0 || !on(k - 1)))
            .collect();
        let gaps = starts.windows(2).map(|w| t[w[1]] - t[w[0]]);
        let last = (0..rises.len()).rev().find(|&k| on(k));
        Self {
            largest: largest / delta,
            count: starts.len(),
            longest_gap: gaps.reduce(f64::max),
            wait: t[n - 1] - last.map_or(t[0], |k| t[(k + width).min(n - 1)]),
        }
    }
}
