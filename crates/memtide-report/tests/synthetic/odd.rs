//! Findings at the edges: few samples, many samples, racing reads, hostile names.

use super::{GIB, KIB, MIB, fact, findings, linear_leak, noise, point};
use memtide_model::report::{CountRow, Ended, EventRow, Forecast, How, Oom, ReadRow, ThreadRow};
use memtide_model::{Account, Band, Bytes, EventKind, Findings, Shape, VerdictKind};

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
                f64::from(t),
                &[
                    (Account::Heap, 40.0 * MIB + 1.0 * MIB * f64::from(t)),
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
        resource: None,
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
    script.clone_into(&mut report.target.allocator);
    "\u{1b}]0;owned\u{7}".clone_into(&mut report.target.runtime);
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
        resource: None,
        limit_bytes: u64::MAX,
        seconds_low: f64::NAN,
        seconds_high: Some(f64::INFINITY),
    });
    script.clone_into(&mut report.recording.started);
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
