//! The labelled corpus with looks into the heap, as few as the lens takes: at 0, 10, 20, 40 s and at the end.
//!
//! The programs logged `mallinfo2(3)` of themselves: what they held at a moment stands for what a look
//! finds then. What was not resident of it no look would count.

mod support;

use memtide_import::Held;
use memtide_model::{HeapObservations, HeapSnapshot, Nanos, Observations, VerdictKind};
use support::judged::{count, false_leaks, parts_make_hardly_any_false_leaks, table, verdicts};
use support::{Case, log, window};

/// A case with looks into it; `None` for the programs that have no truth log.
fn looked(case: &Case, from: f64, to: f64) -> Option<Observations> {
    let log = log(case)?;
    let mut observations = window(case, from, to);
    let first = observations.samples.first()?.at;
    let last = observations.samples.last()?.at;
    let moments = [0, 10, 20, 40].map(|after| first + Nanos::from_secs(after));
    let looks = (moments.into_iter().filter(|at| *at < last).chain([last]))
        .filter_map(|at| look(&observations, &log, at))
        .collect();
    observations.heap = Some(HeapObservations {
        snapshots: looks,
        unavailable: None,
    });
    Some(observations)
}

/// By the line of the log that is nearest.
fn look(observations: &Observations, log: &[Held], at: Nanos) -> Option<HeapSnapshot> {
    let held = log.iter().min_by_key(|held| held.at.0.abs_diff(at.0))?;
    let sample = (observations.samples.iter()).rfind(|sample| sample.at <= at)?;
    let mut look = held.as_snapshot(sample);
    look.at = at;
    Some(look)
}

#[test]
fn a_few_looks_tell_leaks_from_fragmentation() {
    let verdicts = verdicts(|case| looked(case, 0.0, f64::INFINITY));
    table(&verdicts);
    assert_eq!(verdicts.len(), 94, "programs with a truth log");
    assert_eq!(false_leaks(&verdicts), Vec::<String>::new());
    assert!(count(&verdicts, "heap_leak", VerdictKind::HeapLeak) >= 19);
    assert!(count(&verdicts, "fragmentation", VerdictKind::Fragmentation) >= 4);
}

#[test]
fn parts_of_the_record_make_hardly_any_false_leaks() {
    parts_make_hardly_any_false_leaks(looked);
}
