//! Findings made by hand, for the tests and the gallery: every number of them is known.

#![allow(dead_code, reason = "each test file uses some of them")]

use memtide_model::report::{
    BesideRow, CountRow, Ended, EventRow, Evidence, Forecast, Growth, How, LedgerRow, Oom, ReadRow,
    Recording, Report, SCHEMA, Target, ThreadRow, Verdict,
};
use memtide_model::{
    Account, Band, Bytes, EventKind, Findings, Shape, Timeline, TimelinePoint, VerdictKind,
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
    let rss = Bytes(accounts.iter().map(|(_, bytes)| bytes).sum::<i64>() as u64);
    TimelinePoint {
        seconds,
        rss,
        rss_range: (rss, rss),
        accounts,
    }
}

/// Findings for points: the ledger is that of the first and last point, the rate that of the line
/// between them; everything else is as of a quiet 30-second watch of redis.
pub(crate) fn findings(
    points: Vec<TimelinePoint>,
    kind: VerdictKind,
    shape: Shape,
    summary: &str,
) -> Findings {
    let (first, last) = (points.first(), points.last());
    let seconds = last.map_or(0.0, |point| point.seconds);
    let bytes = |point: Option<&TimelinePoint>, account| {
        point.map_or(0, |point| {
            point
                .accounts
                .iter()
                .filter(|(own, _)| *own == account)
                .map(|(_, bytes)| bytes)
                .sum::<i64>()
        })
    };
    let rate = |growth: i64| (points.len() > 3).then(|| growth as f64 / seconds);
    let row = |account| {
        let (start, end) = (bytes(first, account), bytes(last, account));
        let shape = if end - start > 1 << 20 {
            shape
        } else {
            Shape::Flat
        };
        let growth = end - start;
        LedgerRow {
            account,
            start_bytes: start,
            end_bytes: end,
            growth_bytes: growth,
            bytes_per_second: rate(growth),
            shape,
        }
    };
    let ledger: Vec<_> = if points.is_empty() {
        Vec::new()
    } else {
        Account::IN_RSS.into_iter().map(row).collect()
    };
    let growth = ledger.iter().map(|row| row.growth_bytes).sum::<i64>();
    let slope = rate(growth);
    let anon = |point| {
        [Account::Heap, Account::Anon]
            .into_iter()
            .map(|account| bytes(point, account))
            .sum::<i64>() as u64
    };
    let beside = vec![
        BesideRow {
            account: Account::PageTables,
            start_bytes: 300 << 10,
            end_bytes: 480 << 10,
        },
        BesideRow {
            account: Account::Swap,
            start_bytes: 0,
            end_bytes: 0,
        },
        BesideRow {
            account: Account::Opaque,
            start_bytes: anon(first),
            end_bytes: anon(last),
        },
    ];
    let report = Report {
        schema: SCHEMA.to_owned(),
        target: Target {
            pid: 4182,
            name: "redis-server".to_owned(),
            exe: "/usr/bin/redis-server".to_owned(),
            cmdline: vec!["redis-server".to_owned(), "*:6379".to_owned()],
            uid: 110,
            allocator: "jemalloc".to_owned(),
            runtime: "none".to_owned(),
        },
        recording: Recording {
            file: "redis-server-4182.memtide".to_owned(),
            started: "2026-03-01T12:00:00Z".to_owned(),
            seconds,
            samples: points.len() as u64,
            gaps: 0,
            lenses: vec!["sampler".to_owned()],
            cost_cpu_seconds: seconds * 0.0018,
            reads: vec![
                ReadRow {
                    read: "basics".to_owned(),
                    reads: points.len() as u64,
                    skipped: 0,
                    failed: 0,
                    cpu_seconds: seconds * 0.0002,
                    longest_seconds: 0.000_041,
                },
                ReadRow {
                    read: "smaps".to_owned(),
                    reads: points.len() as u64,
                    skipped: 3,
                    failed: 0,
                    cpu_seconds: seconds * 0.0016,
                    longest_seconds: 0.0031,
                },
            ],
        },
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
        ledger,
        beside,
        counts: vec![
            CountRow {
                count: "threads".to_owned(),
                group: None,
                start: 5,
                end: 5,
                per_second: Some(0.0),
            },
            CountRow {
                count: "fds".to_owned(),
                group: None,
                start: 14,
                end: 14,
                per_second: Some(0.0),
            },
        ],
        forecast: None,
        threads: Some(Vec::new()),
        stacks: None,
        classes: None,
        processes: None,
        heap: None,
        leaks: None,
        events: Vec::new(),
        warnings: Vec::new(),
    };
    Findings {
        report,
        timeline: Timeline {
            points,
            ..Timeline::default()
        },
    }
}

fn fact(fact: &str, account: Option<Account>, value: f64, unit: &str) -> Evidence {
    Evidence {
        fact: fact.to_owned(),
        account,
        value: Some(value),
        unit: Some(unit.to_owned()),
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
            let threads = (t / 2) as f64;
            point(
                t as f64,
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

/// Two samples: nothing can be said.
pub(crate) fn two_samples() -> Findings {
    let accounts = |heap| [(Account::Heap, heap), (Account::File, 3.0 * MIB)];
    let points = vec![
        point(0.0, &accounts(5.0 * MIB)),
        point(1.0, &accounts(5.5 * MIB)),
    ];
    let mut findings = findings(
        points,
        VerdictKind::Undetermined,
        Shape::Unclear,
        "Too early: two samples over 1.0 s say nothing about growth.",
    );
    findings.report.verdict.confidence = 0.0;
    findings.report.growth.low = None;
    findings.report.growth.high = None;
    findings
}

/// Reads that raced: the accounts hold more than RSS for a while.
pub(crate) fn negative_unexplained() -> Findings {
    let points = (0..=60)
        .map(|t| {
            let unexplained = if (20..45).contains(&t) {
                -9.0 * MIB
            } else {
                1.0 * MIB
            };
            point(
                t as f64,
                &[
                    (Account::Heap, 40.0 * MIB + 1.0 * MIB * t as f64),
                    (Account::Anon, 12.0 * MIB),
                    (Account::File, 8.0 * MIB),
                    (Account::Unexplained, unexplained),
                ],
            )
        })
        .collect();
    let mut findings = findings(
        points,
        VerdictKind::LoadGrowth,
        Shape::Linear,
        "Memory follows the number of connections.",
    );
    findings.timeline.trend = Some([(0.0, 60.0 * MIB), (60.0, 120.0 * MIB)]);
    findings
}

/// A month at one point a minute, thinned: each point has a range. Little growth of much memory.
pub(crate) fn one_month() -> Findings {
    let minutes = 30 * 24 * 60;
    let points = (0..=minutes)
        .map(|t| {
            let day = ((t % 1440) as f64 / 1440.0 * std::f64::consts::TAU).sin();
            let heap = 9.5 * GIB + 14.0 * KIB * t as f64 + 40.0 * MIB * day + 12.0 * MIB * noise(t);
            let mut point = point(
                60.0 * t as f64,
                &[
                    (Account::HeapLive, heap * 0.8),
                    (Account::HeapRetained, heap * 0.2),
                    (Account::Anon, 300.0 * MIB),
                    (Account::Stacks, 24.0 * MIB),
                    (Account::File, 90.0 * MIB),
                    (Account::Shared, 128.0 * MIB),
                ],
            );
            let spread = (6.0 * MIB) as u64;
            point.rss_range = (
                Bytes(point.rss.0 - spread),
                Bytes(point.rss.0 + spread + if t == 20_000 { 200 << 20 } else { 0 }),
            );
            point
        })
        .collect();
    let mut findings = findings(
        points,
        VerdictKind::HeapLeak,
        Shape::Linear,
        "A heap leak: live blocks grow by 20 MiB/day.",
    );
    let rate = 14.0 * KIB / 60.0;
    findings.timeline.trend = Some([
        (0.0, 10.03 * GIB),
        (2_592_000.0, 10.03 * GIB + rate * 2_592_000.0),
    ]);
    findings.timeline.limit = Some(("memory of the machine".to_owned(), Bytes(64 << 30)));
    findings.report.recording.gaps = 12;
    findings
}

/// Five MiB of growth in three GiB of Java.
pub(crate) fn small_growth() -> Findings {
    let points = (0..=1800)
        .map(|t| {
            point(
                t as f64,
                &[
                    (
                        Account::Heap,
                        180.0 * MIB + 0.02 * MIB * t as f64 + 0.4 * MIB * noise(t),
                    ),
                    (Account::Anon, 2.7 * GIB),
                    (Account::Stacks, 31.0 * MIB + 4.0 * KIB * t as f64),
                    (Account::File, 120.0 * MIB - 1.0 * KIB * t as f64),
                    (Account::Unexplained, 0.1 * MIB * noise(t + 7)),
                ],
            )
        })
        .collect();
    let mut findings = findings(
        points,
        VerdictKind::HeapLeak,
        Shape::Linear,
        "A heap leak outside the Java heap: native memory grows by 1.20 MiB/min, while the Java heap stays level. It began with the first request and goes on without an end in sight, whatever the load is.",
    );
    findings.timeline.trend = Some([(0.0, 3_095.6 * MIB), (1800.0, 3_137.0 * MIB)]);
    findings.timeline.forecast = vec![
        Band {
            seconds: 1800.0,
            middle: 3_137.0 * MIB,
            low: 3_136.0 * MIB,
            high: 3_138.0 * MIB,
        },
        Band {
            seconds: 360_000.0,
            middle: 11_000.0 * MIB,
            low: 9_000.0 * MIB,
            high: 13_000.0 * MIB,
        },
    ];
    findings.timeline.limit = Some(("cgroup limit".to_owned(), Bytes(4 << 30)));
    findings.report.forecast = Some(Forecast {
        limit: "cgroup".to_owned(),
        limit_bytes: 4 << 30,
        seconds_low: 39_000.0,
        seconds_high: None,
    });
    findings
}

/// No sample at all.
pub(crate) fn empty() -> Findings {
    let mut findings = findings(
        Vec::new(),
        VerdictKind::Undetermined,
        Shape::Unclear,
        "Nothing was recorded: the process ended before the first sample.",
    );
    findings.report.ended = Ended {
        how: How::Exit,
        code: None,
        signal: None,
        oom: Oom::Unknown,
    };
    findings.report.beside.clear();
    findings.report.threads = None;
    findings
}

/// One sample.
pub(crate) fn one_sample() -> Findings {
    let points = vec![point(
        0.0,
        &[(Account::Heap, 300.0), (Account::File, 724.0)],
    )];
    findings(
        points,
        VerdictKind::Undetermined,
        Shape::Unclear,
        "Too early: one sample.",
    )
}

/// Level within its noise.
pub(crate) fn level() -> Findings {
    let points = (0..=600)
        .map(|t| {
            point(
                t as f64,
                &[
                    (Account::Heap, 3.0 * 1024.0 * GIB + 900.0 * MIB * noise(t)),
                    (Account::Shared, 7.0 * 1024.0 * GIB),
                    (Account::File, 40.0 * GIB),
                ],
            )
        })
        .collect();
    findings(
        points,
        VerdictKind::NoGrowth,
        Shape::Flat,
        "No growth: RSS stays at 10.0 TiB within its noise.",
    )
}

/// Everything that a hostile target can choose, chosen with malice.
pub(crate) fn hostile() -> Findings {
    let script = "</script><img src=x onerror=alert(1)>";
    let mut findings = linear_leak();
    let report = &mut findings.report;
    report.target.name = format!("{script}\u{202e}\u{1b}[2J\u{7}\r\nname");
    report.target.exe = format!("/tmp/{script}<!-- \u{2028}{}", "x".repeat(10_000));
    report.target.cmdline = vec![
        script.to_owned(),
        "y".repeat(10_000),
        "\u{200b}\u{feff}日本".to_owned(),
    ];
    report.target.allocator = script.to_owned();
    report.target.runtime = "\u{1b}]0;owned\u{7}".to_owned();
    report.verdict.summary = format!(
        "The heap of {script}\u{1b}[31m\u{202e} {} grows.",
        "z".repeat(10_000)
    );
    report.verdict.evidence.push(fact(
        &format!("{script} \u{2029} & \" ' "),
        None,
        f64::NAN,
        script,
    ));
    report.verdict.advice.push(format!("run {script}\u{0}"));
    report.warnings.push(format!("{script}\u{85}\u{9b}31m"));
    report.counts.push(CountRow {
        count: "fds".to_owned(),
        group: Some(format!("{script}{}", "g".repeat(10_000))),
        start: 0,
        end: 9,
        per_second: Some(f64::INFINITY),
    });
    report.events.push(EventRow {
        t_seconds: f64::NAN,
        kind: EventKind::Exec,
        pid: 1,
        text: script.to_owned(),
    });
    report.threads = Some(vec![ThreadRow {
        tid: 1,
        name: script.to_owned(),
        state: "\u{1b}".to_owned(),
        min_flt: 1,
        min_flt_per_second: f64::NAN,
        wchan: Some(script.to_owned()),
        alive: true,
    }]);
    report.forecast = Some(Forecast {
        limit: script.to_owned(),
        limit_bytes: u64::MAX,
        seconds_low: f64::NAN,
        seconds_high: Some(f64::INFINITY),
    });
    report.recording.started = script.to_owned();
    report.recording.reads.push(ReadRow {
        read: script.to_owned(),
        reads: 0,
        skipped: 1,
        failed: 1,
        cpu_seconds: f64::NAN,
        longest_seconds: f64::INFINITY,
    });
    findings.timeline.limit = Some((format!("{script}\u{202e}日本"), Bytes(450 << 20)));
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
    ]
}
