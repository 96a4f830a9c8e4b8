//! The labelled corpus with looks into the heap, as few as the lens takes: at 0, 10, 20, 40 s and at the end.
//!
//! The programs logged `mallinfo2(3)` of themselves: what they held at a moment stands for what a look
//! finds then. What was not resident of it no look would count.

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::Verdict;
use memtide_model::{
    Bytes, HeapObservations, HeapSnapshot, HeapTotals, Nanos, Observations, VerdictKind,
};
use std::collections::{BTreeMap, HashMap};
use support::{Case, cases, corpus, rows, window};

/// The program started so much before its recording (seconds).
const AHEAD: f64 = 0.2;

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

fn verdicts(from: f64, to: f64) -> Vec<(Case, Verdict)> {
    (cases().into_iter())
        .filter_map(|case| {
            let verdict = analyze(&looked(&case, from, to)?).report.verdict;
            Some((case, verdict))
        })
        .collect()
}

fn table(verdicts: &[(Case, Verdict)]) {
    let mut table = BTreeMap::<(&str, &str), Vec<&str>>::new();
    for (case, verdict) in verdicts {
        let key = (case.label.as_str(), verdict.kind.name());
        table.entry(key).or_default().push(&case.name);
    }
    for ((label, answer), names) in &table {
        println!(
            "{label:18} → {answer:18} {:3}  {}",
            names.len(),
            names.join(" ")
        );
    }
}

fn count(verdicts: &[(Case, Verdict)], label: &str, kind: VerdictKind) -> usize {
    let named = |(case, verdict): &&(Case, Verdict)| case.label == label && verdict.kind == kind;
    verdicts.iter().filter(named).count()
}

/// A leak is never called free memory, fragmentation never a leak; what else is called a leak.
fn false_leaks(verdicts: &[(Case, Verdict)]) -> Vec<String> {
    for kind in [VerdictKind::Fragmentation, VerdictKind::Retention] {
        assert_eq!(count(verdicts, "heap_leak", kind), 0, "a leak is {kind:?}");
        assert_eq!(count(verdicts, "mmap_leak", kind), 0, "a leak is {kind:?}");
    }
    assert_eq!(count(verdicts, "fragmentation", VerdictKind::HeapLeak), 0);
    let leaks = verdicts.iter().filter(|(case, verdict)| {
        let leak = matches!(verdict.kind, VerdictKind::HeapLeak | VerdictKind::MmapLeak);
        leak && case.label != verdict.kind.name()
    });
    leaks.map(|(case, _)| case.name.clone()).collect()
}

#[test]
fn a_few_looks_tell_leaks_from_fragmentation() {
    let verdicts = verdicts(0.0, f64::INFINITY);
    table(&verdicts);
    assert_eq!(verdicts.len(), 94, "programs with a truth log");
    assert_eq!(false_leaks(&verdicts), Vec::<String>::new());
    assert!(count(&verdicts, "heap_leak", VerdictKind::HeapLeak) >= 19);
    assert!(count(&verdicts, "fragmentation", VerdictKind::Fragmentation) >= 4);
}

#[test]
fn parts_of_the_record_make_hardly_any_false_leaks() {
    // A step that comes again and again until second 30, and the tail of a logarithm.
    let known = ["step-stop-b", "lru-log-b"];
    for (from, to) in [
        (12.0, 36.0),
        (16.0, 48.0),
        (24.0, 48.0),
        (0.0, 32.0),
        (0.0, 24.0),
    ] {
        let verdicts = verdicts(from, to);
        let wrong = false_leaks(&verdicts);
        let found = count(&verdicts, "heap_leak", VerdictKind::HeapLeak);
        println!("{from}–{to} s: {found} of 23 leaks, false leaks {wrong:?}");
        assert!(
            wrong.iter().all(|name| known.contains(&name.as_str())),
            "{wrong:?}"
        );
        assert!(wrong.len() <= 1 && found >= 16, "{found} {wrong:?}");
    }
}
