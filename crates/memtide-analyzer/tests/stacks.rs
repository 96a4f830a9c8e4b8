//! What is known of a process whose allocations were counted: recordings made by hand, with known answers.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes made here are small and positive"
)]

mod support;

use memtide_analyzer::{Suppressions, analyze, analyze_with};
use memtide_model::report::{LedgerRow, Report, StackRow};
use memtide_model::{
    Account, Bytes, CodeModuleId, HeapMode, Observations, Shape, StackKind, StackOwner, Symbol,
    VerdictKind, Visibility,
};
use support::shim::{Site, moment, recorded, with_own_memory};

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// `rate` blocks a second that are never freed, from the start on.
fn leak(rate: f64) -> impl Fn(f64) -> (u64, u64) {
    move |t| ((rate * t) as u64 + 1, 0)
}

/// `live` blocks at all times, of which `rate` a second are replaced.
fn churn(live: u64, rate: f64) -> impl Fn(f64) -> (u64, u64) {
    move |t| (live + (rate * t) as u64, (rate * t) as u64)
}

fn stacks(report: &Report) -> &[StackRow] {
    report.stacks.as_deref().expect("the shim looked")
}

fn name(row: &StackRow) -> &str {
    row.frames[0].function.as_deref().expect("a name")
}

fn names(report: &Report) -> Vec<&str> {
    stacks(report).iter().map(name).collect()
}

fn account(report: &Report, account: Account) -> Option<&LedgerRow> {
    report.ledger.iter().find(|row| row.account == account)
}

/// 100 blocks of 1 KiB a second leak, 4 MiB are in use beside it; the heap has 2 MiB more than is live.
fn leaking(seconds: u32) -> Observations {
    recorded(
        seconds,
        &[
            Site::heap("use_table", 4096, churn(1024, 500.0)),
            Site::heap("parse_line", 1024, leak(100.0)),
            Site::heap("start_up", 1 << 20, |_| (8, 0)),
        ],
        |_, live| 1.05 * live + 2.0 * MIB,
    )
}

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
    use memtide_model::MappingClass;
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
    use memtide_model::MappingClass;
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
fn without_the_shim_the_advice_is_its_command_line() {
    let mut observations = leaking(60);
    observations.stacks = None;
    observations.target.cmdline = ["/bin/case", "--name", "it's me"]
        .map(str::to_owned)
        .to_vec();
    let report = analyze(&observations).report;
    assert_eq!((report.stacks, report.allocations), (None, None));
    assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
    let line = r"memtide run --heap full -- /bin/case --name 'it'\''s me'.";
    assert!(
        report.verdict.advice[0].contains(line),
        "{:?}",
        report.verdict.advice
    );
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
