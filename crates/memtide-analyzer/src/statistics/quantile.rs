//! Medians, quantiles and a running median.
//!
//! Quantiles interpolate between order statistics (Hyndman and Fan 1996, type 7, the default of R
//! and numpy). Nothing here accepts NaN: series are built from integers.

/// The median; zero of nothing.
pub fn median(values: &[f64]) -> f64 {
    median_of(values.to_vec())
}

/// The median of values that may be reordered; zero of nothing. Linear time.
pub fn median_of(mut values: Vec<f64>) -> f64 {
    let n = values.len();
    if n == 0 {
        return 0.0;
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, upper)
}

/// The quantile at `level` (0 to 1); zero of nothing.
pub fn quantile(values: &[f64], level: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = level.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let low = floor_index(place);
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

/// 1.4826 times the median absolute deviation: the standard deviation of normal values, whatever a
/// minority of outliers does.
pub fn robust_deviation(values: &[f64]) -> f64 {
    let middle = median(values);
    1.4826 * median_of(values.iter().map(|v| (v - middle).abs()).collect())
}

/// The median over a window of `width` samples (made odd) around each sample, the ends repeated.
pub fn running_median(values: &[f64], width: usize) -> Vec<f64> {
    let half = width / 2;
    if width < 2 || values.is_empty() {
        return values.to_vec();
    }
    let last = values.len() - 1;
    let mut window = Vec::with_capacity(2 * half + 1);
    (0..values.len())
        .map(|centre| {
            window.clear();
            window.extend(
                (0..=2 * half).map(|k| values[(centre + k).saturating_sub(half).min(last)]),
            );
            let (_, middle, _) = window.select_nth_unstable_by(half, f64::total_cmp);
            *middle
        })
        .collect()
}

/// `place` rounded down to an index; callers pass values from 0 to a length.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are within 0..len, and the cast saturates"
)]
pub fn floor_index(place: f64) -> usize {
    place as usize
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "medians of integers are exact")]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles_are_those_of_numpy() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        // numpy.quantile([1, 5, 2, 8, 7], [.05, .3, .95])
        let values = [1.0, 5.0, 2.0, 8.0, 7.0];
        for (level, expected) in [(0.05, 1.2), (0.3, 2.6), (0.95, 7.8)] {
            assert!(
                (quantile(&values, level) - expected).abs() < 1e-12,
                "{level}"
            );
        }
    }

    #[test]
    fn a_running_median_drops_spikes_and_keeps_steps() {
        let values = [0.0, 0.0, 9.0, 0.0, 0.0, 5.0, 5.0, 5.0];
        assert_eq!(
            running_median(&values, 3),
            [0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0]
        );
        assert_eq!(running_median(&values, 1), values);
    }
}
