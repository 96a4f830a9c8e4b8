//! Many arms against one baseline: correction of p, and the runs that it takes.
//!
//! Holm's step-down procedure (1979): the i-th smallest of m values of p is multiplied by m − i + 1, no corrected value
//! is below one before it, none above 1. It holds the chance of any false difference in the whole comparison at
//! alpha, whatever the dependence between the tests, which share a baseline here.

use super::permutation::least_p;
use crate::thresholds::FEWEST_RUNS;

/// More runs than anybody makes; where even they would not do, this is the answer.
const MOST_RUNS: u64 = 500;

/// The corrected values of p, in the order of `raw`.
pub fn corrected(raw: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..raw.len()).collect();
    let at = |index: usize| raw.get(index).copied().unwrap_or(1.0);
    order.sort_by(|&a, &b| at(a).total_cmp(&at(b)));
    let mut corrected = vec![1.0; raw.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(at(index) * (raw.len() - rank) as f64).min(1.0);
        if let Some(slot) = corrected.get_mut(index) {
            *slot = largest;
        }
    }
    corrected
}

/// Fewest runs of each arm with which a difference can be shown at all: the smallest n of at least
/// [`FEWEST_RUNS`] with 2 / C(2n, n) ≤ alpha / m, because the smallest p of m must pass at alpha / m.
pub fn runs_needed(alpha: f64, tested: u64) -> u64 {
    let level = alpha / tested.max(1) as f64;
    let enough = |&runs: &u64| {
        let runs = usize::try_from(runs).unwrap_or(usize::MAX);
        least_p(runs, runs) <= level
    };
    (FEWEST_RUNS..MOST_RUNS).find(enough).unwrap_or(MOST_RUNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrected_values_are_those_of_r() {
        // p.adjust(c(.01, .04, .03, .005), "holm")
        let expected = [0.03, 0.06, 0.06, 0.02];
        for (value, expected) in corrected(&[0.01, 0.04, 0.03, 0.005]).iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        }
        assert!(corrected(&[]).is_empty());
    }

    #[test]
    fn runs_that_are_needed_grow_with_the_arms() {
        // C(10, 5) = 252, C(12, 6) = 924, C(14, 7) = 3,432: 2/252 = .0079, 2/924 = .0022, 2/3432 = .0006.
        for (alpha, tested, runs) in [
            (0.02, 1, 5),
            (0.02, 2, 5),
            (0.02, 3, 6),
            (0.02, 9, 6),
            (0.02, 10, 7),
            (0.1, 1, 5),
            (0.001, 1, 7),
        ] {
            assert_eq!(runs_needed(alpha, tested), runs, "{alpha} {tested}");
        }
        assert_eq!(runs_needed(0.0, 1), MOST_RUNS);
    }
}
