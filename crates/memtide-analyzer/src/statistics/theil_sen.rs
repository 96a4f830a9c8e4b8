//! The slope of Theil (1950) and Sen (1968): the median of the slopes of all pairs of points.
//!
//! Assumption: only that more than 71 % of the points follow the line; the rest may be anywhere.
//! Cost n²/2 slopes and a linear selection. Its textbook interval covers only 40 to 65 % on series
//! with memory, so it is not offered; see [`super::blocks`] for the one that is printed.

use super::quantile::median_of;
use super::series::Series;
use crate::thresholds::MOST_PAIRED;

/// Median of the slopes of all pairs, in units of y per second; zero with fewer than two moments.
/// Longer series are thinned evenly to [`MOST_PAIRED`] samples first.
pub fn slope(series: &Series) -> f64 {
    let s = series.thinned(MOST_PAIRED);
    // Most tracks of most processes never move.
    if s.range() == 0.0 {
        return 0.0;
    }
    let mut slopes = Vec::with_capacity(s.len() * s.len() / 2);
    for j in 1..s.len() {
        for i in 0..j {
            let dt = s.t[j] - s.t[i];
            if dt > 0.0 {
                slopes.push((s.y[j] - s.y[i]) / dt);
            }
        }
    }
    median_of(slopes)
}
