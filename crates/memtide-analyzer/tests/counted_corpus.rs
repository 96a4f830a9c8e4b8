//! The labelled corpus with live bytes beside the samples: the decision between a leak and fragmentation.
//!
//! The programs logged `mallinfo2(3)` of themselves, four times a second: that stands for what the preload
//! shim counts. (mallinfo counts what blocks take, so they have no overhead of their own here.)

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::Verdict;
use memtide_model::{
    Bytes, HeapMode, Lost, Nanos, Observations, StackObservations, StackTotals, VerdictKind,
};
use std::collections::BTreeMap;
use support::{Case, cases, corpus, rows, window};

/// The program started so much before its recording (seconds).
const AHEAD: f64 = 0.2;

/// A case with its truth log as totals; `None` for the programs that have none.
fn counted(case: &Case, from: f64, to: f64) -> Option<Observations> {
    let path = corpus().join(case.series.replace(".csv.gz", ".truth.csv.gz"));
    if !path.exists() {
        return None;
    }
    let mut peak = 0.0_f64;
    let totals = rows(&path).into_iter().map(|row| {
        let live = row["live"].max(0.0);
        peak = peak.max(live);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes of memory are positive and small"
        )]
        let bytes = |value: f64| Bytes(value as u64);
        StackTotals {
            at: Nanos::from_secs_f64(1_000.0 + row["t"] - AHEAD),
            live_bytes: bytes(live),
            peak_bytes: bytes(peak),
            ..StackTotals::default()
        }
    });
    let stacks = StackObservations {
        mode: HeapMode::Full,
        interval: Bytes(1),
        totals: totals.collect(),
        modules: Vec::new(),
        stacks: Vec::new(),
        symbols: Vec::new(),
        symbol_warnings: Vec::new(),
        lost: Lost::default(),
        ended: false,
    };
    let mut observations = window(case, from, to);
    observations.stacks = Some(stacks);
    Some(observations)
}

fn verdicts(from: f64, to: f64) -> Vec<(Case, Verdict)> {
    (cases().into_iter())
        .filter_map(|case| {
            let verdict = analyze(&counted(&case, from, to)?).report.verdict;
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

/// How many of that label got that answer.
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
        verdict.kind == VerdictKind::HeapLeak && case.label != "heap_leak"
    });
    leaks.map(|(case, _)| case.name.clone()).collect()
}

#[test]
fn live_bytes_tell_leaks_from_fragmentation() {
    let verdicts = verdicts(0.0, f64::INFINITY);
    table(&verdicts);
    assert_eq!(verdicts.len(), 94, "programs with a truth log");
    assert_eq!(false_leaks(&verdicts), Vec::<String>::new());
    // The others: one stands at its limit, two are slower than the gate, one may have stopped.
    assert!(count(&verdicts, "heap_leak", VerdictKind::HeapLeak) >= 19);
    assert!(count(&verdicts, "fragmentation", VerdictKind::Fragmentation) >= 4);
    assert!(count(&verdicts, "retention", VerdictKind::Retention) >= 4);
    for (case, verdict) in &verdicts {
        if verdict.kind == VerdictKind::HeapLeak {
            assert!(
                verdict.confidence > 0.85,
                "{}: {}",
                case.name,
                verdict.confidence
            );
        }
    }
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
        assert!(wrong.len() <= 1 && found >= 16, "{found}");
    }
}
