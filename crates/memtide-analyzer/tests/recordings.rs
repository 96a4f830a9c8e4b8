//! Recordings side by side: slower, faster, the same, by intervals; stacks matched across releases.

mod support;

use memtide_analyzer::analyze;
use memtide_analyzer::comparison::recordings;
use memtide_model::comparison::{Comparison, ComparisonKind};
use memtide_model::report::{FrameRow, StackRow};
use memtide_model::{Findings, StackEnd, StackKind, StackOwner};
use support::arms::MIB;
use support::look::{AT, Books, fragmenting, leaking, looked};
use support::{Random, heap};

/// A minute that grows by so many MiB per second on top of 50 MiB, with a noise of 20 KiB.
fn growing(rate: f64, seed: u64) -> Findings {
    let mut random = Random(seed);
    analyze(&heap((0..240).map(|k| {
        let second = f64::from(k) / 4.0;
        let noise = 20.0 * 1024.0 * random.normal();
        (second, MIB * (50.0 + rate * second) + noise)
    })))
}

fn compare(sides: &[(&str, Findings)]) -> Comparison {
    recordings(
        sides
            .iter()
            .map(|(name, findings)| ((*name).to_owned(), findings.clone()))
            .collect(),
    )
}

#[test]
fn a_fix_is_better_and_a_new_leak_is_worse() {
    let (leak, level) = (growing(0.5, 3), growing(0.0, 4));
    let fixed = compare(&[("before", leak.clone()), ("after", level.clone())]);
    let verdict = &fixed.verdict;
    assert_eq!(
        (verdict.kind, verdict.arm.as_deref()),
        (ComparisonKind::Better, Some("after"))
    );
    assert!(
        verdict.summary.starts_with("after does not grow any more"),
        "{}",
        verdict.summary
    );
    assert_eq!(
        (fixed.arms[0].grows, fixed.arms[1].grows),
        (Some(true), Some(false))
    );
    let ratio = fixed.arms[1].growth_ratio.unwrap();
    assert!(ratio.differs && ratio.value.abs() < 0.02, "{ratio:?}");
    assert!(!fixed.arms[1].ledger.is_empty() && fixed.arms[1].verdict.is_some());
    let broken = compare(&[("before", level), ("after", leak)]);
    assert_eq!(broken.verdict.kind, ComparisonKind::Worse);
    assert_eq!(broken.arms[1].growth_ratio, None, "the first does not grow");
}

#[test]
fn half_the_rate_is_slower_and_goes_on() {
    let half = compare(&[("v1", growing(0.5, 5)), ("v2", growing(0.25, 6))]);
    assert!(
        half.verdict.summary.starts_with("v2 grows more slowly: "),
        "{}",
        half.verdict.summary
    );
    let ratio = half.arms[1].growth_ratio.unwrap();
    assert!(ratio.low < 0.5 && ratio.high > 0.5, "{ratio:?}");
    assert!(half.verdict.advice[0].contains("memtide report v2"));
}

#[test]
fn two_records_of_one_program_show_no_difference() {
    let mut random = Random(9);
    let different = (0..30).filter(|_| {
        let mut seed = || random.uniform().to_bits();
        let pair = compare(&[("a", growing(0.1, seed())), ("b", growing(0.1, seed()))]);
        pair.verdict.kind != ComparisonKind::NoDifference
    });
    assert_eq!(different.count(), 0);
}

#[test]
fn of_several_the_last_that_differs_decides() {
    let three = compare(&[
        ("a", growing(0.2, 1)),
        ("b", growing(0.0, 2)),
        ("c", growing(0.9, 3)),
    ]);
    assert_eq!(
        (three.verdict.kind, three.verdict.arm.as_deref()),
        (ComparisonKind::Worse, Some("c"))
    );
}

#[test]
fn a_warm_up_has_no_rate_to_beat() {
    // It rose by 20 MiB in the first 10 s and is level since; its line would rise by .1 MiB a second or more.
    let warm = analyze(&heap((0..240).map(|k| {
        let second = f64::from(k) / 4.0;
        (second, MIB * (50.0 + 20.0 * (1.0 - (-second / 4.0).exp())))
    })));
    let leak = compare(&[("warm", warm), ("leak", growing(0.05, 7))]);
    assert_eq!(
        leak.verdict.kind,
        ComparisonKind::Worse,
        "{}",
        leak.verdict.summary
    );
}

#[test]
fn live_blocks_decide_where_rss_shows_nothing() {
    // The same RSS: in one the growth is live, in the other free memory.
    let leak = analyze(&looked(60, &AT, leaking));
    let holes = analyze(&looked(60, &AT, |t| Books {
        trimmable: 0.0,
        ..fragmenting(t)
    }));
    let both = compare(&[("leak", leak), ("holes", holes)]);
    assert_eq!(
        both.verdict.kind,
        ComparisonKind::Better,
        "{}",
        both.verdict.summary
    );
    assert!(
        both.verdict.summary.contains("in live blocks"),
        "{}",
        both.verdict.summary
    );
}

#[test]
fn nothing_and_too_little_are_undetermined() {
    assert_eq!(compare(&[]).verdict.kind, ComparisonKind::Undetermined);
    assert_eq!(
        compare(&[("a", growing(0.1, 1))]).verdict.kind,
        ComparisonKind::Undetermined
    );
    let short = || analyze(&heap([(0.0, MIB), (1.0, MIB)]));
    let pair = compare(&[("a", short()), ("b", short())]);
    assert_eq!(pair.verdict.kind, ComparisonKind::Undetermined);
    let empty = compare(&[("a", analyze(&heap([]))), ("b", growing(1.0, 2))]);
    let json = serde_json::to_string(&empty).unwrap();
    serde_json::from_str::<Comparison>(&json).unwrap();
}

fn stack(functions: &[&str], release: u32, live_bytes: u64, rate: f64) -> StackRow {
    let frame = |(index, function): (usize, &&str)| FrameRow {
        function: Some((*function).to_owned()),
        module: Some(format!("/opt/shop-{release}/bin/shop")),
        file: Some("shop.c".to_owned()),
        line: Some(10 * release),
        inlined: false,
        address: format!("{:#x}", 0x1000 * u64::from(release) + index as u64),
    };
    StackRow {
        kind: StackKind::Heap,
        owner: StackOwner::Target,
        end: StackEnd::Root,
        live_bytes,
        live_blocks: 1,
        peak_bytes: live_bytes,
        allocs: 1,
        frees: 0,
        growth_bytes: 0,
        growth_share: None,
        bytes_per_second: Some(rate),
        low: None,
        high: None,
        leak_score: None,
        never_freed: false,
        suppressed: None,
        samples: None,
        frames: functions.iter().enumerate().map(frame).collect(),
    }
}

#[test]
fn stacks_are_matched_by_names_and_not_by_addresses() {
    let mut before = growing(0.5, 3);
    before.report.stacks = Some(vec![
        stack(&["parse", "main"], 1, 900, 50.0),
        stack(&["load", "main"], 1, 500, 0.0),
        // The same by name, from two places of one function.
        stack(&["parse", "main"], 1, 100, 5.0),
    ]);
    let mut after = growing(0.1, 4);
    after.report.stacks = Some(vec![
        stack(&["parse", "main"], 2, 300, 5.0),
        stack(&["load", "main"], 2, 500, 0.0),
        stack(&["index", "main"], 2, 700, 8.0),
        StackRow {
            suppressed: Some("cache*".to_owned()),
            ..stack(&["cache"], 2, 1 << 30, 1e6)
        },
    ]);
    let comparison = compare(&[("v1", before), ("v2", after)]);
    assert_eq!(comparison.arms[0].stacks, None);
    let rows = comparison.arms[1].stacks.as_ref().unwrap();
    let row = |k: usize| {
        let row = &rows[k];
        let name = row.frames[0].function.clone().unwrap();
        (
            name,
            row.baseline_live_bytes,
            row.live_bytes,
            row.difference,
            row.frames[0].line,
        )
    };
    assert_eq!(rows.len(), 2, "{rows:#?}");
    assert_eq!(row(0), ("parse".to_owned(), 1000, 300, -50.0, Some(20)));
    assert_eq!(row(1), ("index".to_owned(), 0, 700, 8.0, Some(20)));
    assert_eq!(rows[1].baseline_bytes_per_second, None);
    let without = compare(&[("v1", growing(0.5, 3)), ("v2", growing(0.1, 4))]);
    assert_eq!(without.arms[1].stacks, None);
}
