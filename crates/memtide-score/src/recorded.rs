//! The recorded series: every case, over all windows, with and without looks into the heap.

use crate::answer::{Answer, Basis, Truth, Window};
use crate::manifest::Case;
use crate::observe::looked_at;
use crate::{Result, pool};
use memtide_analyzer::analyze;
use memtide_analyzer::record::Record;
use memtide_analyzer::statistics::quantile::median;
use memtide_analyzer::statistics::{Series, theil_sen};
use memtide_analyzer::thresholds::SHORTER;
use memtide_analyzer::verdict::{Facts, Standing, decide};
use memtide_import::{Held, Known, observations, read_series, read_truth};
use memtide_model::{HeapSnapshot, Limits, Nanos, Observations, Sample, VerdictKind};
use std::path::Path;

/// All of a record.
pub(crate) const WHOLE: Window = Window {
    from: 0.0,
    to: 48.0,
};
/// The process runs already when memtide is called.
pub(crate) const LATE: [Window; 3] = [
    Window {
        from: 12.0,
        to: 36.0,
    },
    Window {
        from: 16.0,
        to: 48.0,
    },
    Window {
        from: 24.0,
        to: 48.0,
    },
];
/// Lengths of records from the start, in seconds; the last is [`WHOLE`].
pub(crate) const LENGTHS: [f64; 9] = [4.0, 8.0, 12.0, 16.0, 20.0, 26.0, 32.0, 40.0, 48.0];

/// A case as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Which.
    pub(crate) case: Case,
    origin: Nanos,
    samples: Vec<Sample>,
    /// Empty for programs that keep no log.
    log: Vec<Held>,
}

impl Recorded {
    /// Reads the series of a case, and the log beside it where there is one.
    ///
    /// Errors: `Series`.
    pub(crate) fn read(corpus: &Path, case: &Case) -> Result<Self> {
        let series = read_series(&corpus.join(&case.series))?;
        let log = corpus.join(case.series.replace(".csv.gz", ".truth.csv.gz"));
        Ok(Self {
            case: case.clone(),
            origin: series.origin,
            samples: series.samples,
            log: if log.exists() {
                read_truth(&log, series.origin)?
            } else {
                Vec::new()
            },
        })
    }

    /// True if the program kept a log of what malloc held.
    pub(crate) fn has_log(&self) -> bool {
        !self.log.is_empty()
    }

    /// What is recorded of a window, with looks or without.
    pub(crate) fn observations(&self, window: Window, looks: bool) -> Observations {
        let samples = self.samples(window);
        let looks = (looks && self.has_log()).then(|| {
            (looked_at(&samples).into_iter())
                .filter_map(|sample| self.look(sample))
                .collect()
        });
        let known = Known {
            name: &self.case.name,
            runtime: self.case.runtime(),
            // The reader has left out what was before exec.
            age: Nanos::from_secs_f64(window.from + 2.0),
            limits: Limits {
                address_space: self.case.address_space_limit,
                ..Limits::default()
            },
        };
        observations(&known, samples, looks)
    }

    /// RSS after a moment, in bytes by seconds since then.
    pub(crate) fn rest(&self, from: Nanos) -> Series {
        let after = self.samples.iter().filter(|sample| sample.at > from);
        Series::of(after.map(|s| (s.at.seconds_since(from), s.memory.rss.as_f64())))
    }

    /// The samples of a window. The whole record ends where it ends, and one of so many seconds from the
    /// start spans them all: it ends with the sample that completes them.
    fn samples(&self, window: Window) -> Vec<Sample> {
        let second = |sample: &Sample| sample.at.seconds_since(self.origin);
        let from = self
            .samples
            .partition_point(|sample| second(sample) < window.from);
        let end = if window == WHOLE {
            self.samples.len()
        } else if window.from > 0.0 {
            self.samples
                .partition_point(|sample| second(sample) <= window.to)
        } else {
            let start = self.samples.first().map_or(0.0, second);
            let before = |sample: &Sample| second(sample) - start < window.to;
            self.samples.partition_point(before) + 1
        };
        let end = end.clamp(from, self.samples.len());
        self.samples.get(from..end).unwrap_or_default().to_vec()
    }

    /// The heap at a sample, by the log's last line before it.
    fn look(&self, sample: &Sample) -> Option<HeapSnapshot> {
        let before = self.log.partition_point(|held| held.at <= sample.at);
        let held = self.log.get(before.saturating_sub(1))?;
        let mut look = held.as_snapshot(sample);
        look.at = sample.at;
        Some(look)
    }

    /// What is true of a window.
    pub(crate) fn truth(&self, window: Window) -> Truth {
        let samples = self.samples(window);
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            return Truth::default();
        };
        let point = |at: Nanos, value: f64| (at.as_secs_f64(), value);
        let rss = Series::of(samples.iter().map(|s| point(s.at, s.memory.rss.as_f64())));
        let live = Series::of(
            (self.log.iter())
                .filter(|held| first.at <= held.at && held.at <= last.at)
                .map(|held| point(held.at, held.live.as_f64())),
        );
        truth(&self.case, &live, &rss)
    }

    /// The engine's answer.
    pub(crate) fn answer(&self, window: Window, looks: bool) -> Answer {
        let observations = self.observations(window, looks);
        let report = analyze(&observations).report;
        let mut answer = Answer::of(&self.case, window, self.truth(window), &report);
        // A look at a heap that is empty is a look.
        answer.looked = looks && self.has_log();
        answer.basis = Some(basis(&observations));
        answer
    }
}

/// What is true of a record, by the live bytes of the log (empty where there is none) and RSS.
pub(crate) fn truth(case: &Case, live: &Series, rss: &Series) -> Truth {
    let has_log = live.len() > 1;
    let live_slope = has_log.then(|| theil_sen::slope(live));
    let of_blocks = case.label == VerdictKind::HeapLeak;
    let slope = match live_slope.filter(|_| of_blocks) {
        Some(slope) => slope,
        None => theil_sen::slope(rss),
    };
    Truth {
        live_slope,
        grown_share: slope * rss.span() / median(&rss.y).max(1.0),
    }
}

/// What the engine's confidence in its answer is made of.
fn basis(observations: &Observations) -> Basis {
    let record = Record::of(observations);
    let of = |record: &Record| decide(&Facts::of(record, observations, None));
    let answer = of(&record);
    let agrees = |share: &&f64| {
        let other = of(&record.first_part(**share));
        other.kind == answer.kind && other.candidates.first() == answer.candidates.first()
    };
    Basis {
        standing: match answer.standing {
            Standing::Counted => "counted",
            Standing::Measured => "measured",
            Standing::Shaped => "shaped",
            Standing::Open => "open",
        },
        agreeing: SHORTER.iter().filter(agrees).count(),
    }
}

/// All answers: each case over the whole record, late windows and all lengths, without looks and,
/// where there is a log, with them.
///
/// Errors: `Series`.
pub(crate) fn answers(corpus: &Path, cases: &[Case]) -> Result<Vec<Answer>> {
    let mut windows: Vec<Window> = LENGTHS.map(|to| Window { from: 0.0, to }).to_vec();
    windows.extend(LATE);
    let of_case = |case: &Case| -> Result<Vec<Answer>> {
        let recorded = Recorded::read(corpus, case)?;
        let looks: &[bool] = if recorded.has_log() {
            &[false, true]
        } else {
            &[false]
        };
        let each = |&looks: &bool| {
            let recorded = &recorded;
            (windows.iter()).map(move |&window| recorded.answer(window, looks))
        };
        Ok(looks.iter().flat_map(each).collect())
    };
    let all: Result<Vec<Vec<Answer>>> = pool::map(cases, pool::processors(), of_case)
        .into_iter()
        .collect();
    Ok(all?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::cases;
    use std::path::PathBuf;

    fn recorded(name: &str) -> Recorded {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus");
        let case = cases(&corpus, name).unwrap().swap_remove(0);
        Recorded::read(&corpus, &case).unwrap()
    }

    /// The manifest gives 566,522 bytes/s, found by other means (a line through mallinfo2).
    #[test]
    fn truth_is_that_of_the_manifest() {
        let leak = recorded("leak-small-mid");
        let truth = leak.truth(WHOLE);
        let slope = truth.live_slope.unwrap();
        assert!((slope / 566_522.0 - 1.0).abs() < 0.03, "{slope}");
        assert!(truth.grown_share > 1.0, "{truth:?}");
        assert!(recorded("steady-1").truth(WHOLE).grown_share < 0.01);
        assert_eq!(recorded("py-steady").truth(WHOLE).live_slope, None);
    }

    #[test]
    fn windows_hold_what_they_say() {
        let leak = recorded("leak-small-mid");
        for to in LENGTHS {
            let samples = leak.samples(Window { from: 0.0, to });
            let span = samples.last().unwrap().at.seconds_since(samples[0].at);
            let whole = to >= WHOLE.to;
            assert!(whole || span >= to && span < to + 1.5, "{to}: {span}");
        }
        for window in LATE {
            let samples = leak.samples(window);
            let second = |sample: &Sample| sample.at.seconds_since(leak.origin);
            assert!(
                samples
                    .iter()
                    .all(|s| (window.from..=window.to).contains(&second(s)))
            );
            let span = samples.last().unwrap().at.seconds_since(samples[0].at);
            assert!(window.to - window.from - span < 1.5, "{window:?}: {span}");
        }
    }

    #[test]
    fn looks_are_few_and_within_the_window() {
        let leak = recorded("leak-small-mid");
        let observations = leak.observations(LATE[0], true);
        let looks = observations.heap.unwrap().snapshots;
        assert_eq!(looks.len(), 4);
        assert_eq!(looks[0].at, observations.samples[0].at);
        assert_eq!(looks[3].at, observations.samples.last().unwrap().at);
        let share = |k: usize| {
            looks[k].at.seconds_since(looks[0].at) / looks[3].at.seconds_since(looks[0].at)
        };
        assert!((share(1) - 1.0 / 3.0).abs() < 0.03 && (share(2) - 2.0 / 3.0).abs() < 0.03);
        assert!(leak.observations(WHOLE, false).heap.is_none());
    }

    #[test]
    fn a_plain_leak_is_found_with_looks_and_left_open_without() {
        let leak = recorded("leak-small-mid");
        let (with, without) = (leak.answer(WHOLE, true), leak.answer(WHOLE, false));
        assert_eq!((with.kind, with.is_strict()), (VerdictKind::HeapLeak, true));
        assert!(without.is_open() && without.first_is_label() && without.acceptable);
    }
}
