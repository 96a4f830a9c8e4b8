//! No recording may make the analysis panic, print NaN, or lose the sum of the ledger.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "random numbers of any size are what is wanted"
)]

mod support;

use memtide_analyzer::{Suppressions, analyze, analyze_with, detectable, noise};
use memtide_model::report::Report;
use memtide_model::{
    Account, ArenaTotals, Bytes, CallStack, CodeModule, CodeModuleId, CodePlace, HeapClass,
    HeapMode, HeapObservations, HeapQuality, HeapSnapshot, HeapTotals, Lost, MappingClass, Maps,
    Nanos, Observations, Sample, SizeClass, StackCounters, StackEnd, StackHistory, StackKind,
    StackObservations, StackOwner, StackPoint, StackTotals, Symbol,
};
use support::{Random, assert_has_numbers_only, heap_sample, observations};

/// A value from nothing to the largest there is.
fn value(random: &mut Random) -> u64 {
    match random.uniform() {
        p if p < 0.1 => 0,
        p if p < 0.15 => u64::MAX,
        p if p < 0.6 => (random.uniform() * 1e6) as u64,
        _ => (random.uniform() * 1e12) as u64,
    }
}

fn maybe(random: &mut Random) -> Option<Bytes> {
    (random.uniform() < 0.7).then(|| Bytes(value(random)))
}

fn hostile(random: &mut Random) -> Observations {
    let count = (random.uniform() * 60.0) as u32;
    let still = random.uniform() < 0.1;
    let samples = (0..count).map(|k| {
        let at = if still {
            0.0
        } else {
            f64::from(k) * random.uniform().mul_add(0.1, 1.0)
        };
        let mut sample = heap_sample(at, 0.0);
        sample.memory.rss = Bytes(value(random));
        sample.memory.size = Bytes(value(random));
        sample.memory.rss_anon = maybe(random);
        sample.memory.rss_file = maybe(random);
        sample.memory.rss_shmem = maybe(random);
        sample.memory.page_tables = maybe(random);
        sample.counts.threads = value(random);
        let mut maps = Maps {
            rollup_only: random.uniform() < 0.2,
            ..Maps::default()
        };
        for class in MappingClass::ALL {
            let totals = maps.classes.get_mut(class);
            totals.rss = Bytes(value(random));
            totals.size = Bytes(value(random));
            totals.count = value(random);
        }
        sample.maps = (random.uniform() < 0.6).then_some(maps);
        sample
    });
    let mut samples: Vec<_> = samples.collect();
    samples.sort_by_key(|sample| sample.at);
    observations(samples, "none")
}

/// A moment within the recording, before it, or at the end of time; in no order.
fn any_moment(random: &mut Random) -> Nanos {
    match random.uniform() {
        p if p < 0.05 => Nanos(0),
        p if p < 0.1 => Nanos(u64::MAX),
        _ => Nanos::from_secs_f64(random.uniform().mul_add(60.0, 1_000.0)),
    }
}

fn any_place(random: &mut Random) -> CodePlace {
    CodePlace {
        module: (random.uniform() < 0.8).then(|| CodeModuleId((random.uniform() * 4.0) as u32)),
        address: (random.uniform() * 20.0) as u64,
    }
}

fn any_history(random: &mut Random) -> StackHistory {
    let pick = random.uniform();
    let frames = (random.uniform() * 5.0) as usize;
    let points = (random.uniform() * 20.0) as usize;
    StackHistory {
        stack: CallStack {
            kind: if pick < 0.7 {
                StackKind::Heap
            } else {
                StackKind::Mapping
            },
            owner: if pick < 0.8 {
                StackOwner::Target
            } else {
                StackOwner::Others
            },
            end: StackEnd::Truncated,
            frames: (0..frames).map(|_| any_place(random)).collect(),
        },
        last: StackCounters {
            allocs: value(random),
            bytes: value(random),
            frees: value(random),
            freed: value(random),
            peak_bytes: value(random),
            samples: value(random),
            freed_samples: value(random),
        },
        points: (0..points)
            .map(|_| StackPoint {
                at: any_moment(random),
                allocs: value(random),
                frees: value(random),
                live_bytes: Bytes(value(random)),
            })
            .collect(),
    }
}

/// Counters that contradict each other, moments out of order, modules and names that are not there.
fn hostile_stacks(random: &mut Random) -> StackObservations {
    let totals = (random.uniform() * 60.0) as usize;
    let histories = (random.uniform() * 30.0) as usize;
    let mut symbols: Vec<(CodePlace, Vec<Symbol>)> = (0..10)
        .map(|k| {
            let symbol = Symbol {
                function: (k % 3 > 0).then(|| "\u{202e}f\n*$^".into()),
                file: (k % 2 > 0).then(|| "".into()),
                line: (k % 4 > 0).then_some(u32::MAX),
                inlined: k % 5 > 0,
            };
            (any_place(random), vec![symbol; k % 3])
        })
        .collect();
    if random.uniform() < 0.7 {
        symbols.sort_by_key(|(place, _)| *place);
    }
    StackObservations {
        mode: if random.uniform() < 0.5 {
            HeapMode::Full
        } else {
            HeapMode::Sampled
        },
        interval: Bytes(value(random)),
        totals: (0..totals)
            .map(|_| StackTotals {
                at: any_moment(random),
                live_bytes: Bytes(value(random)),
                live_blocks: value(random),
                mapping_bytes: Bytes(value(random)),
                peak_bytes: Bytes(value(random)),
                allocs: value(random),
                allocated_bytes: Bytes(value(random)),
            })
            .collect(),
        modules: vec![
            CodeModule {
                path: "".into(),
                build_id: String::new(),
            };
            2
        ],
        stacks: (0..histories).map(|_| any_history(random)).collect(),
        symbols,
        symbol_warnings: Vec::new(),
        lost: Lost {
            no_room: value(random),
            processes: value(random),
            ..Lost::default()
        },
        ended: random.uniform() < 0.5,
    }
}

#[test]
fn any_stacks_are_answered_and_the_ledger_still_adds_up() {
    let suppressions = Suppressions::parse("leak:f*^\nleak:$\\n").expect("two patterns");
    let mut random = Random(0x5_7ac6);
    let mut sums = 0;
    for run in 0..1_000 {
        let mut observations = hostile(&mut random);
        let stacks = hostile_stacks(&mut random);
        let listed = stacks.stacks.len().min(200);
        observations.stacks = Some(stacks);
        if run % 10 == 0 {
            observations.samples.clear();
        }
        let findings = analyze_with(&observations, &suppressions);
        assert_has_numbers_only(&findings, &format!("run {run}"));
        let report = findings.report;
        let rows = report.stacks.expect("the shim looked");
        assert_eq!(rows.len(), listed, "run {run}");
        for row in &rows {
            let score = row.leak_score.unwrap_or(0.5);
            assert!((0.0..=1.0).contains(&score), "run {run}: {row:?}");
        }
        let sum: i128 = report
            .ledger
            .iter()
            .map(|row| i128::from(row.end_bytes))
            .sum();
        let small = |row: &memtide_model::report::LedgerRow| row.end_bytes.abs() < 1 << 50;
        // Without mappings, a kernel that gives a part of its split now and then has no such sum.
        let by_class = report
            .ledger
            .iter()
            .any(|row| row.account == Account::Stacks);
        if by_class && report.ledger.iter().all(small) {
            sums += 1;
            let seen = |s: &Sample| i128::from(s.memory.rss.0) == sum;
            assert!(
                observations.samples.iter().any(seen),
                "run {run}: {:?}",
                report.ledger
            );
        }
    }
    assert!(sums > 50, "only {sums} ledgers had sizes that can be added");
}

/// Books that contradict each other and the samples.
fn hostile_looks(random: &mut Random) -> HeapObservations {
    let count = (random.uniform() * 8.0) as usize;
    let look = |random: &mut Random| {
        let mut bytes = || Bytes(value(random));
        let totals = HeapTotals {
            live_bytes: bytes(),
            live_resident: bytes(),
            mmapped_bytes: bytes(),
            mmapped_resident: bytes(),
            free_bytes: bytes(),
            trimmable: bytes(),
            stuck: bytes(),
            heap_resident: bytes(),
            ..HeapTotals::default()
        };
        HeapSnapshot {
            rss: bytes(),
            took: Nanos(bytes().0),
            totals,
            at: any_moment(random),
            arenas: vec![
                ArenaTotals {
                    address: value(random),
                    live_bytes: Bytes(value(random)),
                    resident: Bytes(value(random)),
                    ..ArenaTotals::default()
                };
                4
            ],
            sizes: vec![SizeClass {
                size: value(random),
                live_bytes: Bytes(value(random)),
                ..SizeClass::default()
            }],
            classes: vec![HeapClass {
                name: "\u{202e}".repeat(100),
                runtime: "c++".to_owned(),
                count: value(random),
                bytes: Bytes(value(random)),
            }],
            quality: HeapQuality {
                doubts: vec!["a check failed".to_owned(); usize::from(random.uniform() < 0.2)],
                ..HeapQuality::default()
            },
            ..HeapSnapshot::default()
        }
    };
    HeapObservations {
        snapshots: (0..count).map(|_| look(random)).collect(),
        unavailable: (random.uniform() < 0.2).then(|| "It ended.".to_owned()),
    }
}

/// However the books contradict the samples, every tick that was split adds up to its RSS.
#[test]
fn any_looks_are_answered_and_every_tick_still_adds_up() {
    let mut random = Random(0x1_00c5);
    let (mut sums, mut split) = (0, 0);
    for run in 0..1_000 {
        let mut observations = hostile(&mut random);
        observations.heap = Some(hostile_looks(&mut random));
        let findings = analyze(&observations);
        assert_has_numbers_only(&findings, &format!("run {run}"));
        reasoned(&findings.report);
        for point in &findings.timeline.points {
            let accounts = &point.accounts;
            split += usize::from(
                accounts
                    .iter()
                    .any(|(account, _)| *account == Account::HeapLive),
            );
            let small = |value: i64| value.unsigned_abs() < 1 << 50;
            if accounts.is_empty() || !accounts.iter().all(|(_, value)| small(*value)) {
                continue;
            }
            sums += 1;
            let sum: i64 = accounts.iter().map(|(_, value)| value).sum();
            assert_eq!(sum, point.rss.0.cast_signed(), "run {run}: {point:?}");
            let seen = |sample: &Sample| sample.memory.rss == point.rss;
            assert!(
                observations.samples.iter().any(seen),
                "run {run}: {point:?}"
            );
            let negative = accounts
                .iter()
                .find(|(account, value)| *account != Account::Unexplained && *value < 0);
            assert_eq!(negative, None, "run {run}: {point:?}");
        }
    }
    assert!(sums > 1_000 && split > 1_000, "{sums} sums, {split} split");
}

/// Nothing in a step is not finite, the stages are in order, and the last step names the verdict.
fn reasoned(report: &Report) {
    let steps = &report.reasoning.steps;
    for number in steps.iter().flat_map(|step| &step.numbers) {
        let threshold = number.threshold.map_or(0.0, |threshold| threshold.value);
        let value = number.value.unwrap_or(0.0);
        assert!(value.is_finite() && threshold.is_finite(), "{number:?}");
    }
    assert!(steps.is_sorted_by_key(|step| step.stage), "{steps:#?}");
    let last = steps.last().and_then(|step| step.verdict);
    assert_eq!(last, Some(report.verdict.kind));
}

#[test]
fn anything_is_answered() {
    let mut random = Random(0xbad_cafe);
    for run in 0..2_000 {
        let observations = hostile(&mut random);
        let findings = analyze(&observations);
        assert_has_numbers_only(&findings, &format!("run {run}"));
        let samples = &observations.samples;
        let every = Nanos::from_secs(1);
        let table = detectable(Bytes(value(&mut random)), noise(samples), every);
        assert!(
            table.iter().all(|(_, time)| *time >= Nanos::from_secs(20)),
            "run {run}: {table:?}"
        );
    }
}

#[test]
fn an_interval_of_zero_and_no_samples_are_answered() {
    let none = analyze(&observations(Vec::new(), "none"));
    assert!(none.report.ledger.is_empty() && none.timeline.points.is_empty());
    assert_eq!(
        detectable(Bytes(0), Bytes(0), Nanos(0))[0].1,
        Nanos::from_secs(20)
    );
    // Time that stands still is no time to grow in.
    let same = analyze(&observations(
        (0..40)
            .map(|k| heap_sample(0.0, f64::from(k) * 1e7))
            .collect(),
        "none",
    ));
    assert!(
        same.report.verdict.summary.contains("too short"),
        "{}",
        same.report.verdict.summary
    );
}
