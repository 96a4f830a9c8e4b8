//! Findings made by hand, for the tests and the gallery: every number of them is known.

#![allow(dead_code, reason = "each test file uses some of them")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and times of examples"
)]

pub(crate) mod comparison;
mod heap;
mod odd;
mod reasoning;
mod stacks;

pub(crate) use heap::{
    heap_arenas, heap_empty, heap_inconclusive, heap_leak, heap_once, hostile_heap,
};

pub(crate) use odd::{
    empty, hostile, level, negative_unexplained, one_month, one_sample, small_growth, two_samples,
};

pub(crate) use reasoning::{hostile_reasoning, reasoned};

pub(crate) use stacks::{
    c_full, cpp_templates, hostile_stacks, no_stacks_hold, rust_sampled, stripped, thousand_stacks,
};

use memtide_model::report::{
    BesideRow, CountRow, Ended, EventRow, Evidence, Forecast, Growth, How, LedgerRow, Oom, ReadRow,
    Recording, Report, SCHEMA, Target, ThreadRow, Verdict,
};
use memtide_model::{
    Account, Band, Bytes, EventKind, Findings, Reasoning, Shape, Timeline, TimelinePoint,
    VerdictKind,
};

pub(crate) const KIB: f64 = 1024.0;
pub(crate) const MIB: f64 = 1024.0 * KIB;
pub(crate) const GIB: f64 = 1024.0 * MIB;

/// Noise without a generator: a fixed hash of the index, -1 to 1.
pub(crate) fn noise(index: usize) -> f64 {
    let mixed = (index as u64)
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed >> 11) as f64 / (1_u64 << 53) as f64).mul_add(2.0, -1.0)
}

/// A point at which these accounts were read; RSS is their sum.
pub(crate) fn point(seconds: f64, accounts: &[(Account, f64)]) -> TimelinePoint {
    let accounts: Vec<_> = accounts
        .iter()
        .map(|(account, bytes)| (*account, *bytes as i64))
        .collect();
    let rss = Bytes(
        accounts
            .iter()
            .map(|(_, bytes)| bytes)
            .sum::<i64>()
            .cast_unsigned(),
    );
    TimelinePoint {
        seconds,
        rss,
        rss_range: (rss, rss),
        accounts,
    }
}

/// Findings for points: the ledger is that of the first and last point, the rate that of the line
/// between them; everything else is as of a quiet watch of redis.
pub(crate) fn findings(
    points: Vec<TimelinePoint>,
    kind: VerdictKind,
    shape: Shape,
    summary: &str,
) -> Findings {
    let seconds = points.last().map_or(0.0, |point| point.seconds);
    let ledger = ledger(&points, shape);
    let growth = ledger.iter().map(|row| row.growth_bytes).sum::<i64>();
    let slope = (points.len() > 3).then(|| growth as f64 / seconds);
    let report = Report {
        schema: SCHEMA.to_owned(),
        target: redis(),
        recording: recording(seconds, points.len() as u64),
        ended: Ended {
            how: How::Running,
            code: None,
            signal: None,
            oom: Oom::No,
        },
        verdict: Verdict {
            kind,
            confidence: 0.93,
            summary: summary.to_owned(),
            candidates: vec![kind],
            evidence: Vec::new(),
            advice: Vec::new(),
        },
        growth: Growth {
            shape,
            rss_bytes: growth,
            rss_bytes_per_second: slope,
            low: slope.map(|rate| rate * 0.96),
            high: slope.map(|rate| rate * 1.05),
        },
        beside: beside(&ledger),
        ledger,
        counts: vec![
            count("threads", None, 5, 5, 0.0),
            count("fds", None, 14, 14, 0.0),
        ],
        forecast: None,
        threads: Some(Vec::new()),
        stacks: None,
        allocations: None,
        classes: None,
        processes: None,
        tree: None,
        heap: None,
        leaks: None,
        events: Vec::new(),
        warnings: Vec::new(),
        reasoning: Reasoning::default(),
    };
    Findings {
        report,
        timeline: Timeline {
            points,
            ..Timeline::default()
        },
    }
}

/// Every account at the first and the last point; empty without points.
fn ledger(points: &[TimelinePoint], shape: Shape) -> Vec<LedgerRow> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let bytes = |point: &TimelinePoint, account| -> i64 {
        let own = point.accounts.iter().filter(|(own, _)| *own == account);
        own.map(|(_, bytes)| bytes).sum()
    };
    let row = |account| {
        let (start, end) = (bytes(first, account), bytes(last, account));
        let growth = end - start;
        LedgerRow {
            account,
            start_bytes: start,
            end_bytes: end,
            growth_bytes: growth,
            bytes_per_second: (points.len() > 3).then(|| growth as f64 / last.seconds),
            shape: if growth > 1 << 20 { shape } else { Shape::Flat },
        }
    };
    Account::IN_RSS.into_iter().map(row).collect()
}

/// Page tables, no swap, and all of the heap and of other anonymous memory as opaque.
fn beside(ledger: &[LedgerRow]) -> Vec<BesideRow> {
    let opaque = |value: fn(&LedgerRow) -> i64| {
        let rows = ledger
            .iter()
            .filter(|row| matches!(row.account, Account::Heap | Account::Anon));
        rows.map(value).sum::<i64>().cast_unsigned()
    };
    let row = |account, start_bytes, end_bytes| BesideRow {
        account,
        start_bytes,
        end_bytes,
    };
    vec![
        row(Account::PageTables, 300 << 10, 480 << 10),
        row(Account::Swap, 0, 0),
        row(
            Account::Opaque,
            opaque(|row| row.start_bytes),
            opaque(|row| row.end_bytes),
        ),
    ]
}

fn count(count: &str, group: Option<&str>, start: u64, end: u64, per_second: f64) -> CountRow {
    CountRow {
        count: count.to_owned(),
        group: group.map(str::to_owned),
        start,
        end,
        per_second: Some(per_second),
    }
}

fn redis() -> Target {
    Target {
        pid: 4182,
        name: "redis-server".to_owned(),
        exe: "/usr/bin/redis-server".to_owned(),
        cmdline: vec!["redis-server".to_owned(), "*:6379".to_owned()],
        uid: 110,
        allocator: "jemalloc".to_owned(),
        runtime: "none".to_owned(),
    }
}

fn recording(seconds: f64, samples: u64) -> Recording {
    let read = |read: &str, skipped, cpu_seconds, longest_seconds| ReadRow {
        read: read.to_owned(),
        reads: samples,
        skipped,
        failed: 0,
        cpu_seconds,
        longest_seconds,
    };
    Recording {
        file: "redis-server-4182.memtide".to_owned(),
        started: "2026-03-01T12:00:00Z".to_owned(),
        seconds,
        samples,
        gaps: 0,
        lenses: vec!["sampler".to_owned()],
        cost_cpu_seconds: seconds * 0.0018,
        reads: vec![
            read("basics", 0, seconds * 0.0002, 0.000_041),
            read("smaps", 3, seconds * 0.0016, 0.0031),
        ],
    }
}

fn fact(fact: &str, account: Option<Account>, value: f64, unit: &str) -> Evidence {
    Evidence {
        fact: fact.to_owned(),
        account,
        value: Some(value),
        unit: Some(unit.to_owned()),
        low: None,
        high: None,
    }
}

/// A heap that grows by 0.5 MiB/s for ten minutes towards a cgroup's limit of 512 MiB.
pub(crate) fn linear_leak() -> Findings {
    let seconds = 600;
    let heap = |t: usize| 60.0 * MIB + 0.5 * MIB * t as f64 + 0.8 * MIB * noise(t);
    let points = (0..=seconds)
        .map(|t| {
            point(
                t as f64,
                &[
                    (Account::Heap, heap(t)),
                    (Account::Anon, 22.0 * MIB),
                    (Account::Stacks, 0.3 * MIB),
                    (Account::File, 9.6 * MIB),
                    (Account::Shared, 0.0),
                    (Account::Unexplained, 0.02 * MIB),
                ],
            )
        })
        .collect();
    let mut findings = findings(
        points,
        VerdictKind::Undetermined,
        Shape::Linear,
        "The malloc heap of redis-server grows by 512 KiB/s without an end in sight: it leaks or its heap fragments.",
    );
    let report = &mut findings.report;
    report.verdict.confidence = 0.72;
    report.verdict.candidates = vec![VerdictKind::HeapLeak, VerdictKind::Fragmentation];
    report.verdict.evidence = vec![
        fact(
            "The heap took 300 MiB of 300 MiB growth.",
            Some(Account::Heap),
            300.0 * MIB,
            "bytes",
        ),
        fact(
            "It grew in 11 of 12 parts of the window, at a steady rate.",
            Some(Account::Heap),
            0.5 * MIB,
            "bytes/s",
        ),
        fact(
            "Threads, descriptors and mappings stayed level.",
            None,
            0.0,
            "per second",
        ),
    ];
    report.verdict.advice = vec![
        "Look into the heap: only that tells a leak from fragmentation.".to_owned(),
        "Until then, restart it before 12:12 or raise the cgroup's limit.".to_owned(),
    ];
    report.forecast = Some(Forecast {
        limit: "cgroup".to_owned(),
        resource: None,
        limit_bytes: 512 << 20,
        seconds_low: 228.0,
        seconds_high: Some(254.0),
    });
    findings.timeline.trend = Some([(0.0, 92.0 * MIB), (600.0, 392.0 * MIB)]);
    let middle = |t: f64| 92.0 * MIB + 0.5 * MIB * t;
    findings.timeline.forecast = (0..=10)
        .map(|step| {
            let t = 600.0 + 30.0 * f64::from(step);
            let spread = 3.0 * MIB + 0.04 * MIB * (t - 600.0);
            Band {
                seconds: t,
                middle: middle(t),
                low: middle(t) - spread,
                high: middle(t) + spread,
            }
        })
        .collect();
    findings.timeline.limit = Some(("cgroup limit".to_owned(), Bytes(512 << 20)));
    findings
}

/// A cache that fills and stops.
pub(crate) fn plateau() -> Findings {
    let points = (0..=300)
        .map(|t| {
            let heap = 30.0 * MIB
                + 180.0 * MIB * (1.0 - (-(t as f64) / 45.0).exp())
                + 0.3 * MIB * noise(t);
            point(
                t as f64,
                &[
                    (Account::Heap, heap),
                    (Account::Anon, 8.0 * MIB),
                    (Account::Stacks, 0.2 * MIB),
                    (Account::File, 14.0 * MIB),
                ],
            )
        })
        .collect();
    findings(
        points,
        VerdictKind::Plateau,
        Shape::Plateau,
        "Memory grew by 180 MiB and stopped: a cache or pool that is full.",
    )
}

/// A collected heap: up and down between level troughs.
pub(crate) fn sawtooth() -> Findings {
    let points = (0..=1200)
        .map(|t| {
            let heap = 400.0 * MIB + 9.0 * MIB * (t % 40) as f64 + 4.0 * MIB * noise(t);
            point(
                t as f64,
                &[
                    (Account::Anon, heap),
                    (Account::Heap, 40.0 * MIB),
                    (Account::Stacks, 12.0 * MIB),
                    (Account::File, 70.0 * MIB),
                    (Account::Shared, 16.0 * MIB),
                ],
            )
        })
        .collect();
    findings(
        points,
        VerdictKind::Sawtooth,
        Shape::Sawtooth,
        "Memory rises and falls back to the same level every 40 s: a collected heap, no growth.",
    )
}

/// Threads that never end.
pub(crate) fn thread_leak() -> Findings {
    let points = (0..=120)
        .map(|t| {
            let threads = f64::from(t / 2);
            point(
                f64::from(t),
                &[
                    (Account::Heap, 8.0 * MIB + 0.13 * MIB * threads),
                    (Account::Stacks, 0.2 * MIB + 0.5 * MIB * threads),
                    (Account::File, 5.0 * MIB),
                    (Account::Anon, 2.0 * MIB),
                ],
            )
        })
        .collect();
    let mut findings = findings(
        points,
        VerdictKind::ThreadLeak,
        Shape::Stairs,
        "It starts a thread every 2 s and none of them ends: a thread leak.",
    );
    let report = &mut findings.report;
    report.counts = vec![
        CountRow {
            count: "threads".to_owned(),
            group: None,
            start: 1,
            end: 61,
            per_second: Some(0.5),
        },
        CountRow {
            count: "fds".to_owned(),
            group: None,
            start: 4,
            end: 4,
            per_second: Some(0.0),
        },
        CountRow {
            count: "fds".to_owned(),
            group: Some("socket".to_owned()),
            start: 1,
            end: 1,
            per_second: Some(0.0),
        },
        CountRow {
            count: "mappings".to_owned(),
            group: None,
            start: 31,
            end: 151,
            per_second: Some(1.0),
        },
    ];
    report.verdict.confidence = 0.99;
    report.verdict.evidence = vec![fact(
        "60 threads were added and none ended.",
        None,
        0.5,
        "threads/s",
    )];
    report.verdict.advice = vec![
        "Look at what the threads named \"worker\" wait for: 58 of them sleep in futex_wait_queue."
            .to_owned(),
    ];
    report.threads = Some(
        (0..20)
            .map(|index| ThreadRow {
                tid: 5000 + index,
                name: format!("worker-{index}"),
                state: "S".to_owned(),
                min_flt: 130 + u64::from(index),
                min_flt_per_second: f64::from(index) / 10.0,
                wchan: Some("futex_wait_queue".to_owned()),
                alive: index != 3,
            })
            .collect(),
    );
    report.warnings =
        vec!["smaps was put off 3 times to stay within the budget of 1 % of one core.".to_owned()];
    report.events = vec![
        EventRow {
            t_seconds: 12.0,
            kind: EventKind::Gap,
            pid: 4182,
            text: "2 ticks were not taken: the machine slept.".to_owned(),
        },
        EventRow {
            t_seconds: 60.0,
            kind: EventKind::Fork,
            pid: 4182,
            text: "It made a child, pid 4190.".to_owned(),
        },
    ];
    findings
}

/// All, by name.
pub(crate) fn all() -> Vec<(&'static str, Findings)> {
    vec![
        ("linear-leak", linear_leak()),
        ("plateau", plateau()),
        ("sawtooth", sawtooth()),
        ("thread-leak", thread_leak()),
        ("two-samples", two_samples()),
        ("negative-unexplained", negative_unexplained()),
        ("one-month", one_month()),
        ("small-growth", small_growth()),
        ("empty", empty()),
        ("one-sample", one_sample()),
        ("level", level()),
        ("hostile", hostile()),
        ("c-full", c_full()),
        ("cpp-templates", cpp_templates()),
        ("rust-sampled", rust_sampled()),
        ("stripped", stripped()),
        ("thousand-stacks", thousand_stacks()),
        ("hostile-stacks", hostile_stacks()),
        ("no-stacks-hold", no_stacks_hold()),
        ("heap-leak", heap_leak()),
        ("heap-once", heap_once()),
        ("heap-empty", heap_empty()),
        ("heap-inconclusive", heap_inconclusive()),
        ("heap-arenas", heap_arenas()),
        ("hostile-heap", hostile_heap()),
        ("reasoned", reasoned()),
        ("hostile-reasoning", hostile_reasoning()),
    ]
}
