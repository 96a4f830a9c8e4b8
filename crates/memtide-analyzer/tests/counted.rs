//! Ledger and verdict where live blocks were counted: recordings made by hand, with known answers.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes made here are small and positive"
)]

mod support;

use memtide_analyzer::analyze;
use memtide_model::{Account, Bytes, HeapMode, MappingClass, Shape, StackKind, VerdictKind};
use support::shim::{
    KIB, MIB, Site, account, churn, leak, leaking, moment, name, names, recorded, stacks,
    with_own_memory,
};

#[test]
fn a_leak_is_decided_and_its_line_named() {
    let report = analyze(&leaking(60)).report;
    let verdict = &report.verdict;
    assert_eq!(verdict.kind, VerdictKind::HeapLeak, "{verdict:?}");
    assert!(
        verdict.summary.contains("parse_line at case.c:11"),
        "{}",
        verdict.summary
    );
    // As sure as what is counted: above anything that a shape alone decides.
    assert!(verdict.confidence > 0.93, "{}", verdict.confidence);
    let fact = (verdict.evidence.iter())
        .find(|evidence| {
            evidence
                .fact
                .starts_with("parse_line at case.c:11 holds all of the growth")
        })
        .expect("the top stack is evidence");
    // 55 of 60 s lie between the medians of the ends: 5.4 MiB, by 100 KiB/s.
    assert!(fact.fact.contains("100 KiB/s"), "{}", fact.fact);
    assert!((fact.value.expect("a rate") / (100.0 * KIB) - 1.0).abs() < 0.01);
    assert_eq!(fact.account, Some(Account::HeapLive));

    let row = &stacks(&report)[0];
    assert_eq!(name(row), "parse_line");
    assert_eq!((row.allocs, row.frees, row.live_blocks), (6_001, 0, 6_001));
    assert_eq!(row.live_bytes, 6_001 * 1024);
    let slope = row.bytes_per_second.expect("a slope");
    assert!((slope / (100.0 * KIB) - 1.0).abs() < 0.01, "{slope}");
    assert!(
        row.low <= Some(100.0 * KIB) && Some(100.0 * KIB) <= row.high,
        "{row:?}"
    );
    assert!(row.leak_score > Some(0.999), "{row:?}");
    assert!((row.growth_share.expect("live bytes grew") - 1.0).abs() < 0.01);
    // Steady use: all old blocks are freed.
    let table = stacks(&report)
        .iter()
        .find(|row| name(row) == "use_table")
        .expect("listed");
    assert!(
        table.leak_score < Some(0.01) && table.growth_bytes == 0,
        "{table:?}"
    );
    let all = report.allocations.expect("the shim looked");
    assert_eq!((all.stacks, all.never_freed_bytes), (3, None));
    assert_eq!(all.live_bytes, 6_001 * 1024 + (4 << 20) + (8 << 20));
}

#[test]
fn the_split_of_the_heap_is_exact_and_adds_up() {
    let observations = leaking(60);
    let findings = analyze(&observations);
    let report = &findings.report;
    let live = account(report, Account::HeapLive).expect("split");
    let retained = account(report, Account::HeapRetained).expect("split");
    assert!(account(report, Account::Heap).is_none());
    assert!(
        account(report, Account::Shim).is_none(),
        "it has no memory here"
    );
    let sum: i64 = report.ledger.iter().map(|row| row.end_bytes).sum();
    let tick = (observations.samples.iter())
        .find(|sample| sample.memory.rss.0.cast_signed() == sum)
        .expect("the accounts add up to an RSS that was seen");
    let t = tick.at.seconds_since(moment(0.0));
    let blocks = (100.0 * t) as i64 + 1;
    assert_eq!(live.end_bytes, blocks * 1024 + (12 << 20));
    assert_eq!(retained.end_bytes, sum - live.end_bytes);
    // Every point of the chart is split in the same way.
    for (point, sample) in findings.timeline.points.iter().zip(&observations.samples) {
        let sum: i64 = point.accounts.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, sample.memory.rss.0.cast_signed());
        assert_eq!(point.accounts[0].0, Account::HeapLive);
    }
    let opaque = report
        .beside
        .iter()
        .find(|row| row.account == Account::Opaque);
    assert_eq!(
        opaque.expect("known").end_bytes,
        0,
        "all of the heap is understood"
    );
}

#[test]
fn live_bytes_beyond_the_heap_are_taken_from_anon_and_clipped_there() {
    // 10 MiB of live blocks; 4 MiB of heap and 5 MiB of other anonymous memory are resident.
    let mut observations = recorded(60, &[Site::heap("a", 1 << 20, |_| (10, 0))], |_, _| {
        4.0 * MIB
    });
    for sample in &mut observations.samples {
        sample.memory.rss += Bytes(5 << 20);
        let maps = sample.maps.as_mut().expect("read");
        maps.classes.get_mut(MappingClass::Anon).rss = Bytes(5 << 20);
    }
    let report = analyze(&observations).report;
    let end = |kind| account(&report, kind).expect("a row").end_bytes;
    assert_eq!(end(Account::HeapLive), 9 << 20);
    assert_eq!((end(Account::HeapRetained), end(Account::Anon)), (0, 0));
    for totals in &mut observations.stacks.as_mut().expect("stacks").totals {
        totals.live_bytes = Bytes(6 << 20);
    }
    let report = analyze(&observations).report;
    let end = |kind| account(&report, kind).expect("a row").end_bytes;
    assert_eq!(end(Account::HeapLive), 6 << 20);
    assert_eq!(
        (end(Account::HeapRetained), end(Account::Anon)),
        (0, 3 << 20)
    );
}

#[test]
fn retained_growth_under_constant_live_bytes_is_fragmentation() {
    let sites = [Site::heap("shrink", 64, churn(80_000, 20_000.0))];
    let report = analyze(&recorded(60, &sites, |t, live| {
        live + 2.0 * MIB + 300.0 * KIB * t
    }))
    .report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Fragmentation,
        "{:?}",
        report.verdict
    );
    assert!(report.verdict.confidence > 0.93);
    let accounts: Vec<_> = (report.verdict.evidence.iter())
        .filter_map(|e| e.account)
        .collect();
    assert!(accounts.contains(&Account::HeapRetained), "{accounts:?}");
    assert!(
        account(&report, Account::HeapRetained)
            .expect("split")
            .growth_bytes
            > 15 << 20
    );
    assert_eq!(
        account(&report, Account::HeapLive)
            .expect("split")
            .growth_bytes,
        0
    );
}

#[test]
fn small_blocks_that_leak_are_no_fragmentation() {
    // malloc(8) takes 32 bytes: three quarters of this growth is the allocator's own.
    let sites = [Site::heap("tiny", 8, leak(20_000.0))];
    let report = analyze(&recorded(60, &sites, |_, live| 4.0 * live + 5.0 * MIB)).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::HeapLeak,
        "{:?}",
        report.verdict
    );
}

#[test]
fn half_live_and_half_kept_stays_open() {
    let sites = [Site::heap("both", 1024, leak(200.0))];
    let report = analyze(&recorded(60, &sites, |_, live| 2.0 * live + 5.0 * MIB)).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Undetermined,
        "{:?}",
        report.verdict
    );
    assert!(report.verdict.candidates.contains(&VerdictKind::HeapLeak));
    assert!(
        report
            .verdict
            .candidates
            .contains(&VerdictKind::Fragmentation)
    );
    let said = report
        .verdict
        .evidence
        .iter()
        .any(|e| e.fact.contains("Live blocks are"));
    assert!(said, "{:?}", report.verdict.evidence);
}

#[test]
fn pages_of_old_blocks_that_are_touched_are_neither() {
    // One block of 60 MiB, made at the start, whose pages are written one after another.
    let sites = [Site::heap("table", 60 << 20, |_| (1, 0))];
    let report = analyze(&recorded(60, &sites, |t, _| MIB * (1.0 + 0.5 * t))).report;
    assert!(
        report.verdict.summary.contains("being touched"),
        "{}",
        report.verdict.summary
    );
    assert_eq!(
        report.verdict.kind,
        VerdictKind::Undetermined,
        "{:?}",
        report.verdict
    );
}

#[test]
fn memory_kept_after_a_burst_is_retention_and_one_that_is_used_a_plateau() {
    // 40 MiB are allocated at second 20; in one case freed at second 25.
    let burst = |freed: bool| {
        let sites = [
            Site::heap("base", 1 << 20, |_| (5, 0)),
            Site::heap("burst", 1 << 20, move |t| {
                (
                    if t >= 20.0 { 40 } else { 0 },
                    if freed && t >= 25.0 { 40 } else { 0 },
                )
            }),
        ];
        analyze(&recorded(60, &sites, |t, _| {
            if t >= 20.0 { 46.0 * MIB } else { 6.0 * MIB }
        }))
        .report
    };
    let kept = burst(true);
    assert_eq!(
        kept.verdict.kind,
        VerdictKind::Retention,
        "{:?}",
        kept.verdict
    );
    let used = burst(false);
    assert_eq!(
        used.verdict.kind,
        VerdictKind::Plateau,
        "{:?}",
        used.verdict
    );
    assert_eq!(names(&used)[0], "burst");
}

#[test]
fn a_leak_inside_memory_that_the_heap_already_holds_is_seen() {
    let sites = [Site::heap("parse_line", 1024, leak(100.0))];
    let report = analyze(&recorded(60, &sites, |_, _| 50.0 * MIB)).report;
    assert_eq!(report.verdict.kind, VerdictKind::NoGrowth);
    let facts = &report.verdict.evidence;
    assert!(
        facts.iter().any(|e| e.fact.contains("RSS will follow")),
        "{facts:?}"
    );
    assert!(
        facts
            .iter()
            .any(|e| e.fact.contains("parse_line at case.c:10")),
        "{facts:?}"
    );
}

#[test]
fn mappings_of_the_program_are_a_leak_of_their_own() {
    let mut site = Site::heap("grow_log", 64 << 10, leak(4.0));
    site.kind = StackKind::Mapping;
    let sites = [Site::heap("use_table", 4096, churn(256, 50.0)), site];
    let mut observations = recorded(60, &sites, |_, live| live + MIB);
    for sample in &mut observations.samples {
        let t = sample.at.seconds_since(moment(0.0));
        let mapped = Bytes((((4.0 * t) as u64) + 1) * (64 << 10));
        sample.memory.rss += mapped;
        sample.memory.size += mapped;
        sample.memory.rss_anon = sample.memory.rss_anon.map(|anon| anon + mapped);
        let anon = sample
            .maps
            .as_mut()
            .expect("read")
            .classes
            .get_mut(MappingClass::Anon);
        (anon.count, anon.size, anon.rss) = (1, mapped, mapped);
    }
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::MmapLeak,
        "{:?}",
        report.verdict
    );
    let fact =
        (report.verdict.evidence.iter()).find(|e| e.fact.starts_with("grow_log at case.c:11"));
    assert!(
        fact.is_some_and(|e| e.fact.contains("mappings")),
        "{:?}",
        report.verdict.evidence
    );
    assert_eq!(stacks(&report)[0].kind, StackKind::Mapping);
    // What the program mapped and did not unmap is understood.
    let opaque = report
        .beside
        .iter()
        .find(|row| row.account == Account::Opaque);
    assert_eq!(opaque.expect("known").end_bytes, 0);
}

#[test]
fn the_shims_own_memory_is_no_growth_of_the_program() {
    let sites = [Site::heap("use_table", 4096, churn(5_120, 100.0))];
    let mut observations = recorded(60, &sites, |_, live| live + MIB);
    let before = analyze(&observations).report;
    // Half a MiB of tables and 200 KiB of region more in each second.
    with_own_memory(&mut observations, |t| {
        ((512.0 * KIB * t) as u64, (200.0 * KIB * t) as u64)
    });
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::NoGrowth,
        "{:?}",
        report.verdict
    );
    assert_eq!(report.growth, before.growth);
    assert_eq!(report.growth.shape, Shape::Flat);
    let shim = account(&report, Account::Shim).expect("a row");
    assert!(
        shim.growth_bytes > 38 << 20 && shim.shape == Shape::Linear,
        "{shim:?}"
    );
    let sum: i64 = report.ledger.iter().map(|row| row.end_bytes).sum();
    assert!(
        observations
            .samples
            .iter()
            .any(|s| s.memory.rss.0.cast_signed() == sum)
    );
    let unexplained = account(&report, Account::Unexplained).expect("a row");
    assert_eq!((unexplained.start_bytes, unexplained.end_bytes), (0, 0));
    // It reads the mappings only at times: between two reads the last one holds.
    for (k, sample) in observations.samples.iter_mut().enumerate() {
        if k % 8 != 0 {
            sample.maps = None;
        }
    }
    let report = analyze(&observations).report;
    assert_eq!(report.growth.shape, Shape::Flat, "{:?}", report.growth);
    assert_eq!(report.growth.rss_bytes, before.growth.rss_bytes);
}

#[test]
fn without_the_shim_the_advice_is_its_command_line() {
    let mut observations = leaking(60);
    observations.stacks = None;
    observations.target.cmdline = ["/bin/case", "--name", "it's me"]
        .map(str::to_owned)
        .to_vec();
    let report = analyze(&observations).report;
    assert_eq!((report.stacks, report.allocations), (None, None));
    assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
    let line = r"memtide run --heap full -- /bin/case --name 'it'\''s me'";
    let advice = &report.verdict.advice;
    // A look from outside comes first: it needs no new start.
    assert!(
        advice[0].contains("memtide inspect 4182 --interval 30s"),
        "{advice:?}"
    );
    assert!(advice[1].ends_with(line), "{advice:?}");
}

#[test]
fn growth_with_a_turnover_is_said_to_have_one() {
    // 2,000 blocks a second are made and 1,900 freed, the oldest first.
    let sites = [Site::heap("cache_put", 1024, |t| {
        ((2_000.0 * t) as u64, (1_900.0 * t) as u64)
    })];
    let verdict = analyze(&recorded(60, &sites, |_, live| live + 5.0 * MIB))
        .report
        .verdict;
    assert_eq!(verdict.kind, VerdictKind::HeapLeak, "{verdict:?}");
    let told = verdict
        .evidence
        .iter()
        .find(|e| e.unit.as_deref() == Some("score"));
    assert!(
        told.is_some_and(|e| e.value < Some(0.01)),
        "{:?}",
        verdict.evidence
    );
}

/// 62 % of what comes is live. The error of sampling belongs to the interval of the rate and is no reason to tell that of
/// all that grew.
#[test]
fn the_rate_of_a_sampled_leak_is_that_of_its_live_blocks() {
    let live_rate = 248.0 * KIB;
    let sites = [Site::heap("parse_line", 1024, leak(248.0))];
    let mut observations = recorded(60, &sites, |_, live| 2.0 * MIB + live / 0.62);
    let rate = |observations: &memtide_model::Observations| {
        let verdict = analyze(observations).report.verdict;
        assert_eq!(verdict.kind, VerdictKind::HeapLeak, "{verdict:#?}");
        assert!(verdict.summary.contains("in blocks that are not freed"));
        let told = verdict.evidence.into_iter().next().expect("the rate leads");
        let number = |value: Option<f64>| value.expect("an interval");
        (number(told.low), number(told.value), number(told.high))
    };
    let full = rate(&observations);
    let stacks = observations.stacks.as_mut().expect("the shim looked");
    (stacks.mode, stacks.interval) = (HeapMode::Sampled, Bytes(64 << 10));
    let sampled = rate(&observations);
    for (low, value, high) in [full, sampled] {
        assert!((value / live_rate - 1.0).abs() < 0.03, "{value}");
        assert!(low < live_rate && live_rate < high, "{low} to {high}");
        assert!(high < 400.0 * KIB, "RSS grows by that: {high}");
    }
    assert!(
        sampled.2 - sampled.0 > 2.0 * (full.2 - full.0),
        "{sampled:?} {full:?}"
    );
}
