//! A series: values at moments, and the few reductions that every stage needs.

use super::quantile::{floor_index, median, running_median};
use crate::thresholds::ENDS;

/// Values at moments. Moments are seconds in rising order; both vectors have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Seconds.
    pub t: Vec<f64>,
    /// Values: bytes or counts.
    pub y: Vec<f64>,
}

impl Series {
    /// A series of pairs (seconds, value).
    pub fn of(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let (t, y) = points.into_iter().unzip();
        Self { t, y }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// Seconds from the first to the last value.
    pub fn span(&self) -> f64 {
        match (self.t.first(), self.t.last()) {
            (Some(first), Some(last)) => last - first,
            _ => 0.0,
        }
    }

    /// The greatest value less the least.
    pub fn range(&self) -> f64 {
        self.greatest() - self.least()
    }

    /// The greatest value; zero of nothing.
    pub fn greatest(&self) -> f64 {
        self.y.iter().copied().reduce(f64::max).unwrap_or(0.0)
    }

    /// The least value; zero of nothing.
    pub fn least(&self) -> f64 {
        self.y.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    /// The most that it falls from a value to a later one; single samples do not count. Zero of nothing.
    pub fn deepest_fall(&self) -> f64 {
        let (mut high, mut fall) = (f64::NEG_INFINITY, 0.0_f64);
        for value in running_median(&self.y, 3) {
            high = high.max(value);
            fall = fall.max(high - value);
        }
        fall
    }

    /// How many samples make an end: a twelfth, at least three (or all).
    pub fn end_len(&self) -> usize {
        (self.len() / ENDS).max(3).min(self.len())
    }

    /// Median of the first twelfth.
    pub fn start(&self) -> f64 {
        median(&self.y[..self.end_len()])
    }

    /// Median of the last twelfth.
    pub fn end(&self) -> f64 {
        median(&self.y[self.len() - self.end_len()..])
    }

    /// Median of the last twelfth less that of the first: growth that no single sample decides.
    pub fn delta(&self) -> f64 {
        self.end() - self.start()
    }

    /// The mean over time by the trapezoidal rule; `None` where no time passes.
    pub fn mean_over_time(&self) -> Option<f64> {
        let pairs = self.t.windows(2).zip(self.y.windows(2));
        let area: f64 = pairs
            .map(|(t, y)| (t[1] - t[0]) * f64::midpoint(y[0], y[1]))
            .sum();
        (self.span() > 0.0).then(|| area / self.span())
    }

    /// The part from `from` to `to`, both shares of the span.
    #[must_use]
    pub fn part(&self, from: f64, to: f64) -> Self {
        let first = self.t.first().copied().unwrap_or(0.0);
        let (low, high) = (first + self.span() * from, first + self.span() * to);
        let low = self.t.partition_point(|&t| t < low);
        let high = self.t.partition_point(|&t| t <= high).max(low);
        Self {
            t: self.t[low..high].to_vec(),
            y: self.y[low..high].to_vec(),
        }
    }

    /// The medians of `count` equal parts, with the mean moment of each; fewer where there are
    /// fewer samples.
    #[must_use]
    pub fn blocks(&self, count: usize) -> Self {
        let n = self.len();
        let count = count.min(n);
        Self::of((0..count).map(|k| {
            let (from, to) = (k * n / count, (k + 1) * n / count);
            let t = &self.t[from..to];
            (
                t.iter().sum::<f64>() / t.len() as f64,
                median(&self.y[from..to]),
            )
        }))
    }

    /// At most `most` samples, evenly chosen, first and last included.
    #[must_use]
    pub fn thinned(&self, most: usize) -> Self {
        let n = self.len();
        if n <= most || most < 2 {
            return self.clone();
        }
        let step = (n - 1) as f64 / (most - 1) as f64;
        Self::of((0..most).map(|k| {
            let i = floor_index(k as f64 * step + 1e-9).min(n - 1);
            (self.t[i], self.y[i])
        }))
    }

    /// The value at a moment: on the line between its neighbours, at the ends the nearest; `None` of
    /// nothing.
    pub fn at(&self, t: f64) -> Option<f64> {
        let behind = self.t.partition_point(|&other| other <= t);
        let after = self.t.get(behind).zip(self.y.get(behind));
        let before = behind
            .checked_sub(1)
            .and_then(|k| self.t.get(k).zip(self.y.get(k)));
        match (before, after) {
            (Some((from, start)), Some((to, end))) => {
                Some(start + (end - start) * ((t - from) / (to - from)))
            }
            (Some((_, only)), None) | (None, Some((_, only))) => Some(*only),
            (None, None) => None,
        }
    }

    /// The sum with another series where both have a value at the same moment.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self::of(self.paired(other).map(|(t, a, b)| (t, a + b)))
    }

    /// The moments at which both have a value, with the values.
    pub fn paired<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (f64, f64, f64)> + 'a {
        let mut k = 0;
        self.t.iter().zip(&self.y).filter_map(move |(&t, &a)| {
            while k < other.len() && other.t[k] < t {
                k += 1;
            }
            (k < other.len() && other.t[k] <= t).then(|| (t, a, other.y[k]))
        })
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "medians of integers are exact")]
mod tests {
    use super::*;

    fn ramp(n: u32) -> Series {
        Series::of((0..n).map(|k| (f64::from(k), f64::from(k) * 2.0)))
    }

    #[test]
    fn ends_are_medians_of_a_twelfth() {
        let mut series = ramp(48);
        series.y[0] = 1e9;
        // The first four values are 1e9, 2, 4, 6: their median is 5; the last are 88..94: 91.
        assert_eq!(series.start(), 5.0);
        assert_eq!(series.end(), 91.0);
        assert_eq!(series.delta(), 86.0);
    }

    #[test]
    fn the_deepest_fall_counts_no_single_sample() {
        let series = Series::of(
            (0..9)
                .map(f64::from)
                .zip([0., 5., 4., 4., 9., 9., 6., 6., 8.]),
        );
        assert_eq!(series.deepest_fall(), 3.0);
        assert_eq!(ramp(9).deepest_fall(), 0.0);
        let outlier = Series::of((0..5).map(f64::from).zip([0., 1., 90., 3., 4.]));
        assert_eq!(outlier.deepest_fall(), 0.0);
    }

    #[test]
    fn parts_blocks_and_thinning_keep_moments_and_values_together() {
        let series = ramp(61);
        let late = series.part(0.5, 1.0);
        assert_eq!((late.len(), late.t[0], late.y[0]), (31, 30.0, 60.0));
        let blocks = series.blocks(6);
        assert_eq!(blocks.len(), 6);
        assert!(
            blocks
                .t
                .iter()
                .zip(&blocks.y)
                .all(|(t, y)| (y - 2.0 * t).abs() < 1e-9)
        );
        let thin = series.thinned(4);
        assert_eq!(thin.t, [0.0, 20.0, 40.0, 60.0]);
    }

    #[test]
    fn pairs_skip_what_the_other_series_lacks() {
        let series = ramp(4);
        let other = Series::of([(1.0, 10.0), (2.5, 0.0), (3.0, 30.0)]);
        assert_eq!(series.plus(&other), Series::of([(1.0, 12.0), (3.0, 36.0)]));
        assert!(Series::default().is_empty());
        assert_eq!(Series::default().delta(), 0.0);
    }
}
