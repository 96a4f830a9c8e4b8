//! The cases that have a truth log, judged: what every way of knowing live bytes must hold.

use super::{Case, cases, log, window};
use memtide_analyzer::analyze;
use memtide_import::Held;
use memtide_model::report::Verdict;
use memtide_model::{HeapObservations, HeapSnapshot, Nanos, Observations, VerdictKind};
use std::collections::BTreeMap;

/// Verdicts of all cases for which `observed` has observations.
pub(crate) fn verdicts(observed: impl Fn(&Case) -> Option<Observations>) -> Vec<(Case, Verdict)> {
    (cases().into_iter())
        .filter_map(|case| {
            let verdict = analyze(&observed(&case)?).report.verdict;
            Some((case, verdict))
        })
        .collect()
}

/// Prints which labels got which answers.
pub(crate) fn table(verdicts: &[(Case, Verdict)]) {
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
pub(crate) fn count(verdicts: &[(Case, Verdict)], label: &str, kind: VerdictKind) -> usize {
    let named = |(case, verdict): &&(Case, Verdict)| case.label == label && verdict.kind == kind;
    verdicts.iter().filter(named).count()
}

/// A leak is never called free memory, fragmentation never a leak; what else is called a leak.
pub(crate) fn false_leaks(verdicts: &[(Case, Verdict)]) -> Vec<String> {
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

/// Over windows of the record: at most one false leak in each, of two cases that are known, and most leaks found.
pub(crate) fn parts_make_hardly_any_false_leaks(
    observed: impl Fn(&Case, f64, f64) -> Option<Observations>,
) {
    // A step that comes again and again until second 30, and the tail of a logarithm.
    let known = ["step-stop-b", "lru-log-b"];
    for (from, to) in [
        (12.0, 36.0),
        (16.0, 48.0),
        (24.0, 48.0),
        (0.0, 32.0),
        (0.0, 24.0),
    ] {
        let verdicts = verdicts(|case| observed(case, from, to));
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

/// A case with looks into it at 0, 10, 20, 40 s and at the end, as few as the lens takes; `None` for the programs that
/// have no truth log.
pub(crate) fn looked(case: &Case, from: f64, to: f64) -> Option<Observations> {
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
