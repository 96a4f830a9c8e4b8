//! Whether what was measured is a wrapper, and the work was done by somebody else.
//!
//! A script that starts the service and waits for it holds a megabyte under every allocator, and a master with
//! workers little more: such runs would compare nothing, and nobody would notice. So a run counts for nothing where
//! for half of the time the children held more than the program itself.

use memtide_model::{Bytes, Observations, Sample, text};

/// Why the program's own memory is not what the work took; `None` where it is.
pub(super) fn refusal(observations: &Observations) -> Option<String> {
    let in_children = |sample: &Sample| sample.counts.children.map_or(Bytes::ZERO, |all| all.rss);
    let samples = observations.samples.iter();
    of(samples.map(|sample| (sample.memory.rss, in_children(sample))))
}

/// The same of samples of the program's own RSS and that of its children.
fn of(samples: impl Iterator<Item = (Bytes, Bytes)>) -> Option<String> {
    let (own, theirs): (Vec<Bytes>, Vec<Bytes>) = samples.unzip();
    let (own, theirs) = (median(own), median(theirs));
    (theirs > own).then(|| {
        format!(
            "its children hold more memory than it does ({} against {}); give the program that does the work, or \
             let what starts it exec it in its own place",
            text::bytes(theirs.as_f64()),
            text::bytes(own.as_f64())
        )
    })
}

/// The upper one of two in the middle; zero of none.
fn median(mut values: Vec<Bytes>) -> Bytes {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(Bytes::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_do_the_work_are_told_from_those_that_come_and_go() {
        let refusal = |children: &[u64]| of(children.iter().map(|rss| (Bytes(100), Bytes(*rss))));
        let why = refusal(&[0, 300, 300, 300]).unwrap_or_default();
        assert!(why.contains("300 B against 100 B"), "{why}");
        // A helper that is there for a moment, as large as it likes, and one that is small.
        assert_eq!(refusal(&[0, 900, 0, 0, 0]), None);
        assert_eq!(refusal(&[50, 50, 50]), None);
        assert_eq!(refusal(&[]), None);
    }
}
