//! Series that do not fall back: how do they rise?
//!
//! With D the growth, T the record: the late ratio is slope(last 40 %) / (D/T), the late share the
//! growth in the last 28 % over D, the jump the largest growth within 4 % of the samples over D. In
//! this order: stairs (mostly still, three jumps or more, no fall; stopped after a wait of 2.2 longest gaps,
//! of 1.6 where the gaps are alike), one step, plateau, accelerating, linear (late ratio, or a straight line as good as any bent curve
//! by `AICc`), and what is left decelerates: its end cannot be told yet.

use super::Form;
use crate::statistics::quantile::{floor_index, median, running_median};
use crate::statistics::{Series, aicc, least_squares};
use crate::thresholds::{
    ACCELERATING_MIDDLE, ACCELERATING_RATIO, ENDS, FLUCTUATING_MATERIAL, JUMP_SHARE, JUMP_WINDOW,
    LAST_PART, LATE_PART, LINEAR_AICC, LINEAR_RATIO, LINEAR_RATIO_FITTED, MIDDLE_FROM,
    PLATEAU_FALL, PLATEAU_FITTED_AICC, PLATEAU_FITTED_LINE, PLATEAU_FITTED_TAU, PLATEAU_LAST,
    PLATEAU_LAST_SLOW, PLATEAU_RATIO, PLATEAU_TAU, PLATEAU_TAU_RATIO, RISE_MATERIAL, RISE_RANGE,
    STAIRS_DOUBT, STAIRS_EVEN, STAIRS_JUMP, STAIRS_JUMPS, STAIRS_SLOWING, STAIRS_STILL,
    STAIRS_STOPPED, STEP_JUMP, STEP_JUMPS, STEP_LAST, STILL_BYTES,
};
use crate::trail::Trail;
use memtide_model::{Shape, Unit};

/// The form of a series with fewer than two falls.
pub(super) fn form(series: &Series, material: f64, trail: &mut Trail) -> Form {
    let (delta, range) = (series.delta(), series.range());
    if trail.below(
        "no rise: growth",
        delta,
        Unit::Bytes,
        RISE_MATERIAL * material,
    ) && trail.below("no rise: growth", delta, Unit::Bytes, RISE_RANGE * range)
    {
        // It moved and came back, or it fell.
        let moved = trail.above(
            "fluctuating: range",
            range,
            Unit::Bytes,
            FLUCTUATING_MATERIAL * material,
        );
        return Form::of(if moved {
            Shape::Fluctuating
        } else {
            Shape::Flat
        });
    }
    let rise = Rise::of(series, delta.max(1.0));
    if rise.is_stairs(series, delta, trail) {
        return rise.form(rise.stairs(series.span(), trail), None);
    }
    if rise.is_step(trail) {
        return rise.form(Shape::Step, None);
    }
    if rise.still > STAIRS_STILL && rise.may_step_again(trail) {
        return rise.form(Shape::Unclear, None);
    }
    let fits = aicc::fit(series);
    rise.form(rise.smooth(fits.as_ref(), series, trail), fits)
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
            middle_ratio: slope(MIDDLE_FROM, 1.0 - LATE_PART),
            late_share: (smooth[n - 1] - before) / delta,
            still: still.count() as f64 / (n - 1) as f64,
            jumps: Jumps::of(&series.t, &smooth, delta),
        }
    }

    fn is_stairs(&self, series: &Series, delta: f64, trail: &mut Trail) -> bool {
        let (count, least) = (self.jumps.count as f64, STAIRS_JUMPS as f64);
        trail.above(
            "stairs: still samples",
            self.still,
            Unit::Share,
            STAIRS_STILL,
        ) && trail.at_least("stairs: jumps", count, Unit::Count, least)
            && trail.below(
                "stairs: largest jump",
                self.jumps.largest,
                Unit::Share,
                STAIRS_JUMP,
            )
            && trail.at_most(
                "stairs: fall of the growth",
                series.deepest_fall() / delta.max(1.0),
                Unit::Share,
                PLATEAU_FALL,
            )
    }

    fn is_step(&self, trail: &mut Trail) -> bool {
        trail.above(
            "step: largest jump",
            self.jumps.largest,
            Unit::Share,
            STEP_JUMP,
        ) && trail.at_most(
            "step: jumps",
            self.jumps.count as f64,
            Unit::Count,
            STEP_JUMPS,
        ) && trail.below(
            "step: late share l",
            self.late_share,
            Unit::Share,
            STEP_LAST,
        )
    }

    /// True of two steps with a wait that is not long against the time between them: too few for stairs, and no
    /// reason to say that they have ended.
    fn may_step_again(&self, trail: &mut Trail) -> bool {
        let wait = self.jumps.wait;
        self.jumps.count == 2
            && self.jumps.longest_gap.is_some_and(|gap| {
                trail.at_most(
                    "may step again: wait",
                    wait,
                    Unit::Seconds,
                    STAIRS_DOUBT * gap,
                )
            })
    }

    fn stairs(&self, span: f64, trail: &mut Trail) -> Shape {
        let (wait, late) = (self.jumps.wait, self.late_ratio);
        let longest = self.jumps.longest_gap.unwrap_or(span);
        let patience = if self.jumps.even {
            STAIRS_DOUBT
        } else {
            STAIRS_STOPPED
        };
        if trail.above("stopped: wait", wait, Unit::Seconds, patience * longest) {
            Shape::Plateau
        } else if trail.above(
            "may have stopped: wait",
            wait,
            Unit::Seconds,
            STAIRS_DOUBT * longest,
        ) {
            Shape::Unclear
        } else if trail.at_least(
            "stairs: late ratio r",
            late,
            Unit::Number,
            LINEAR_RATIO_FITTED,
        ) {
            Shape::Stairs
        } else if trail.above(
            "decelerating: late ratio r",
            late,
            Unit::Number,
            STAIRS_SLOWING,
        ) {
            Shape::Decelerating
        } else {
            Shape::Plateau
        }
    }

    fn smooth(&self, fits: Option<&aicc::Fits>, series: &Series, trail: &mut Trail) -> Shape {
        if self.has_ended(trail) {
            let delta = series.delta().max(1.0);
            let fall = series.deepest_fall();
            let most = PLATEAU_FALL * delta;
            return if trail.above("unclear: deepest fall", fall, Unit::Bytes, most) {
                Shape::Unclear
            } else {
                Shape::Plateau
            };
        }
        let (late, middle) = (self.late_ratio, self.middle_ratio);
        if trail.above(
            "accelerating: late ratio r",
            late,
            Unit::Number,
            ACCELERATING_RATIO,
        ) && trail.below(
            "accelerating: middle ratio",
            middle,
            Unit::Number,
            ACCELERATING_MIDDLE,
        ) {
            return Shape::Accelerating;
        }
        if self.is_straight(fits, trail) {
            return Shape::Linear;
        }
        if self.ends_by_fit(fits, series, trail) {
            Shape::Plateau
        } else {
            Shape::Decelerating
        }
    }

    /// True where the last part brought next to nothing.
    fn has_ended(&self, trail: &mut Trail) -> bool {
        let (late, share) = (self.late_ratio, self.late_share);
        trail.below("plateau: late share l", share, Unit::Share, PLATEAU_LAST)
            || trail.below("plateau: late ratio r", late, Unit::Number, PLATEAU_RATIO)
                && trail.below(
                    "plateau: late share l",
                    share,
                    Unit::Share,
                    PLATEAU_LAST_SLOW,
                )
    }

    /// True of a line, by its late slope, or because no curve that bends or ends is better.
    fn is_straight(&self, fits: Option<&aicc::Fits>, trail: &mut Trail) -> bool {
        let (late, name) = (self.late_ratio, "linear: late ratio r");
        trail.at_least(name, late, Unit::Number, LINEAR_RATIO)
            || trail.at_least(name, late, Unit::Number, LINEAR_RATIO_FITTED)
                && fits.is_some_and(|fits| {
                    tell(fits, trail);
                    let excess = fits.linear_excess();
                    trail.below(
                        "linear: AICc over the best curve",
                        excess,
                        Unit::Number,
                        LINEAR_AICC,
                    )
                })
    }

    /// True where an exponential that saturates describes it, and is nearly there or better than all that goes on.
    fn ends_by_fit(&self, fits: Option<&aicc::Fits>, series: &Series, trail: &mut Trail) -> bool {
        let tau = (fits.and_then(|fits| fits.saturation)).map_or(f64::INFINITY, |s| s.tau);
        trail.tell("plateau: time constant tau", tau, Unit::Seconds);
        let (late, share) = (self.late_ratio, tau / series.span());
        let name = "plateau: tau of the record";
        if trail.below(name, share, Unit::Share, PLATEAU_TAU)
            && trail.below(
                "plateau: late ratio r",
                late,
                Unit::Number,
                PLATEAU_TAU_RATIO,
            )
        {
            return true;
        }
        let lead = fits.map_or(0.0, aicc::Fits::exponential_lead);
        let delta = series.delta().max(1.0);
        let goes_on = || aicc::line_beside_saturation(series).unwrap_or(delta) / delta;
        trail.below(name, share, Unit::Share, PLATEAU_FITTED_TAU)
            && trail.above(
                "plateau: AICc before the best line",
                lead,
                Unit::Number,
                PLATEAU_FITTED_AICC,
            )
            && trail.below(
                "plateau: line beside it",
                goes_on(),
                Unit::Share,
                PLATEAU_FITTED_LINE,
            )
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

/// The criterion of each curve.
fn tell(fits: &aicc::Fits, trail: &mut Trail) {
    for (name, criterion) in [
        ("AICc of a line", fits.linear),
        ("AICc of an exponential", fits.exponential),
        ("AICc of a logarithm", fits.logarithm),
        ("AICc of a line that ends", fits.ramp),
    ] {
        trail.tell(name, criterion, Unit::Number);
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
    /// True of three gaps or more that are alike.
    even: bool,
    /// Seconds since the last of them ended.
    wait: f64,
}

impl Jumps {
    fn of(t: &[f64], smooth: &[f64], delta: f64) -> Self {
        let n = smooth.len();
        let width = (n / JUMP_WINDOW).max(2).min(n - 1);
        let rises: Vec<f64> = (width..n).map(|k| smooth[k] - smooth[k - width]).collect();
        let largest = rises.iter().copied().fold(0.0, f64::max);
        let on = |k: usize| rises[k] > JUMP_SHARE * largest;
        let starts: Vec<usize> = (0..rises.len())
            .filter(|&k| on(k) && (k == 0 || !on(k - 1)))
            .collect();
        let gaps: Vec<f64> = starts.windows(2).map(|w| t[w[1]] - t[w[0]]).collect();
        let longest_gap = gaps.iter().copied().reduce(f64::max);
        let shortest = STAIRS_EVEN * longest_gap.unwrap_or(0.0);
        let last = (0..rises.len()).rev().find(|&k| on(k));
        Self {
            largest: largest / delta,
            count: starts.len(),
            longest_gap,
            even: gaps.len() >= STAIRS_JUMPS && gaps.iter().all(|&gap| gap >= shortest),
            wait: t[n - 1] - last.map_or(t[0], |k| t[(k + width).min(n - 1)]),
        }
    }
}
