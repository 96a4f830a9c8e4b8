//! A slope with an interval that holds on series with memory.
//!
//! The record is cut into six blocks; between their medians lie five slopes. Two half widths:
//!
//! * wide: t(.95, 4) · sd(block slopes) / √5. Right when increments are independent (a random walk),
//!   much too wide when the values themselves are (coverage 1.00 on white noise);
//! * narrow: t(.95, 4) · standard error of the least-squares line through the block medians. Right for
//!   independent blocks, too narrow when the memory is longer than a block (.69 at tau/T = .2).
//!
//! A blend of both, [`WIDE`] of the wide one, covers .99 on white noise, .97 at tau/T = .05,
//! .94 at .1, .91 at .2 and .83 at .4 (linear trend with AR(1) noise, nominal .90), where the textbook interval of Theil and Sen covers .40 to .65.

use super::quantile::quantile;
use super::series::Series;
use super::{least_squares, theil_sen};
use crate::thresholds::{BLOCKS, SAMPLES_FOR_RATE, TAIL, WIDE};
use crate::trail::Trail;
use memtide_model::{Slope, Unit};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The slopes from each block's median to the next, per second.
pub fn slopes(series: &Series) -> Vec<f64> {
    let blocks = series.blocks(BLOCKS);
    (1..blocks.len())
        .map(|k| (blocks.y[k] - blocks.y[k - 1]) / (blocks.t[k] - blocks.t[k - 1]))
        .filter(|slope| slope.is_finite())
        .collect()
}

/// True if the medians of all six blocks rise strictly.
pub fn all_rise(series: &Series) -> bool {
    all_rise_told(series, Unit::Bytes, &mut Trail::unheard())
}

/// The same of a series of that unit, with the medians and the number of rises in the trail.
pub fn all_rise_told(series: &Series, unit: Unit, trail: &mut Trail) -> bool {
    tell_medians(series, unit, trail);
    let rises = slopes(series).iter().filter(|&&slope| slope > 0.0).count();
    let all = (BLOCKS - 1) as f64;
    trail.at_least("rises between blocks", rises as f64, Unit::Count, all)
}

/// Notes the medians of the six blocks.
pub fn tell_medians(series: &Series, unit: Unit, trail: &mut Trail) {
    for (block, median) in series.blocks(BLOCKS).y.iter().enumerate() {
        trail.tell(&format!("median of block {}", block + 1), *median, unit);
    }
}

/// Standard error of the mean block slope; `None` with fewer than three blocks.
pub fn slope_error(series: &Series) -> Option<f64> {
    let slopes = slopes(series);
    let n = slopes.len() as f64;
    let mean = slopes.iter().sum::<f64>() / n;
    let variance = slopes.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / (n - 1.0);
    (slopes.len() >= 2).then(|| (variance / n).sqrt())
}

/// Student's t of the one-sided 95 % with the degrees of freedom of six blocks.
pub fn student() -> f64 {
    StudentsT::new(0.0, 1.0, (BLOCKS - 2) as f64).map_or(2.132, |t| t.inverse_cdf(1.0 - TAIL))
}

/// Theil and Sen's slope with a 90 % interval; `None` below [`SAMPLES_FOR_RATE`] samples.
pub fn slope_with_interval(series: &Series) -> Option<Slope> {
    if series.len() < SAMPLES_FOR_RATE || series.span() <= 0.0 {
        return None;
    }
    let per_second = theil_sen::slope(series);
    let half = student() * (WIDE * slope_error(series)? + (1.0 - WIDE) * line_error(series));
    Some(Slope {
        per_second,
        low: per_second - half,
        high: per_second + half,
    })
}

/// Standard error of the least-squares slope through the block medians.
fn line_error(series: &Series) -> f64 {
    let blocks = series.blocks(BLOCKS);
    least_squares::slope_error(&blocks.t, &blocks.y)
}

/// The 5 % and 95 % quantiles of what is left after the line of `slope` through the medians.
pub fn residual_quantiles(series: &Series, slope: f64) -> (f64, f64) {
    let residuals = residuals(series, slope);
    (quantile(&residuals, TAIL), quantile(&residuals, 1.0 - TAIL))
}

/// What is left after the line of `slope` through the median moment and the median value.
pub fn residuals(series: &Series, slope: f64) -> Vec<f64> {
    let (t0, y0) = centre(series);
    (series.t.iter().zip(&series.y))
        .map(|(t, y)| y - y0 - slope * (t - t0))
        .collect()
}

/// The median moment and the median value.
pub fn centre(series: &Series) -> (f64, f64) {
    (quantile(&series.t, 0.5), quantile(&series.y, 0.5))
}
