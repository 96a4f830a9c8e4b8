//! A line into the future and its band.
//!
//! level(h) = median(y) + s h, with h counted from the median moment. Half width of the 90 % band:
//! t(.95, 4) · error(s) · h + the 5 % or 95 % quantile of the residuals + 2 % of |s h| + 64 KiB, where
//!
//! * of a series that rises by itself s is Theil and Sen's slope and its error sd(block slopes) / √5;
//! * of a rising sawtooth both are those of its troughs, which its swings do not drown;
//! * where growth was judged apart from what moves about it ([`Apart`]) both are its own. The line is laid through the whole,
//!   whose residuals hold the swings: it is the whole that meets a limit. What is left of the whole without that
//!   growth must be level then.

use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::{FORECAST_SLACK, FORECAST_SLACK_BYTES, SAME_RATE, SAMPLES_FOR_RATE};
use crate::trend::{self, Form};
use crate::verdict::Apart;
use memtide_model::{Band, Shape};

/// A line into the future with its band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Median moment in seconds.
    pub t0: f64,
    /// Median value.
    pub y0: f64,
    /// Slope per second.
    pub slope: f64,
    /// Half width per second ahead.
    spread: f64,
    /// Residual quantiles.
    rest: (f64, f64),
    /// Last moment.
    pub(super) last: f64,
}

impl Line {
    /// The line through a series of that form; `None` where it is too short.
    pub fn of(series: &Series, form: &Form) -> Option<Self> {
        match (form.shape(), form.trough_slope, form.trough_error) {
            (Shape::RisingSawtooth, Some(slope), Some(error)) => Self::with(series, slope, error),
            _ => Self::with(
                series,
                theil_sen::slope(series),
                blocks::slope_error(series)?,
            ),
        }
    }

    /// The line of growth that was judged apart, through the whole that it is part of; `None` where what else the whole holds
    /// has a trend of its own. Movement below `material` is noise.
    pub fn through(whole: &Series, part: &Apart, material: f64) -> Option<Self> {
        let pairs = whole.paired(&part.series);
        let rest = Series::of(pairs.map(|(t, whole, part)| (t, whole - part)));
        is_level(&rest, part.slope, material)
            .then(|| Self::with(whole, part.slope, part.error))
            .flatten()
    }

    fn with(series: &Series, slope: f64, error: f64) -> Option<Self> {
        if series.len() < SAMPLES_FOR_RATE {
            return None;
        }
        let (t0, y0) = blocks::centre(series);
        Some(Self {
            t0,
            y0,
            slope,
            spread: blocks::student() * error + FORECAST_SLACK * slope.abs(),
            rest: blocks::residual_quantiles(series, slope),
            last: *series.t.last()?,
        })
    }

    /// The band at a moment.
    pub fn at(&self, seconds: f64) -> Band {
        let ahead = seconds - self.t0;
        let middle = self.y0 + self.slope * ahead;
        let half = self.spread * ahead.max(0.0) + FORECAST_SLACK_BYTES;
        Band {
            seconds,
            middle,
            low: middle - half + self.rest.0,
            high: middle + half + self.rest.1,
        }
    }

    /// Seconds after the last sample at which the band first and last crosses `level`: its upper and
    /// its lower edge. `None` if the upper edge does not rise; latest `None` if the lower does not.
    pub fn crossing(&self, level: f64) -> Option<(f64, Option<f64>)> {
        let wait = |base: f64, rate: f64| {
            (rate > 0.0).then(|| ((level - base) / rate - (self.last - self.t0)).max(0.0))
        };
        let early = wait(
            self.y0 + self.rest.1 + FORECAST_SLACK_BYTES,
            self.slope + self.spread,
        )?;
        let late = wait(
            self.y0 + self.rest.0 - FORECAST_SLACK_BYTES,
            self.slope - self.spread,
        );
        Some((early, late))
    }
}

/// True if a series neither rises nor falls at a rate that matters beside `slope`, as far as the interval of its own tells. Of
/// swings it is that of the troughs, and that of the peaks, which are the troughs of the series turned over.
fn is_level(rest: &Series, slope: f64, material: f64) -> bool {
    let most = SAME_RATE * slope.abs();
    if trend::form(rest, material).period.is_some() {
        let turned = Series::of(rest.t.iter().zip(&rest.y).map(|(&t, y)| (t, -y)));
        return troughs_are_level(rest, most, material)
            && troughs_are_level(&turned, most, material);
    }
    blocks::slope_with_interval(rest).is_some_and(|own| own.low <= most && own.high >= -most)
}

fn troughs_are_level(series: &Series, most: f64, material: f64) -> bool {
    let form = trend::form(series, material);
    let (Some(slope), Some(error)) = (form.trough_slope, form.trough_error) else {
        return false;
    };
    matches!(form.shape(), Shape::Sawtooth | Shape::Fluctuating)
        && slope.abs() - blocks::student() * error <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1_048_576.0;

    /// A minute at four samples a second.
    fn minute(curve: impl Fn(f64) -> f64) -> Series {
        Series::of((0..240).map(|k| (f64::from(k) / 4.0, MIB * curve(f64::from(k) / 4.0))))
    }

    /// Rises for `period` seconds and falls back at once.
    fn teeth(t: f64, period: f64) -> f64 {
        (t / period).fract()
    }

    #[test]
    fn what_is_left_is_level_or_not() {
        let level = |curve: &dyn Fn(f64) -> f64| is_level(&minute(curve), 0.3 * MIB, 0.4 * MIB);
        assert!(level(&|_| 5.0));
        assert!(level(&|t| 5.0 + 0.01 * t), "a thirtieth of the rate");
        assert!(level(&|t| 24.0 * teeth(t, 6.0)));
        assert!(level(&|t| 24.0 * (t / 3.0).sin()));
        assert!(!level(&|t| 0.1 * t), "a third of the rate");
        assert!(!level(&|t| -0.3 * t), "it takes all of the growth");
        assert!(!level(&|t| 24.0 * teeth(t, 6.0) + t));
        assert!(!level(&|t| 24.0 * teeth(t, 6.0) - 0.3 * t));
    }

    #[test]
    fn a_rising_sawtooth_has_the_line_of_its_troughs() {
        let series = minute(|t| 20.0 + 0.2 * t + 20.0 * teeth(t, 5.0));
        let form = trend::form(&series, 0.4 * MIB);
        assert_eq!(form.shape(), Shape::RisingSawtooth);
        let line = Line::of(&series, &form).expect("240 samples");
        assert!((line.slope / (0.2 * MIB) - 1.0).abs() < 0.02, "{line:?}");
        // Ten minutes on it swings between 152 and 172 MiB.
        let band = line.at(660.0);
        assert!(
            band.low < 152.0 * MIB && 172.0 * MIB < band.high,
            "{band:?}"
        );
        assert!(band.high - band.low < 50.0 * MIB, "{band:?}");
    }
}
