//! When growth meets a limit that swings hide: the truth is where the curve that was made crosses it.

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::{Forecast, Report};
use memtide_model::{Bytes, Cgroup, Limits, Observations, Sample, Shape, Stage, VerdictKind};
use support::look::{Books, looked};
use support::shim::{KIB, MIB};

const LIMIT: Bytes = Bytes(512 << 20);
/// What others in the cgroup use.
const OTHERS: Bytes = Bytes(10 << 20);

/// Rises for `period` seconds to `height` and falls back at once.
fn teeth(t: f64, period: f64, height: f64) -> f64 {
    height * (t / period).fract()
}

/// In a cgroup whose limit is [`LIMIT`].
fn limited(mut observations: Observations) -> Observations {
    for sample in &mut observations.samples {
        sample.cgroup = Some(Cgroup {
            current: sample.memory.rss + OTHERS,
            limit: Some(LIMIT),
            ..Cgroup::default()
        });
    }
    observations
}

/// The report of `seconds` with looks at thirds.
fn report(seconds: u32, books: impl Fn(f64) -> Books) -> Report {
    let end = f64::from(seconds);
    let looks = [0.0, end / 3.0, end / 1.5, end];
    analyze(&limited(looked(seconds, &looks, books))).report
}

/// What the step about limits decided.
fn decision(report: &Report) -> &str {
    let step = (report.reasoning.steps.iter()).find(|step| step.stage == Stage::Forecast);
    &step.expect("growth goes on").decision
}

/// The first and the last second after the record at which a curve is as high as the limit: peaks meet it first, troughs last.
fn crossing(seconds: u32, rss: impl Fn(f64) -> f64) -> (f64, f64) {
    let end = f64::from(seconds);
    let moments = || (0..4_000_000).map(|k| f64::from(k) / 100.0);
    let above = |t: f64| rss(end + t) + OTHERS.as_f64() >= LIMIT.as_f64();
    let first = moments().find(|&t| above(t)).expect("it grows");
    // Every swing is shorter than 1,000 s.
    let last = (moments().skip_while(|&t| t < first))
        .take_while(|&t| t < first + 5_000.0)
        .filter(|&t| !above(t))
        .last();
    (first, last.unwrap_or(first))
}

/// The forecast holds both, give or take a hundredth, and is no wider than twice of what lies between and a fifth.
fn assert_told(report: &Report, (first, last): (f64, f64)) {
    let told: &Forecast = report.forecast.as_ref().unwrap_or_else(|| {
        panic!(
            "no forecast: {} {}",
            report.verdict.summary,
            decision(report)
        )
    });
    let high = told.seconds_high.expect("a latest time");
    let low = told.seconds_low;
    assert_eq!(told.limit, "cgroup");
    assert!(
        low <= 1.01 * first && 0.99 * last <= high,
        "{low} to {high} s for {first} to {last} s"
    );
    assert!(
        high - low <= 2.0 * (last - first) + 0.2 * first,
        "{low} to {high} s"
    );
    assert!(
        report
            .verdict
            .summary
            .contains("reaches the limit of its cgroup in")
    );
}

#[test]
fn a_class_that_leaks_under_a_sawtooth_has_the_forecast_of_the_class() {
    let books = |t: f64| Books {
        live: 2.0 * MIB + 300.0 * KIB * t,
        other: 4.0 * MIB + teeth(t, 11.0, 48.0 * MIB),
        ..Books::default()
    };
    let report = report(48, books);
    assert_eq!(report.verdict.kind, VerdictKind::HeapLeak);
    assert!(
        !report.growth.shape.is_unbounded(),
        "RSS alone tells nothing: {:?}",
        report.growth.shape
    );
    let rss = |t: f64| books(t).live + books(t).other;
    assert_told(&report, crossing(48, rss));
}

#[test]
fn a_class_has_the_forecast_where_the_whole_rises_in_teeth() {
    let books = |t: f64| Books {
        live: 2.0 * MIB + 160.0 * KIB * t,
        other: 2.0 * MIB + teeth(t, 3.7, 24.0 * MIB),
        ..Books::default()
    };
    let report = report(48, books);
    assert_eq!(report.verdict.kind, VerdictKind::HeapLeak);
    assert_eq!(report.growth.shape, Shape::RisingSawtooth);
    let rss = |t: f64| books(t).live + books(t).other;
    assert_told(&report, crossing(48, rss));
}

#[test]
fn teeth_that_rise_by_themselves_have_the_forecast_of_their_troughs() {
    let books = |t: f64| Books {
        live: 8.0 * MIB + 0.25 * MIB * t + teeth(t, 5.0, 24.0 * MIB),
        ..Books::default()
    };
    let report = report(60, books);
    assert_eq!(report.growth.shape, Shape::RisingSawtooth);
    assert_told(&report, crossing(60, |t| books(t).live));
}

#[test]
fn growth_under_a_wave_has_the_forecast_of_what_the_wave_leaves() {
    let wave = |t: f64| 100.0 * MIB * (1.0 + 0.4 * (core::f64::consts::TAU * t / 200.0).sin());
    let books = |t: f64| Books {
        live: wave(t) + 0.15 * MIB * t,
        free: MIB,
        ..Books::default()
    };
    let report = report(600, books);
    assert_eq!(report.verdict.kind, VerdictKind::HeapLeak);
    assert_told(&report, crossing(600, |t| books(t).live + MIB));
}

#[test]
fn where_the_rest_falls_as_the_class_grows_nothing_is_told() {
    let report = report(48, |t: f64| Books {
        live: 2.0 * MIB + 300.0 * KIB * t,
        other: 40.0 * MIB - 300.0 * KIB * t + teeth(t, 8.0, 24.0 * MIB),
        ..Books::default()
    });
    assert_eq!(report.verdict.kind, VerdictKind::HeapLeak);
    assert_eq!(report.forecast, None, "RSS does not grow");
    assert_eq!(
        decision(&report).rsplit_once(". ").expect("notes").1,
        "Not told for cgroup."
    );
}

#[test]
fn limits_of_space_and_of_data_are_told_apart() {
    let grown = |t: f64| Books {
        live: 8.0 * MIB + MIB * t,
        ..Books::default()
    };
    let told = |limit: fn(&mut Limits) -> &mut Option<Bytes>, track: fn(&Sample) -> Bytes| {
        let mut observations = looked(60, &[0.0, 20.0, 40.0, 60.0], grown);
        for sample in &mut observations.samples {
            sample.memory.data = Some(sample.memory.rss + Bytes(5 << 20));
        }
        let room = Bytes(100 << 20);
        let end = track(observations.samples.last().expect("samples"));
        *limit(&mut observations.target.limits) = Some(end + room);
        let report = analyze(&observations).report;
        let told = report.forecast.expect("100 s of room");
        assert!(
            told.seconds_low < 100.0 && told.seconds_high > Some(100.0),
            "{told:?}"
        );
        assert_eq!(told.limit, "rlimit");
        (told.resource, report.verdict.summary)
    };
    let (space, summary) = told(|limits| &mut limits.address_space, |s| s.memory.size);
    assert_eq!(space.as_deref(), Some("RLIMIT_AS"));
    assert!(
        summary.contains("the limit of its address space (RLIMIT_AS) in"),
        "{summary}"
    );
    let (data, summary) = told(
        |limits| &mut limits.data,
        |s| s.memory.data.unwrap_or_default(),
    );
    assert_eq!(data.as_deref(), Some("RLIMIT_DATA"));
    assert!(
        summary.contains("the limit of its data (RLIMIT_DATA) in"),
        "{summary}"
    );
}
