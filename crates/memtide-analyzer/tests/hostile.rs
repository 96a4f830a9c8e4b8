//! No recording may make the analysis panic, print NaN, or lose the sum of the ledger.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "random numbers of any size are what is wanted"
)]

mod support;

use memtide_analyzer::{analyze, detectable, noise};
use memtide_model::{Bytes, MappingClass, Maps, Nanos, Observations};
use support::{Random, heap_sample, observations};

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

#[test]
fn anything_is_answered() {
    let mut random = Random(0xbad_cafe);
    for run in 0..2_000 {
        let observations = hostile(&mut random);
        let findings = analyze(&observations);
        let text = serde_json::to_string(&findings.report).expect("a report is JSON");
        assert!(
            !text.contains("NaN") && !text.contains("inf "),
            "run {run}: {text}"
        );
        assert!(
            (0.0..=1.0).contains(&findings.report.verdict.confidence),
            "run {run}"
        );
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
