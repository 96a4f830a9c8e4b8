//! Samples in the order of time, each moment once: what all stages take for granted.
//!
//! A recording has them so. What others recorded, merged or wrote by hand may not, and a verdict must not hang
//! on the order of rows: samples are sorted, and of several of one moment the one with the median RSS stands
//! for all, as in a bucket of time. Which of them came first says nothing.
//!
//! What this module refuses to do: repair moments. A clock that was set back is taken at its word.

use memtide_model::{Observations, Sample};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The observations with their samples in order; they themselves where they have it, as recordings do.
pub(crate) fn in_order(observations: &Observations) -> Cow<'_, Observations> {
    let rising = |pair: &[Sample]| pair[0].at < pair[1].at;
    if observations.samples.windows(2).all(rising) {
        return Cow::Borrowed(observations);
    }
    let mut samples = observations.samples.clone();
    samples.sort_by(compare);
    let one = |moment: &[Sample]| moment[(moment.len() - 1) / 2];
    let samples = samples.chunk_by(|a, b| a.at == b.at).map(one).collect();
    Cow::Owned(Observations {
        samples,
        ..observations.clone()
    })
}

/// By time, then by RSS, then by whatever else differs: no two that differ are equal.
fn compare(a: &Sample, b: &Sample) -> Ordering {
    (a.at.cmp(&b.at))
        .then(a.memory.rss.cmp(&b.memory.rss))
        .then_with(|| {
            if a == b {
                return Ordering::Equal;
            }
            // Seldom, and any order will do that does not hang on the one they came in.
            format!("{a:?}").cmp(&format!("{b:?}"))
        })
}
