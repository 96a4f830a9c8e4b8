//! The labelled corpus with looks into the heap, as few as the lens takes: at 0, 10, 20, 40 s and at the end.
//!
//! The programs logged `mallinfo2(3)` of themselves: what they held at a moment stands for what a look
//! finds then. What was not resident of it no look would count.

mod support;

use memtide_model::{
    Bytes, HeapObservations, HeapSnapshot, HeapTotals, Nanos, Observations, VerdictKind,
};
use std::collections::HashMap;
use support::judged::{
    AHEAD, count, false_leaks, parts_make_hardly_any_false_leaks, table, verdicts,
};
use support::{Case, corpus, rows, window};

/// A case with looks into it; `None` for the programs that have no truth log.
fn looked(case: &Case, from: f64, to: f64) -> Option<Observations> {
    let path = corpus().join(case.series.replace(".csv.gz", ".truth.csv.gz"));
    if !path.exists() {
        return None;
    }
    let truth = rows(&path);
    let mut observations = window(case, from, to);
    let first = observations.samples.first()?.at;
    let last = observations.samples.last()?.at;
    let start = first.as_secs_f64() - 1_000.0;
    let end = last.as_secs_f64() - 1_000.0;
    let moments = [0.0, 10.0, 20.0, 40.0].map(|after| start + after);
    let looks = (moments.into_iter().filter(|t| *t < end).chain([end]))
        .filter_map(|t| look(&observations, &truth, t))
        .collect();
    observations.heap = Some(HeapObservations {
        snapshots: looks,
        unavailable: None,
    });
    Some(observations)
}

fn look(
    observations: &Observations,
    truth: &[HashMap<String, f64>],
    t: f64,
) -> Option<HeapSnapshot> {
    let off = |row: &&HashMap<String, f64>| (row["t"] - AHEAD - t).abs();
    let row = (truth.iter()).min_by(|a, b| off(a).total_cmp(&off(b)))?;
    let at = Nanos::from_secs_f64(1_000.0 + t);
    let sample =
        (observations.samples.iter()).rfind(|sample| sample.at <= at + Nanos(1_000_000))?;
    let anon = sample.memory.rss_anon?.as_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes of memory are positive and small"
    )]
    let bytes = |value: f64| Bytes(value.max(0.0) as u64);
    let resident = row["held"].min(anon);
    Some(HeapSnapshot {
        at,
        rss: sample.memory.rss,
        totals: HeapTotals {
            live_bytes: bytes(row["live"]),
            live_resident: bytes(row["live"].min(resident)),
            heap_resident: bytes(resident),
            ..HeapTotals::default()
        },
        ..HeapSnapshot::default()
    })
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
