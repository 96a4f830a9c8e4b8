//! What stands in the report besides the verdict: sums, ends, forecasts, warnings, words.

#![expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are whole numbers of bytes, and those made here are small"
)]

mod support;

use memtide_analyzer::{analyze, detectable, detection, noise};
use memtide_model::report::{How, Oom};
use memtide_model::{
    Account, Bytes, Cgroup, Event, EventKind, Maps, Nanos, Observations, Pid, ReadCost, ReadKind,
    Shape, VerdictKind,
};
use support::{Random, cases, heap, window};

const MIB: f64 = 1_048_576.0;

/// A steady heap of 30 MiB that grows by `rate` bytes/s over `seconds`, 4 samples a second.
fn growing(rate: f64, seconds: f64, noise: f64, seed: u64) -> Observations {
    let mut random = Random(seed);
    heap((0..=(seconds * 4.0) as u32).map(|k| {
        let t = f64::from(k) / 4.0;
        (t, 30.0 * MIB + rate * t + noise * random.normal())
    }))
}

fn event(kind: EventKind, at: f64, value: Option<i64>) -> Event {
    Event {
        at: Nanos::from_secs_f64(1_000.0 + at),
        kind,
        pid: Pid(4182),
        text: "said so".to_owned(),
        value,
    }
}

#[test]
fn ledgers_add_up_to_rss_exactly() {
    for case in cases() {
        let report = analyze(&window(&case, 0.0, f64::INFINITY)).report;
        let observations = window(&case, 0.0, f64::INFINITY);
        let start: i64 = report.ledger.iter().map(|row| row.start_bytes).sum();
        let end: i64 = report.ledger.iter().map(|row| row.end_bytes).sum();
        let seen = |bytes: i64| {
            observations
                .samples
                .iter()
                .any(|s| s.memory.rss.as_f64() == bytes as f64)
        };
        assert!(
            seen(start) && seen(end),
            "{}: {start} {end} are no RSS that was seen",
            case.name
        );
        for row in &report.ledger {
            assert_eq!(row.growth_bytes, row.end_bytes - row.start_bytes);
        }
        let opaque = report
            .beside
            .iter()
            .find(|row| row.account == Account::Opaque)
            .expect("opaque");
        let inside: i64 = (report.ledger.iter())
            .filter(|row| matches!(row.account, Account::Heap | Account::Anon))
            .map(|row| row.end_bytes)
            .sum();
        assert_eq!(
            i64::try_from(opaque.end_bytes).expect("small"),
            inside,
            "{}",
            case.name
        );
    }
}

#[test]
fn a_steady_rise_has_its_rate_shape_and_forecast() {
    let mut observations = growing(0.5 * MIB, 60.0, 20_000.0, 3);
    for sample in &mut observations.samples {
        sample.cgroup = Some(Cgroup {
            current: sample.memory.rss + Bytes::from_kib(10 * 1024),
            limit: Some(Bytes::from_kib(130 * 1024)),
            ..Cgroup::default()
        });
    }
    let findings = analyze(&observations);
    let report = &findings.report;
    assert_eq!(report.growth.shape, Shape::Linear);
    let rate = report.growth.rss_bytes_per_second.expect("a rate");
    assert!((rate / (0.5 * MIB) - 1.0).abs() < 0.01, "{rate}");
    assert!(report.growth.low < Some(0.5 * MIB) && Some(0.5 * MIB) < report.growth.high);
    let verdict = &report.verdict;
    assert_eq!(verdict.kind, VerdictKind::Undetermined, "{verdict:?}");
    assert_eq!(
        verdict.candidates[..2],
        [VerdictKind::HeapLeak, VerdictKind::Fragmentation]
    );
    assert!(
        verdict.confidence > 0.6 && verdict.confidence < 0.9,
        "{}",
        verdict.confidence
    );
    // 30 MiB at the end of 60 s, 10 MiB of others, limit 130: 60 MiB of room are gone in 120 s.
    let forecast = report.forecast.as_ref().expect("a forecast");
    assert_eq!(
        (forecast.limit.as_str(), forecast.limit_bytes),
        ("cgroup", 130 << 20)
    );
    let high = forecast.seconds_high.expect("a latest time");
    assert!(forecast.seconds_low < 120.0 && 120.0 < high, "{forecast:?}");
    assert!(forecast.seconds_low > 105.0 && high < 135.0, "{forecast:?}");
    assert!(
        verdict.summary.contains("the limit of its cgroup in"),
        "{}",
        verdict.summary
    );
    let timeline = &findings.timeline;
    assert_eq!(timeline.points.len(), observations.samples.len());
    assert_eq!(
        timeline.limit,
        Some(("cgroup".to_owned(), Bytes(130 << 20)))
    );
    let band = &timeline.forecast;
    assert!(
        band.windows(2)
            .all(|w| w[0].high < w[1].high && w[0].low < w[0].middle && w[0].middle < w[0].high)
    );
    let [(t0, y0), (t1, y1)] = timeline.trend.expect("a line");
    assert!(((y1 - y0) / (t1 - t0) - rate).abs() < 1.0);
}

#[test]
fn level_memory_has_no_forecast() {
    let findings = analyze(&growing(0.0, 60.0, 20_000.0, 5));
    assert_eq!(findings.report.verdict.kind, VerdictKind::NoGrowth);
    assert_eq!(findings.report.forecast, None);
    assert!(findings.timeline.forecast.is_empty());
}

#[test]
fn nothing_two_samples_and_short_records_are_said_to_be_so() {
    for count in 0..=2 {
        let report = analyze(&heap(
            (0..count).map(|k| (f64::from(k), 3e7 + 9e6 * f64::from(k))),
        ))
        .report;
        assert_eq!(report.verdict.kind, VerdictKind::Undetermined);
        assert!(
            report.verdict.summary.contains("too short"),
            "{}",
            report.verdict.summary
        );
        assert_eq!(report.growth.rss_bytes_per_second, None);
        assert!(
            report.warnings.iter().any(|w| w.contains("too short")),
            "{:?}",
            report.warnings
        );
    }
    let early = analyze(&growing(MIB, 10.0, 0.0, 1)).report.verdict;
    assert!(
        early.summary.contains("too early") && early.summary.contains("10 s more"),
        "{}",
        early.summary
    );
}

#[test]
fn only_what_follows_the_last_exec_is_analysed() {
    let mut observations = growing(0.0, 60.0, 0.0, 1);
    for sample in &mut observations.samples[..120] {
        sample.memory.rss = Bytes(500 << 20);
    }
    observations.events.push(event(EventKind::Exec, 29.9, None));
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::NoGrowth,
        "{}",
        report.verdict.summary
    );
    assert!(report.ledger.iter().map(|row| row.start_bytes).sum::<i64>() < 31 << 20);
    assert!(
        report.warnings.iter().any(|w| w.contains("exec")),
        "{:?}",
        report.warnings
    );
    assert_eq!(analyze(&observations).timeline.points.len(), 241);
}

#[test]
fn ends_are_told_from_wait_statuses() {
    let base = growing(0.0, 30.0, 0.0, 1);
    let ended = |events: Vec<Event>| {
        analyze(&Observations {
            events,
            ..base.clone()
        })
        .report
        .ended
    };
    let none = ended(Vec::new());
    assert_eq!((none.how, none.oom), (How::Running, Oom::No));
    let exit = ended(vec![event(EventKind::Exit, 30.0, Some(3 << 8))]);
    assert_eq!(
        (exit.how, exit.code, exit.signal),
        (How::Exit, Some(3), None)
    );
    let term = ended(vec![event(EventKind::Exit, 30.0, Some(15))]);
    assert_eq!(
        (term.how, term.signal, term.oom),
        (How::Signal, Some(15), Oom::No)
    );
    let core_dump = ended(vec![event(EventKind::Exit, 30.0, Some(0x8b))]);
    assert_eq!((core_dump.how, core_dump.signal), (How::Signal, Some(11)));
    let killed = ended(vec![event(EventKind::Exit, 30.0, Some(9))]);
    assert_eq!((killed.how, killed.oom), (How::Signal, Oom::Unknown));
    let gone = ended(vec![event(EventKind::Exit, 30.0, None)]);
    assert_eq!((gone.how, gone.oom), (How::Unknown, Oom::Unknown));
    let oom = ended(vec![event(EventKind::Oom, 30.0, None)]);
    assert_eq!((oom.how, oom.oom), (How::Oom, Oom::Proven));
    let other = Event {
        pid: Pid(7),
        ..event(EventKind::Exit, 30.0, Some(0))
    };
    assert_eq!(ended(vec![other]).how, How::Running);
}

#[test]
fn without_mappings_the_kernels_split_serves_and_without_that_nothing() {
    let mut observations = growing(0.5 * MIB, 60.0, 0.0, 1);
    for sample in &mut observations.samples {
        sample.maps = None;
    }
    let report = analyze(&observations).report;
    let accounts: Vec<Account> = report.ledger.iter().map(|row| row.account).collect();
    assert_eq!(
        accounts,
        [
            Account::Anon,
            Account::File,
            Account::Shared,
            Account::Unexplained
        ]
    );
    assert!(report.ledger[0].growth_bytes > 25 << 20);
    assert_eq!(report.ledger[3].growth_bytes, 0);
    assert!(
        report
            .warnings
            .iter()
            .any(|w| w.contains("mappings could not be read")),
        "{:?}",
        report.warnings
    );
    for sample in &mut observations.samples {
        sample.memory.rss_anon = None;
        sample.memory.rss_file = None;
        sample.memory.rss_shmem = None;
    }
    let report = analyze(&observations).report;
    assert_eq!(report.ledger.len(), 1);
    assert_eq!(report.ledger[0].account, Account::Unexplained);
    assert_eq!(
        report.verdict.candidates[0],
        VerdictKind::HeapLeak,
        "{:?}",
        report.verdict
    );
    // rollup_only: the sums are there, the classes are not.
    for sample in &mut observations.samples {
        sample.maps = Some(Maps {
            rollup_only: true,
            ..Maps::default()
        });
        sample.memory.rss_anon = Some(sample.memory.rss);
    }
    assert_eq!(
        analyze(&observations).report.ledger[0].account,
        Account::Anon
    );
}

#[test]
fn warnings_name_what_was_put_off_and_missed() {
    let mut observations = growing(0.0, 30.0, 0.0, 1);
    observations.recording.gaps = 2;
    observations.recording.reads.push(ReadCost {
        kind: ReadKind::Smaps,
        reads: 90,
        skipped: 30,
        failed: 0,
        cpu: Nanos(1),
        longest: Nanos(1),
    });
    for sample in &mut observations.samples {
        sample.memory.rss += Bytes(3 << 20);
    }
    let warnings = analyze(&observations).report.warnings;
    for part in [
        "2 ticks were due",
        "smaps was put off 30 times",
        "of RSS is unexplained",
    ] {
        assert!(
            warnings.iter().any(|w| w.contains(part)),
            "{part}: {warnings:?}"
        );
    }
}

#[test]
fn other_proven_causes_stand_beside_the_first() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "thread-leak-blocked")
        .expect("in the corpus");
    let mut observations = window(&case, 0.0, f64::INFINITY);
    for (k, sample) in observations.samples.iter_mut().enumerate() {
        if let Some(fds) = &mut sample.counts.descriptors {
            fds.socket += k as u64 / 10;
            fds.total += k as u64 / 10;
        }
    }
    let verdict = analyze(&observations).report.verdict;
    assert_eq!(verdict.kind, VerdictKind::ThreadLeak);
    let also = verdict
        .evidence
        .iter()
        .find(|e| e.fact.starts_with("Also: descriptors"));
    assert!(
        also.is_some_and(|e| e.fact.contains("sockets")),
        "{:?}",
        verdict.evidence
    );
}

#[test]
fn large_slow_processes_are_not_called_level() {
    // 2 GiB that grow by 100 KiB/s: 6 MiB in a minute are .3 % of RSS, and visible.
    let observations = heap((0..240).map(|k| {
        let t = f64::from(k) / 4.0;
        (t, 2048.0 * MIB + 102_400.0 * t)
    }));
    let verdict = analyze(&observations).report.verdict;
    assert_eq!(
        verdict.kind,
        VerdictKind::Undetermined,
        "{}",
        verdict.summary
    );
    assert!(
        verdict.summary.contains("still too little") && verdict.summary.contains("more"),
        "{}",
        verdict.summary
    );
}

#[test]
fn long_and_unevenly_thinned_records_weigh_time_equally() {
    // A day at 10 s, its last hour at 1 s: growth by 2 KiB/s throughout.
    let times = (0..8_280)
        .map(|k| f64::from(k) * 10.0)
        .chain((0..3_600).map(|k| 82_800.0 + f64::from(k)));
    let observations = heap(times.map(|t| (t, 30.0 * MIB + 2048.0 * t)));
    let report = analyze(&observations).report;
    assert_eq!(report.growth.shape, Shape::Linear);
    let rate = report.growth.rss_bytes_per_second.expect("a rate");
    assert!((rate - 2048.0).abs() < 5.0, "{rate}");
    // First to last twelfth of the day: 11/12 of 24 h, not of the hour that has most samples.
    let hours = report.growth.rss_bytes as f64 / 2048.0 / 3600.0;
    assert!((hours - 22.0).abs() < 0.3, "{hours}");
}

#[test]
fn noise_is_the_deviation_around_the_trend() {
    let observations = growing(MIB, 60.0, 100_000.0, 11);
    let measured = noise(&observations.samples).as_f64();
    assert!((measured / 100_000.0 - 1.0).abs() < 0.15, "{measured}");
    assert_eq!(noise(&growing(MIB, 60.0, 0.0, 1).samples), Bytes(0));
    assert_eq!(noise(&observations.samples[..2]), Bytes(0));
}

/// What is announced as detectable is detected in nine of ten records, and not in a third of the time.
#[test]
fn announced_detection_times_are_those_of_the_gate() {
    let every = Nanos::from_secs_f64(0.25);
    let rss = Bytes(30 << 20);
    let proven = |rate: f64, seconds: f64, noise: f64| {
        (1..=40)
            .filter(|&seed| {
                analyze(&growing(rate, seconds, noise, seed))
                    .report
                    .verdict
                    .summary
                    .contains("does not slow down")
            })
            .count()
    };
    for (rate, noise) in [
        (100_000.0, 0.0),
        (40_000.0, 20_000.0),
        (30_000.0, 400_000.0),
    ] {
        let time = detection::time_to_detect(rate, rss, Bytes(noise as u64), every).as_secs_f64();
        let (then, before) = (
            proven(rate, time + 1.0, noise),
            proven(rate, time / 3.0, noise),
        );
        println!(
            "{rate} bytes/s under {noise}: {time:.0} s, {then}/40 then, {before}/40 at a third"
        );
        assert!(
            then >= 34,
            "{rate} bytes/s under {noise} in {time} s: {then}/40"
        );
        assert!(
            before <= 4,
            "{rate} bytes/s under {noise} in {} s: {before}/40",
            time / 3.0
        );
    }
    let table = detectable(rss, Bytes(0), Nanos::SECOND);
    assert_eq!(table.len(), 4);
    // 1 MiB/s: the least record; 1 MiB/h: 3 % of 30 MiB take .9 h · 12/11.
    assert_eq!(table[0].1, Nanos::from_secs(20));
    assert!(
        (table[2].1.as_secs_f64() / 3_600.0 - 0.9 * 12.0 / 11.0).abs() < 0.001,
        "{table:?}"
    );
}

#[test]
fn what_has_ended_has_no_forecast_and_no_advice_to_look_at_it() {
    let alive = growing(MIB, 30.0, 0.0, 1);
    let pid = alive.target.id.pid;
    let names_it = |report: &memtide_model::Report| {
        let mut advice = report.verdict.advice.iter();
        advice.any(|sentence| sentence.contains(&format!(" {pid}")))
    };
    let before = analyze(&alive).report;
    assert!(names_it(&before), "{:?}", before.verdict.advice);
    let oom = event(EventKind::Oom, 30.0, None);
    let after = analyze(&Observations {
        events: vec![event(EventKind::Exit, 30.0, Some(9)), oom],
        ..alive
    })
    .report;
    assert_eq!(after.forecast, None);
    assert!(!names_it(&after), "{:?}", after.verdict.advice);
    let summary = &after.verdict.summary;
    assert!(summary.ends_with("the OOM killer ended it."), "{summary}");
}
