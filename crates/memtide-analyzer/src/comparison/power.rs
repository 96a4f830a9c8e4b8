//! What could have been seen: the smallest change that so many runs show in four of five comparisons.
//!
//! ```text
//! δ = (t(1 − level/2, ν) + t(.8, ν)) · s · √(1/m + 1/n)          detectable = exp(δ) − 1
//! ```
//!
//! with the pooled standard deviation s of the logarithms, ν = m + n − 2 (Cohen 1988, section 2.4, with Student's t
//! for the normal quantiles, as few runs need). The level is the greatest p not above alpha that the permutation test
//! can reach: with few runs it moves in steps of 2 / C(m + n, m). Assumption: log-normal values; with others it is an
//! order of magnitude. The permutation test shows 78 % of such changes with 6 to 8 runs at .02, and 66 %
//! where only the two most extreme arrangements pass (6 runs, 8 arms).

use super::permutation::{arrangements, least_p};
use crate::thresholds::{MOST_ARRANGEMENTS, POWER};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The detectable change as a share (.05 is 5 %) at this level; `None` where nothing could be shown, with fewer than
/// two values of either arm, and where a value is not above zero.
pub fn detectable(values: &[f64], others: &[f64], level: f64) -> Option<f64> {
    let (m, n) = (values.len(), others.len());
    if m.min(n) < 2 || least_p(m, n) > level {
        return None;
    }
    let pooled = squares(values)? + squares(others)?;
    let freedom = (m + n - 2) as f64;
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    let reached = attainable(level, m, n);
    let quantiles = student.inverse_cdf(1.0 - reached / 2.0) + student.inverse_cdf(POWER);
    let delta = quantiles * (pooled / freedom * (1.0 / m as f64 + 1.0 / n as f64)).sqrt();
    Some(delta.exp() - 1.0).filter(|share| share.is_finite())
}

/// The greatest level not above `level` that the test has.
fn attainable(level: f64, m: usize, n: usize) -> f64 {
    let all = arrangements(m, n);
    if all > MOST_ARRANGEMENTS {
        return level;
    }
    let step = 2.0 / all;
    // A level that is a multiple of the step must not fall short of itself by rounding.
    step * (level / step + 1e-9).floor()
}

/// Sum of the squared deviations of the logarithms.
fn squares(values: &[f64]) -> Option<f64> {
    if values.iter().any(|&value| value <= 0.0) {
        return None;
    }
    let mean = values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64;
    Some(values.iter().map(|value| (value.ln() - mean).powi(2)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_is_computed_as_it_stands() {
        // Both arms have deviation .02 of logs exactly; level 18/924 = .01948, ν = 10:
        // scipy.stats.t.ppf([1 - .01948 / 2, .8], 10) = 2.7791, .8791.
        let arm: Vec<f64> = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
            .map(|sign: f64| (sign * 0.02 * (5.0_f64 / 6.0).sqrt()).exp())
            .to_vec();
        let expected = ((2.7791_f64 + 0.8791) * 0.02 * (1.0_f64 / 3.0).sqrt()).exp() - 1.0;
        let detectable = detectable(&arm, &arm, 0.02).unwrap();
        assert!(
            (detectable - expected).abs() < 2e-5,
            "{detectable} {expected}"
        );
    }

    #[test]
    fn nothing_is_detectable_where_no_test_could_show_it() {
        let three = [1.0, 1.1, 1.2];
        assert_eq!(detectable(&three, &three, 0.02), None);
        assert_eq!(detectable(&[0.0; 6], &[1.0; 6], 0.02), None);
        assert_eq!(detectable(&[1.0; 6], &[1.0; 6], 0.02), Some(0.0));
    }
}
