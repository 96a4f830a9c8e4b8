//! Does a confidence of .9 mean that nine of ten are right?
//!
//! With c the confidence of an answer and r 1 where it was right and 0 where not:
//!
//! ```text
//! Brier = mean of (c − r)²                                   (Brier 1950)
//! ECE   = Σ over bins of n_bin/n · |mean r − mean c|         (ten bins of equal width; Naeini et al. 2015)
//! ```
//!
//! ECE of few answers is biased upwards: a bin of ten answers is off by .1 by chance alone.

use super::share::Share;

/// Bins of equal width between 0 and 1.
const BINS: usize = 10;

/// A confidence, and whether the answer was right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// From 0 to 1.
    pub(crate) confidence: f64,
    /// Whether it was.
    pub(crate) right: bool,
}

/// The answers of one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    /// Its lower end.
    pub(crate) from: f64,
    /// Mean confidence of its answers.
    pub(crate) confidence: f64,
    /// Those that were right.
    pub(crate) right: Share,
}

/// The bins that hold answers, ascending. A confidence of 1 is in the last.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of ten; the cast saturates"
)]
pub(crate) fn bins(outcomes: &[Outcome]) -> Vec<Bin> {
    let place = |outcome: &Outcome| {
        // .3 × 10 is a little less than 3 for some ways to come by .3.
        ((outcome.confidence * BINS as f64 + 1e-9) as usize).min(BINS - 1)
    };
    (0..BINS)
        .filter_map(|bin| {
            let here: Vec<&Outcome> = outcomes.iter().filter(|o| place(o) == bin).collect();
            let sum: f64 = here.iter().map(|outcome| outcome.confidence).sum();
            (!here.is_empty()).then(|| Bin {
                from: bin as f64 / BINS as f64,
                confidence: sum / here.len() as f64,
                right: Share::count(&here, |outcome| outcome.right),
            })
        })
        .collect()
}

/// Expected calibration error; 0 of nothing.
pub(crate) fn ece(outcomes: &[Outcome]) -> f64 {
    let n = outcomes.len().max(1) as f64;
    let off = |bin: &Bin| bin.right.of as f64 / n * (bin.right.value() - bin.confidence).abs();
    bins(outcomes).iter().map(off).sum()
}

/// Brier's score; 0 of nothing.
pub(crate) fn brier(outcomes: &[Outcome]) -> f64 {
    let n = outcomes.len().max(1) as f64;
    let off = |outcome: &Outcome| outcome.confidence - f64::from(u8::from(outcome.right));
    outcomes
        .iter()
        .map(|outcome| off(outcome).powi(2))
        .sum::<f64>()
        / n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both computed with numpy: bins of equal width, `np.minimum((c * 10).astype(int), 9)`.
    #[test]
    fn error_and_score_are_those_of_numpy() {
        let confidence = [0.05, 0.31, 0.39, 0.55, 0.62, 0.78, 0.78, 0.93, 0.93, 1.0];
        let right = [0, 0, 1, 1, 0, 1, 1, 1, 0, 1].map(|right| right == 1);
        let outcomes: Vec<Outcome> = (confidence.into_iter().zip(right))
            .map(|(confidence, right)| Outcome { confidence, right })
            .collect();
        assert!((brier(&outcomes) - 0.202_42).abs() < 1e-12);
        assert!((ece(&outcomes) - 0.272).abs() < 1e-12);
        let bins = bins(&outcomes);
        let counts: Vec<usize> = bins.iter().map(|bin| bin.right.of).collect();
        assert_eq!(counts, [1, 2, 1, 1, 2, 3]);
        assert!((bins[5].from - 0.9).abs() < 1e-12);
        assert!((ece(&[]) + brier(&[])).abs() < 1e-12);
    }
}
