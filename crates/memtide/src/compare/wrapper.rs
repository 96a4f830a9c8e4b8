//! Whether what was measured is a wrapper, and the work was done by somebody else.
//!
//! A script that starts the service and waits for it holds a megabyte under every allocator, and a master with
//! workers little more: such runs would compare nothing, and nobody would notice. So a run counts for nothing where
//! for half of the time the children held more than the program itself.

use memtide_model::{Observations, Sample, text};

/// Why the program's own memory is not what the work took; `None` where it is.
pub(super) fn refusal(observations: &Observations) -> Option<String> {
    let samples = &observations.samples;
    let in_children = |sample: &Sample| sample.counts.children.map_or(0.0, |all| all.rss.as_f64());
    let own = median(samples.iter().map(|sample| sample.memory.rss.as_f64()));
    let theirs = median(samples.iter().map(in_children));
    (theirs > own).then(|| {
        format!(
            "its children hold more memory than it does ({} against {}); give the program that does the work, or \
             let what starts it exec it in its own place",
            text::bytes(theirs),
            text::bytes(own)
        )
    })
}

/// The upper one of two in the middle; zero of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::{Bytes, Children};

    fn observed(children: &[u64]) -> Observations {
        let sample = |rss: &u64| {
            let mut sample = Sample::default();
            sample.memory.rss = Bytes(100);
            sample.counts.children = (*rss > 0).then(|| Children {
                total: 1,
                rss: Bytes(*rss),
                ..Children::default()
            });
            sample
        };
        Observations {
            samples: children.iter().map(sample).collect(),
            ..Observations::default()
        }
    }

    #[test]
    fn children_that_do_the_work_are_told_from_those_that_come_and_go() {
        let why = refusal(&observed(&[0, 300, 300, 300])).unwrap_or_default();
        assert!(why.contains("300 B against 100 B"), "{why}");
        // A helper that is there for a moment, as large as it likes, and one that is small.
        assert_eq!(refusal(&observed(&[0, 900, 0, 0, 0])), None);
        assert_eq!(refusal(&observed(&[50, 50, 50])), None);
        assert_eq!(refusal(&observed(&[])), None);
    }
}
