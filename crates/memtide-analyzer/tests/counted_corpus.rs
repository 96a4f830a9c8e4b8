//! The labelled corpus with live bytes beside the samples: the decision between a leak and fragmentation.
//!
//! The programs logged `mallinfo2(3)` of themselves, four times a second: that stands for what the preload
//! shim counts. (mallinfo counts what blocks take, so they have no overhead of their own here.)

mod support;

use memtide_model::{
    Bytes, HeapMode, Lost, Observations, StackObservations, StackTotals, VerdictKind,
};
use support::judged::{count, false_leaks, parts_make_hardly_any_false_leaks, table, verdicts};
use support::{Case, log, window};

/// A case with its truth log as totals; `None` for the programs that have none.
fn counted(case: &Case, from: f64, to: f64) -> Option<Observations> {
    let mut peak = Bytes(0);
    let totals = log(case)?.into_iter().map(|held| {
        peak = peak.max(held.live);
        StackTotals {
            at: held.at,
            live_bytes: held.live,
            peak_bytes: peak,
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

#[test]
fn live_bytes_tell_leaks_from_fragmentation() {
    let verdicts = verdicts(|case| counted(case, 0.0, f64::INFINITY));
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
    parts_make_hardly_any_false_leaks(counted);
}
