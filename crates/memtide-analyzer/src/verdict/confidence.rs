//! How sure: by what an answer stands on, and by how many shorter parts of the record give the same one.
//!
//! ```text
//! p = 1 / (1 + e^−z),   z = standing + .8 (agreeing − 2) + ln(min(samples, 150) / 150)
//! ```
//!
//! Agreement of the answers on 60 %, 80 % and 100 % of the record is the strongest sign that knows no scale.
//! Parts of records of 20 to 33 s are shorter than the 20 s that growth needs: they say nothing, which counts as another
//! answer. Such a record is never as sure as a longer one, though it was right as often (53 of 54 answers with
//! which no part agreed, at a mean confidence of .89): a record that short holds less, and says less.
//! A table or many features serve no better on programs that they were not fitted on. p is the chance
//! that the answer may be said of the case; of an open answer that its first candidate may.
//!
//! The weights are those of a logistic regression on the labelled corpus, rounded down (records of 20 to 48 s and late
//! windows, looks where they can be had). `tests/score` fits it anew each time, with one program left out at a time as well, and
//! prints both beside these weights in reports/score/README.md, "Hold-out". Not fitted is the weight of the number of
//! samples, which hardly varies in the corpus. Rules were made on the same programs, and on others fewer answers were
//! right (.95 against .98). A counter was never wrong in the corpus, which shows no more than 123 of 124.

use super::answer::{Answer, Standing};
use crate::thresholds::{AGREEMENT_WEIGHT, ENOUGH_SAMPLES, MOST_CONFIDENCE, SHORTER, STANDINGS};
use crate::trail::Trail;
use memtide_model::Unit;

/// Confidence in an answer with which `agreeing` of the two shorter records agree; 0 of an open answer that names
/// no candidate.
pub(super) fn confidence(
    answer: &Answer,
    agreeing: usize,
    samples: usize,
    trail: &mut Trail,
) -> f64 {
    if answer.candidates.is_empty() {
        return 0.0;
    }
    let standing = match answer.standing {
        Standing::Counted => STANDINGS[0],
        Standing::Measured => STANDINGS[1],
        Standing::Shaped => STANDINGS[2],
        Standing::Open => STANDINGS[3],
    };
    let against = SHORTER.len().saturating_sub(agreeing) as f64;
    let fullness = (samples as f64).clamp(1.0, ENOUGH_SAMPLES) / ENOUGH_SAMPLES;
    let z = standing - AGREEMENT_WEIGHT * against + fullness.ln();
    let stands_on = format!("log odds: {}", answer.standing.words());
    trail.tell(&stands_on, standing, Unit::Number);
    let name = "log odds: shorter parts that disagree";
    trail.tell(name, -AGREEMENT_WEIGHT * against, Unit::Number);
    trail.tell("log odds: number of samples", fullness.ln(), Unit::Number);
    trail.tell("log odds in all", z, Unit::Number);
    (1.0 / (1.0 + (-z).exp())).min(MOST_CONFIDENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::VerdictKind;

    fn of(standing: Standing, agreeing: usize, samples: usize) -> f64 {
        let answer = Answer::decided(VerdictKind::Plateau, standing, String::new());
        confidence(&answer, agreeing, samples, &mut Trail::unheard())
    }

    /// Values by hand: 1 / (1 + e^−4) and 1 / (1 + e^−(4 − 1.6 + ln ½)).
    #[test]
    fn confidence_is_the_formula_and_rises_with_all_that_speaks_for_an_answer() {
        assert!((of(Standing::Shaped, 2, 300) - 0.982_014).abs() < 1e-6);
        assert!((of(Standing::Shaped, 0, 75) - 0.846_428).abs() < 1e-6);
        assert!(of(Standing::Shaped, 1, 150) < of(Standing::Shaped, 2, 150));
        assert!(of(Standing::Open, 2, 150) < of(Standing::Shaped, 2, 150));
        assert!(of(Standing::Measured, 2, 40) < of(Standing::Measured, 2, 150));
        assert!(of(Standing::Counted, 2, usize::MAX) <= MOST_CONFIDENCE);
        assert!(of(Standing::Open, 0, 0) > 0.0);
        let nothing = Answer::open(&[], String::new());
        assert!(confidence(&nothing, 2, 150, &mut Trail::unheard()) <= 0.0);
    }
}
