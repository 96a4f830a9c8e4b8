//! The list of stacks and the sums beside it: order, growth, slopes, suppressions, what was not seen.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes made here are small and positive"
)]

mod support;

use memtide_analyzer::{Suppressions, analyze, analyze_with};
use memtide_model::{
    Account, Bytes, CodeModuleId, HeapMode, Observations, StackOwner, Symbol, VerdictKind,
    Visibility,
};
use support::shim::{KIB, MIB, Site, account, churn, leak, leaking, name, names, recorded, stacks};

#[test]
fn what_grows_steadily_leads_what_is_large() {
    let sites = [
        // 200 MiB of tables within the first second.
        Site::heap("load_tables", 1 << 20, |t| ((200.0 * t.min(1.0)) as u64, 0)),
        // A cache that fills up with 30 MiB until second 20.
        Site::heap("fill_cache", 1 << 10, |t| {
            ((1536.0 * t.min(20.0)) as u64, 0)
        }),
        Site::heap("leak_slowly", 1 << 10, leak(50.0)),
        Site::heap("leak_faster", 1 << 10, leak(120.0)),
        // One block late: it grows, but it is a trickle.
        Site::heap("trickle", 16, |t| (u64::from(t > 50.0), 0)),
    ];
    let report = analyze(&recorded(60, &sites, |_, live| live + MIB)).report;
    assert_eq!(
        names(&report),
        [
            "leak_faster",
            "leak_slowly",
            "fill_cache",
            "trickle",
            "load_tables"
        ]
    );
    let growth: Vec<i64> = stacks(&report).iter().map(|row| row.growth_bytes).collect();
    assert_eq!(growth[4], 0, "warm-up is no growth: {growth:?}");
    assert_eq!(growth[3], 16);
}

#[test]
fn a_slope_is_recovered_under_noise() {
    let mut random = support::Random(7);
    let noise: Vec<u64> = (0..=480)
        .map(|_| (200.0 * random.uniform()) as u64)
        .collect();
    let site = Site::heap("noisy", 1024, move |t| {
        let swing = noise[(4.0 * t) as usize];
        ((80.0 * t) as u64 + 400, 200 - swing)
    });
    let report = analyze(&recorded(120, &[site], |_, live| live + 5.0 * MIB)).report;
    let row = &stacks(&report)[0];
    let slope = row.bytes_per_second.expect("a slope");
    assert!((slope / (80.0 * KIB) - 1.0).abs() < 0.05, "{slope}");
    assert!(
        row.low < Some(80.0 * KIB) && Some(80.0 * KIB) < row.high,
        "{row:?}"
    );
}

#[test]
fn descendants_are_listed_but_never_counted_as_the_process() {
    let mut child = Site::heap("child_leak", 4096, leak(500.0));
    child.owner = StackOwner::Others;
    let sites = [Site::heap("use_table", 4096, churn(1024, 10.0)), child];
    let mut observations = recorded(60, &sites, |_, live| live + MIB);
    observations.stacks.as_mut().expect("stacks").ended = true;
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::NoGrowth,
        "{:?}",
        report.verdict
    );
    let live = account(&report, Account::HeapLive).expect("split");
    assert_eq!((live.start_bytes, live.end_bytes), (4 << 20, 4 << 20));
    let row = &stacks(&report)[0];
    assert_eq!((name(row), row.owner), ("child_leak", StackOwner::Others));
    assert!(!row.never_freed, "its end was not seen");
    let all = report.allocations.expect("the shim looked");
    assert_eq!(all.live_bytes, 4 << 20);
    assert_eq!(
        (all.never_freed_bytes, all.never_freed_blocks),
        (Some(4 << 20), Some(1024))
    );
}

#[test]
fn suppressed_stacks_stand_last_and_are_counted_apart() {
    let list = Suppressions::parse("# known\nleak:parse_*e\n").expect("well formed");
    let mut observations = leaking(60);
    observations.stacks.as_mut().expect("stacks").ended = true;
    let report = analyze_with(&observations, &list).report;
    let rows = stacks(&report);
    assert_eq!(rows.len(), 3, "suppressed stacks stay in the list");
    assert_eq!(name(&rows[2]), "parse_line");
    assert_eq!(rows[2].suppressed.as_deref(), Some("leak:parse_*e"));
    assert!(
        rows[..2]
            .iter()
            .all(|row| row.suppressed.is_none() && row.never_freed)
    );
    let all = report.allocations.as_ref().expect("the shim looked");
    assert_eq!(all.suppressed_bytes, 6_001 * 1024);
    assert_eq!(all.never_freed_bytes, Some(12 << 20));
    assert_eq!(all.never_freed_blocks, Some(1024 + 8));
    let words = format!("{:?}", report.verdict);
    assert!(!words.contains("parse_line"), "{words}");
}

#[test]
fn sampled_numbers_say_how_far_off_they_may_be() {
    let mut observations = leaking(60);
    let stacks = observations.stacks.as_mut().expect("stacks");
    (stacks.mode, stacks.interval) = (HeapMode::Sampled, Bytes(512 << 10));
    for history in &mut stacks.stacks {
        history.last.samples = 20;
        history.last.freed_samples = 12;
    }
    let report = analyze(&observations).report;
    // 3 stacks with 8 live samples each: 1/√24 = 20 %.
    assert!(
        report
            .warnings
            .iter()
            .any(|w| w.contains("24 samples") && w.contains("20 %")),
        "{:?}",
        report.warnings
    );
    assert_eq!(report.stacks.expect("rows")[0].samples, Some(20));
    // 5.4 MiB in samples of 512 KiB: about 11 of them, 50 % off at 90 %. Still a leak, not by much.
    assert_eq!(
        report.verdict.kind,
        VerdictKind::HeapLeak,
        "{:?}",
        report.verdict
    );
    let stacks = observations.stacks.as_mut().expect("stacks");
    stacks.interval = Bytes(4 << 20);
    let coarse = analyze(&observations).report;
    assert_eq!(
        coarse.verdict.kind,
        VerdictKind::Undetermined,
        "{:?}",
        coarse.verdict
    );
    for history in &mut observations.stacks.as_mut().expect("stacks").stacks {
        history.last.samples = 2_000;
    }
    let warnings = analyze(&observations).report.warnings;
    assert!(
        !warnings.iter().any(|w| w.contains("estimate")),
        "{warnings:?}"
    );
}

#[test]
fn inlined_frames_are_expanded_and_unknown_ones_keep_their_address() {
    let mut observations = leaking(30);
    let recorded = observations.stacks.as_mut().expect("stacks");
    let (_, symbols) = &mut recorded.symbols[1];
    symbols.insert(
        0,
        Symbol {
            function: Some("push".into()),
            file: None,
            line: None,
            inlined: true,
        },
    );
    recorded.symbols.remove(0);
    recorded.stacks[2].stack.frames[0].module = Some(CodeModuleId(9));
    recorded.stacks[0].stack.frames[0].module = None;
    let report = analyze(&observations).report;
    let row = |allocs| {
        stacks(&report)
            .iter()
            .find(|row| row.allocs == allocs)
            .expect("listed")
    };
    let parse = &row(3_001).frames;
    assert_eq!(parse.len(), 2);
    assert_eq!(
        (parse[0].function.as_deref(), parse[0].inlined),
        (Some("push"), true)
    );
    assert_eq!(
        (parse[1].function.as_deref(), parse[1].line),
        (Some("parse_line"), Some(11))
    );
    assert!(
        parse
            .iter()
            .all(|f| f.address == "0x1010" && f.module.as_deref() == Some("/bin/case"))
    );
    // No such module, and none at all.
    let unknown = &row(8).frames[0];
    assert_eq!((&unknown.function, &unknown.module), (&None, &None));
    let generated = &row(16_024).frames[0];
    assert_eq!(
        (&generated.module, generated.address.as_str()),
        (&None, "0x1000")
    );
}

#[test]
fn allocations_without_samples_are_reported_as_such() {
    let mut observations = leaking(30);
    observations.samples.clear();
    observations.stacks.as_mut().expect("stacks").ended = true;
    let report = analyze(&observations).report;
    assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
    assert!(
        report
            .verdict
            .summary
            .starts_with("No samples of the process: only its allocations"),
        "{}",
        report.verdict.summary
    );
    assert!(report.ledger.is_empty() && report.beside.is_empty());
    assert_eq!(names(&report)[0], "parse_line");
    let facts: Vec<&str> = report
        .verdict
        .evidence
        .iter()
        .map(|e| e.fact.as_str())
        .collect();
    assert!(
        facts
            .iter()
            .any(|fact| fact.contains("4033 blocks never freed")),
        "{facts:?}"
    );
    assert!(
        facts
            .iter()
            .any(|fact| fact.starts_with("parse_line at case.c:11")),
        "{facts:?}"
    );
    // One look at the very end, as of a program that lived for a few milliseconds.
    let recorded = observations.stacks.as_mut().expect("stacks");
    recorded.totals.drain(..recorded.totals.len() - 1);
    for history in &mut recorded.stacks {
        history.points.clear();
    }
    let report = analyze(&observations).report;
    let growth: Vec<i64> = stacks(&report).iter().map(|row| row.growth_bytes).collect();
    assert_eq!(
        growth,
        [8 << 20, 4 << 20, 3_001 << 10],
        "all of it came from nothing"
    );
    assert_eq!(names(&report)[0], "start_up");
    recorded_nothing(&mut observations);
}

/// Neither totals nor stacks: a program that allocated nothing.
fn recorded_nothing(observations: &mut Observations) {
    let stacks = observations.stacks.as_mut().expect("stacks");
    stacks.totals.clear();
    stacks.stacks.clear();
    let report = analyze(observations).report;
    assert_eq!(report.stacks, Some(Vec::new()));
    assert_eq!(report.allocations.expect("the shim looked").live_bytes, 0);
}

#[test]
fn what_was_lost_is_said_and_what_the_shim_sees_is_not_missed() {
    let mut observations = leaking(30);
    let unseen = |what: &str| Visibility {
        what: what.to_owned(),
        why: "why".to_owned(),
        remedy: String::new(),
    };
    observations.target.unseen = vec![
        unseen(Visibility::LIVE_BLOCKS),
        unseen(Visibility::ALLOCATING_CODE),
        unseen("its mappings"),
    ];
    let recorded = observations.stacks.as_mut().expect("stacks");
    (
        recorded.lost.no_room,
        recorded.lost.truncated,
        recorded.lost.processes,
    ) = (1, 2, 3);
    recorded
        .symbol_warnings
        .push("No names for /bin/case.".to_owned());
    let warnings = analyze(&observations).report.warnings;
    let unseen: Vec<&String> = warnings
        .iter()
        .filter(|w| w.starts_with("Not seen"))
        .collect();
    assert_eq!(unseen, ["Not seen: its mappings (why)."]);
    let lost = "Allocations not or not wholly recorded: 1 block for want of room, 2 stacks cut off because they were too deep, 3 processes not at all.";
    assert!(warnings.iter().any(|w| w == lost), "{warnings:?}");
    assert!(
        warnings.iter().any(|w| w == "No names for /bin/case."),
        "{warnings:?}"
    );
}

#[test]
fn no_more_than_200_stacks_are_listed_but_all_are_counted() {
    let sites: Vec<Site> = (0..300)
        .map(|k| Site::heap("f", 16, leak(f64::from(k))))
        .collect();
    let report = analyze(&recorded(30, &sites, |_, live| live + MIB)).report;
    assert_eq!(stacks(&report).len(), 200);
    assert_eq!(
        report.allocations.as_ref().expect("the shim looked").stacks,
        300
    );
    let growth: Vec<i64> = stacks(&report).iter().map(|row| row.growth_bytes).collect();
    assert!(growth.is_sorted_by(|a, b| a >= b), "{growth:?}");
    assert!(growth[0] > 16 * 299 * 26);
}
