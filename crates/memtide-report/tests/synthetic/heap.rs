//! Findings with a look into the malloc heap: a leak, fragmentation, one look alone, an empty heap, one
//! that was not understood, many arenas, malice.

use super::{MIB, findings, noise, point};
use memtide_model::report::{ArenaRow, ClassRow, Heap, SizeRow};
use memtide_model::{Account, Findings, Shape, VerdictKind};

const fn mib(mebibytes: u64) -> u64 {
    mebibytes << 20
}

/// Nothing at all, as of one snapshot.
fn empty_heap() -> Heap {
    Heap {
        t_seconds: 0.0,
        snapshots: 1,
        layout: "glibc 2.36 to 2.41".to_owned(),
        untested_layout: false,
        held_seconds: None,
        cost_cpu_seconds: 0.000_4,
        rss_bytes: mib(3),
        live_bytes: 0,
        live_blocks: 0,
        live_resident_bytes: 0,
        cached_bytes: 0,
        free_bytes: 0,
        free_resident_bytes: 0,
        top_bytes: 0,
        top_resident_bytes: 0,
        trimmable_bytes: 0,
        stuck_bytes: 0,
        mmapped_bytes: 0,
        mmapped_blocks: 0,
        overhead_bytes: 0,
        resident_bytes: 0,
        swapped_bytes: 0,
        live_growth_bytes: None,
        retained_growth_bytes: None,
        live_growth_blocks: None,
        arenas: Vec::new(),
        size_classes: Vec::new(),
        parsed_bytes: 0,
        skipped_bytes: 0,
        bad_headers: 0,
        conclusive: true,
        doubts: Vec::new(),
    }
}

/// 190 MiB: 24 live in 31,204 blocks, 2 cached, 160 free (148 stuck), 3 of unused end, 1 of overhead.
/// A trim would give back the 12 of the bins that are not stuck, and 2 of the end.
fn fragmented_heap() -> Heap {
    Heap {
        cost_cpu_seconds: 0.021,
        rss_bytes: mib(213),
        live_bytes: mib(24),
        live_blocks: 31_204,
        live_resident_bytes: mib(24),
        cached_bytes: mib(2),
        free_bytes: mib(161),
        free_resident_bytes: mib(160),
        top_bytes: mib(3),
        top_resident_bytes: mib(3),
        trimmable_bytes: mib(14),
        stuck_bytes: mib(148),
        overhead_bytes: mib(1),
        resident_bytes: mib(190),
        arenas: vec![arena(true, 1, 24, 164, 190, None)],
        size_classes: vec![
            size(48, 20_000, 800_000, None),
            size(160, 11_000, 60_000, None),
            size(1_152, 204, 8_000, None),
        ],
        parsed_bytes: mib(191),
        ..empty_heap()
    }
}

fn arena(
    main: bool,
    threads: u64,
    live: u64,
    free: u64,
    resident: u64,
    growth: Option<i64>,
) -> ArenaRow {
    ArenaRow {
        main,
        threads,
        live_bytes: mib(live),
        free_bytes: mib(free),
        cached_bytes: 64 << 10,
        resident_bytes: mib(resident),
        live_growth_bytes: growth.map(|mebibytes| mebibytes << 20),
    }
}

/// Blocks of one size; how many were added.
fn size(size: u64, live: u64, free: u64, added: Option<i64>) -> SizeRow {
    SizeRow {
        size,
        live_blocks: live,
        live_bytes: size * live,
        free_blocks: free,
        free_bytes: size * free,
        live_growth_bytes: added.map(|blocks| blocks * size.cast_signed()),
    }
}

/// Objects of so many bytes; how many were added.
fn class(name: &str, count: u64, each: u64, added: Option<i64>) -> ClassRow {
    ClassRow {
        name: name.to_owned(),
        runtime: "c++".to_owned(),
        count,
        bytes: count * each,
        growth_count: added,
        growth_bytes: added.map(|objects| objects * each.cast_signed()),
        holder: None,
    }
}

/// A template of the standard library as it demangles: 238 characters.
const LONG_CLASS: &str = "std::_Sp_counted_ptr_inplace<shop::Registry<std::__cxx11::\
     basic_string<char, std::char_traits<char>, std::allocator<char> >, shop::Session, \
     std::hash<std::__cxx11::basic_string<char> > >::Node, std::allocator<void>, \
     (__gnu_cxx::_Lock_policy)2>";

/// A server that leaks one class, watched for ten minutes with eight looks into its heap: live bytes
/// grow by 0.5 MiB/s in two arenas, what is kept does not.
pub(crate) fn heap_leak() -> Findings {
    let points = (0..=600)
        .map(|t| {
            let live = 40.0 * MIB + 0.5 * MIB * t as f64 + 0.3 * MIB * noise(t);
            let accounts = [
                (Account::HeapLive, live),
                (Account::HeapRetained, 9.0 * MIB),
                (Account::Anon, 22.0 * MIB),
                (Account::File, 9.0 * MIB),
            ];
            point(t as f64, &accounts)
        })
        .collect();
    let summary = "redis-server does not free what it allocates: 512 KiB/s of live blocks.";
    let mut findings = findings(points, VerdictKind::HeapLeak, Shape::Linear, summary);
    let report = &mut findings.report;
    report.recording.lenses.push("inspect".to_owned());
    report.target.allocator = String::from("glibc 2.36");
    report.heap = Some(Heap {
        t_seconds: 600.0,
        snapshots: 8,
        cost_cpu_seconds: 0.24,
        rss_bytes: mib(380),
        live_bytes: mib(344),
        live_blocks: 1_210_000,
        live_resident_bytes: mib(340),
        cached_bytes: mib(1),
        free_bytes: mib(6),
        free_resident_bytes: mib(6),
        top_bytes: mib(2),
        top_resident_bytes: mib(1),
        trimmable_bytes: mib(3),
        stuck_bytes: mib(4),
        mmapped_bytes: mib(8),
        mmapped_blocks: 3,
        overhead_bytes: mib(1),
        resident_bytes: mib(349),
        swapped_bytes: mib(2),
        live_growth_bytes: Some(300 << 20),
        retained_growth_bytes: Some(-(512 << 10)),
        live_growth_blocks: Some(1_048_576),
        arenas: vec![
            arena(true, 1, 30, 2, 33, Some(0)),
            arena(false, 3, 290, 4, 295, Some(288)),
            arena(false, 1, 16, 2, 18, Some(12)),
        ],
        size_classes: leaking_sizes(),
        parsed_bytes: mib(347),
        skipped_bytes: 2_080,
        bad_headers: 5,
        ..empty_heap()
    });
    report.classes = Some(vec![
        class("shop::Cart", 524_288, 288, Some(524_280)),
        class(LONG_CLASS, 524_288, 304, Some(524_280)),
        class("shop::Order", 1_200, 96, Some(-14)),
        class("vtable at /opt/shop/bin/shop+0x1234", 40, 64, Some(0)),
    ]);
    findings
}

/// Twenty sizes, of which two grew.
fn leaking_sizes() -> Vec<SizeRow> {
    let grown = [
        size(288, 524_400, 12, Some(524_280)),
        size(304, 524_300, 3, Some(524_280)),
    ];
    let level = (0..18).map(|index| size(1_152 + 128 * index, 40 - index, index, Some(0)));
    grown.into_iter().chain(level).collect()
}

/// What `memtide inspect PID` knows of a fragmented heap: one look, no time.
pub(crate) fn heap_once() -> Findings {
    let accounts = [
        (Account::HeapLive, 24.0 * MIB),
        (Account::HeapRetained, 166.0 * MIB),
        (Account::Anon, 14.0 * MIB),
        (Account::File, 9.0 * MIB),
    ];
    let points = vec![point(0.0, &accounts)];
    let mut findings = findings(points, VerdictKind::Undetermined, Shape::Unclear, "");
    let report = &mut findings.report;
    report.target.allocator = String::from("glibc 2.36");
    report.recording.lenses = vec!["inspect".to_owned()];
    report.verdict.candidates = Vec::new();
    report.heap = Some(fragmented_heap());
    report.classes = Some(vec![class("shop::Order", 1_200, 96, None)]);
    findings
}

/// A process that never called malloc.
pub(crate) fn heap_empty() -> Findings {
    let mut findings = heap_once();
    findings.report.heap = Some(empty_heap());
    findings.report.classes = Some(Vec::new());
    findings
}

/// A heap of which a tenth was not understood, read with a layout that nobody tested.
pub(crate) fn heap_inconclusive() -> Findings {
    let mut findings = heap_leak();
    let heap = findings.report.heap.as_mut();
    let heap = heap.expect("a leak has a heap");
    heap.parsed_bytes = mib(315);
    heap.skipped_bytes = mib(35);
    heap.bad_headers = 412;
    heap.untested_layout = true;
    heap.layout = String::from("glibc 2.31");
    heap.held_seconds = Some(0.003);
    heap.conclusive = false;
    heap.doubts = vec![
        "10 % of the heap was not understood, 2 % is the limit.".to_owned(),
        "The arenas add up to 315 MiB and malloc itself counts 350 MiB.".to_owned(),
    ];
    findings
}

/// Two hundred arenas, of which the last grew most.
pub(crate) fn heap_arenas() -> Findings {
    let mut findings = heap_leak();
    let heap = findings.report.heap.as_mut();
    let heap = heap.expect("a leak has a heap");
    heap.arenas = (0..200)
        .map(|index| arena(index == 0, 1, 1, 1, 2, Some(i64::from(index == 199) * 3)))
        .collect();
    findings
}

/// Class names of 4,000 characters that would act, and numbers that do not fit together.
pub(crate) fn hostile_heap() -> Findings {
    let mut findings = heap_inconclusive();
    let report = &mut findings.report;
    let evil = "</td><script>alert(1)</script>\u{1b}[2J\u{202e}\u{200b}<&\"'>\n";
    report.target.allocator = String::from(evil);
    let long: String = evil.chars().cycle().take(4_000).collect();
    report.classes = Some(vec![
        class(&long, u64::MAX / 32, 32, Some(-5)),
        class("", 0, 0, Some(0)),
        class(evil, 1, 16, Some(1)),
    ]);
    report.classes.iter_mut().flatten().for_each(|row| {
        row.runtime = String::from(evil);
        row.holder = Some(long.clone());
    });
    let heap = report.heap.as_mut().expect("it has a heap");
    heap.layout = String::from(evil);
    heap.doubts = vec![long.clone(), evil.to_owned()];
    heap.cost_cpu_seconds = f64::NAN;
    heap.t_seconds = f64::INFINITY;
    heap.held_seconds = Some(f64::NAN);
    heap.live_resident_bytes = u64::MAX;
    heap.cached_bytes = u64::MAX;
    heap.skipped_bytes = u64::MAX;
    heap.live_growth_bytes = Some(i64::MIN);
    heap.retained_growth_bytes = Some(i64::MAX);
    heap.live_growth_blocks = Some(i64::MIN);
    for row in &mut heap.arenas {
        row.threads = u64::MAX;
        row.live_bytes = u64::MAX;
        row.live_growth_bytes = Some(i64::MAX);
    }
    heap.arenas = heap.arenas.iter().cycle().take(30).cloned().collect();
    for row in &mut heap.size_classes {
        row.live_bytes = u64::MAX;
        row.live_growth_bytes = Some(i64::MIN);
    }
    findings
}
