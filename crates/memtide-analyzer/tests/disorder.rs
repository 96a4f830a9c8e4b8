//! Recordings that went wrong: gaps, clocks that are set, a machine that slept, rows in any order, counters
//! that begin again, a target that ended. Each is an ordinary recording with faults put in, so that what must not
//! change can be compared.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_analyzer::{analyze, analyze_looks};
use memtide_model::report::How;
use memtide_model::{
    Bytes, Cgroup, Descriptors, Event, EventKind, Nanos, Observations, Sample, VerdictKind,
};
use proptest::prelude::*;
use proptest::sample::Index;
use support::{assert_has_numbers_only, heap_sample, observations};

const MIB: f64 = 1_048_576.0;

/// What memory does, before anything goes wrong.
#[derive(Clone, Copy, Debug)]
enum Course {
    Level,
    Rising,
    Stairs,
    Swinging,
    Ending,
}

impl Course {
    fn bytes(self, second: f64) -> f64 {
        let grown = match self {
            Self::Level => 0.0,
            Self::Rising => second / 4.0,
            Self::Stairs => (second / 6.0).floor(),
            Self::Swinging => 8.0 * (second / 7.0).fract(),
            Self::Ending => 10.0 * (1.0 - (-second / 8.0).exp()),
        };
        (20.0 + grown) * MIB
    }
}

/// What goes wrong. Shares are of the record.
#[derive(Clone, Debug)]
enum Fault {
    /// Samples between two shares were not taken.
    Gap(f64, f64),
    /// All from a share on is later by so many seconds: the machine slept.
    Slept(f64, u64),
    /// All from a share on is earlier by so many seconds: a clock was set back.
    SetBack(f64, u64),
    /// Rows are exchanged.
    Shuffled(Vec<Index>),
    /// Rows come a second time, with other numbers.
    Twice(Vec<Index>, u64),
    /// Counters begin again at a share, with an exec or unseen.
    BeganAgain(f64, bool),
    /// Every number of some samples is the largest there is, or zero.
    Extreme(Vec<Index>, u64),
    /// It ended in some way.
    Ended(EventKind, Option<i64>),
    /// Only the first samples are there.
    Few(usize),
    /// The recording is said to have begun and ended at other times than its samples.
    Elsewhere(u64, u64),
}

fn record(course: Course, seconds: u32) -> Vec<Sample> {
    let sample = |k: u32| {
        let second = f64::from(k) / 2.0;
        let mut sample = heap_sample(second, course.bytes(second));
        sample.activity.min_flt = 256 * u64::from(k);
        sample.activity.utime = u64::from(k);
        sample.counts.descriptors = Some(Descriptors {
            total: 8,
            ..Descriptors::default()
        });
        sample.cgroup = Some(Cgroup {
            current: sample.memory.rss,
            limit: Some(Bytes(1 << 30)),
            ..Cgroup::default()
        });
        sample
    };
    (0..=2 * seconds).map(sample).collect()
}

fn event(observations: &Observations, at: Nanos, kind: EventKind, value: Option<i64>) -> Event {
    Event {
        at,
        kind,
        pid: observations.target.id.pid,
        text: "It happened.".to_owned(),
        value,
    }
}

/// The index of a share of the samples.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a small number"
)]
fn place(samples: &[Sample], share: f64) -> usize {
    ((samples.len() as f64 * share) as usize).min(samples.len())
}

impl Fault {
    fn befall(&self, to: &mut Observations) {
        let samples = &mut to.samples;
        match self {
            Self::Gap(from, till) => {
                let (from, till) = (place(samples, *from), place(samples, *till));
                samples.drain(from.min(till)..till);
            }
            Self::Slept(share, seconds) => {
                let from = place(samples, *share);
                for sample in &mut samples[from..] {
                    sample.at += Nanos::from_secs(*seconds);
                }
            }
            Self::SetBack(share, seconds) => {
                let from = place(samples, *share);
                for sample in &mut samples[from..] {
                    sample.at = sample.at - Nanos::from_secs(*seconds);
                }
            }
            Self::Shuffled(places) => shuffle(samples, places),
            Self::Twice(places, rss) => repeat(samples, places, *rss),
            Self::BeganAgain(share, seen) => began_again(to, *share, *seen),
            Self::Extreme(places, value) if !samples.is_empty() => {
                for index in places {
                    let sample = index.get_mut(samples);
                    *sample = extreme(sample, *value);
                }
            }
            Self::Extreme(..) => {}
            Self::Ended(kind, status) => {
                let at = samples.last().map_or(Nanos(0), |sample| sample.at);
                let end = event(to, at, *kind, *status);
                to.events.push(end);
            }
            Self::Few(count) => samples.truncate(*count),
            Self::Elsewhere(started, ended) => {
                to.recording.started = Nanos(*started);
                to.recording.ended = Nanos(*ended);
            }
        }
    }
}

fn shuffle(samples: &mut [Sample], places: &[Index]) {
    let count = samples.len();
    for (from, to) in places.iter().zip(places.iter().rev()) {
        if count > 0 {
            samples.swap(from.index(count), to.index(count));
        }
    }
}

/// Adds samples of moments that there are, with another RSS.
fn repeat(samples: &mut Vec<Sample>, places: &[Index], rss: u64) {
    for (index, place) in places.iter().enumerate() {
        if !samples.is_empty() {
            let mut sample = *place.get(samples);
            sample.memory.rss = Bytes(rss.rotate_left(u32::try_from(index).unwrap_or(0)));
            samples.push(sample);
        }
    }
}

fn began_again(to: &mut Observations, share: f64, seen: bool) {
    let from = place(&to.samples, share);
    let at = to.samples.get(from).map_or(Nanos(0), |sample| sample.at);
    for sample in &mut to.samples[from..] {
        sample.activity.min_flt = 0;
        sample.activity.utime = 0;
        sample.memory.rss = Bytes(sample.memory.rss.0 / 8);
    }
    if seen {
        let exec = event(to, at, EventKind::Exec, None);
        to.events.push(exec);
    }
}

/// The sample with every number that it has made this one.
fn extreme(sample: &Sample, value: u64) -> Sample {
    let mut sample = *sample;
    let bytes = Bytes(value);
    let memory = &mut sample.memory;
    (memory.rss, memory.size) = (bytes, bytes);
    (memory.rss_anon, memory.page_tables) = (Some(bytes), Some(bytes));
    (sample.activity.min_flt, sample.activity.utime) = (value, value);
    sample.counts.threads = value;
    sample.counts.descriptors = Some(Descriptors {
        total: value,
        socket: value,
        ..Descriptors::default()
    });
    sample.cgroup = Some(Cgroup {
        current: bytes,
        limit: Some(bytes),
        ..Cgroup::default()
    });
    sample
}

fn course() -> impl Strategy<Value = Course> {
    use Course::{Ending, Level, Rising, Stairs, Swinging};
    prop::sample::select(vec![Level, Rising, Stairs, Swinging, Ending])
}

fn fault() -> impl Strategy<Value = Fault> {
    let share = || 0.0..1.0_f64;
    let places = || prop::collection::vec(any::<Index>(), 0..40);
    let seconds = || prop_oneof![1_u64..5_000, Just(u64::MAX)];
    let number = || prop_oneof![Just(0), Just(u64::MAX), Just(1 << 63), any::<u64>()];
    let status = prop_oneof![
        Just(None),
        (0_i64..0xffff).prop_map(Some),
        any::<i64>().prop_map(Some)
    ];
    let kind = prop::sample::select(EventKind::ALL.to_vec());
    prop_oneof![
        (share(), share()).prop_map(|(from, to)| Fault::Gap(from, to)),
        (share(), seconds()).prop_map(|(share, s)| Fault::Slept(share, s)),
        (share(), seconds()).prop_map(|(share, s)| Fault::SetBack(share, s)),
        places().prop_map(Fault::Shuffled),
        (places(), number()).prop_map(|(places, rss)| Fault::Twice(places, rss)),
        (share(), any::<bool>()).prop_map(|(share, seen)| Fault::BeganAgain(share, seen)),
        (places(), number()).prop_map(|(places, value)| Fault::Extreme(places, value)),
        (kind, status).prop_map(|(kind, status)| Fault::Ended(kind, status)),
        (0_usize..4).prop_map(Fault::Few),
        (number(), number()).prop_map(|(from, to)| Fault::Elsewhere(from, to)),
    ]
}

fn recorded(course: Course, seconds: u32, faults: &[Fault]) -> Observations {
    let mut observations = observations(record(course, seconds), "none");
    for fault in faults {
        fault.befall(&mut observations);
    }
    observations
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No panic, and no number in any report that is none.
    #[test]
    fn whatever_went_wrong_is_answered_in_numbers(
        course in course(),
        seconds in 0_u32..90,
        faults in prop::collection::vec(fault(), 0..4),
    ) {
        let observations = recorded(course, seconds, &faults);
        let findings = analyze(&observations);
        assert_has_numbers_only(&findings, "attach");
        let page = memtide_report::html::render(&findings).unwrap();
        prop_assert!(!page.contains("NaN") && !page.contains("\"inf\""), "{}", page);
        assert_has_numbers_only(&analyze_looks(&observations), "inspect");
    }

    /// The order of rows says nothing, of one moment or of many.
    #[test]
    fn the_order_of_samples_changes_nothing(
        course in course(),
        seconds in 0_u32..60,
        faults in prop::collection::vec(fault(), 0..3),
        twice in prop::collection::vec(any::<Index>(), 0..20),
        rss in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let mut observations = recorded(course, seconds, &faults);
        Fault::Twice(twice, rss).befall(&mut observations);
        let expected = analyze(&observations);
        let mut random = support::Random(seed | 1);
        let mut keys: Vec<(f64, Sample)> = (observations.samples.iter())
            .map(|sample| (random.uniform(), *sample))
            .collect();
        keys.sort_by(|a, b| a.0.total_cmp(&b.0));
        observations.samples = keys.into_iter().map(|(_, sample)| sample).collect();
        prop_assert_eq!(analyze(&observations), expected);
    }

    /// One sample, or the same one again and again, is no growth and no leak.
    #[test]
    fn equal_values_are_never_growth(count in 0_usize..200, value in any::<u64>(), every in 0_u64..100) {
        let sample = extreme(&heap_sample(0.0, 0.0), value);
        let samples = (0..count as u64).map(|k| Sample {
            at: sample.at + Nanos::from_secs(every * k),
            ..sample
        });
        let findings = analyze(&observations(samples.collect(), "none"));
        assert_has_numbers_only(&findings, "equal");
        let verdict = &findings.report.verdict;
        let still = [VerdictKind::NoGrowth, VerdictKind::Undetermined];
        prop_assert!(still.contains(&verdict.kind), "{:?}", verdict);
        prop_assert!(!findings.report.ledger.iter().any(|row| row.growth_bytes != 0));
    }
}

/// Of three samples of one moment the middle one stands, whichever came first.
#[test]
fn of_one_moment_the_median_stands() {
    let rss: Vec<Sample> = [9.0, 1.0, 5.0]
        .map(|mib| heap_sample(3.0, mib * MIB))
        .to_vec();
    let points = analyze(&observations(rss, "none")).timeline.points;
    assert_eq!(points.len(), 1);
    assert!(
        (points[0].rss.as_f64() - 5.0 * MIB).abs() < 1.0,
        "{points:?}"
    );
}

/// A machine that slept for an hour in the middle of a leak: what came before and after is still a steady
/// rise, and the hour without samples is no time in which nothing grew, nor one in which it did.
#[test]
fn a_leak_is_found_around_a_gap() {
    for (from, till) in [(0.2, 0.3), (0.45, 0.55), (0.7, 0.8)] {
        let mut observations = observations(record(Course::Rising, 120), "none");
        Fault::Gap(from, till).befall(&mut observations);
        let findings = analyze(&observations);
        let rate = findings.report.growth.rss_bytes_per_second.unwrap();
        assert!((rate / (MIB / 4.0) - 1.0).abs() < 0.03, "{from}: {rate}");
        let verdict = &findings.report.verdict;
        assert_eq!(
            verdict.candidates.first(),
            Some(&VerdictKind::HeapLeak),
            "{verdict:?}"
        );
    }
}

/// Counters that begin again at an exec: what the first program held is not what the second one lost.
#[test]
fn what_was_before_an_exec_does_not_count() {
    let before = |k: u32| heap_sample(f64::from(k), 200.0 * MIB + MIB * f64::from(k));
    let after = |k: u32| heap_sample(f64::from(60 + k), Course::Level.bytes(0.0));
    let samples = (0..60).map(before).chain((0..60).map(after)).collect();
    let mut observations = observations(samples, "none");
    let exec = event(
        &observations,
        observations.samples[59].at,
        EventKind::Exec,
        None,
    );
    observations.events.push(exec);
    let report = analyze(&observations).report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::NoGrowth,
        "{:?}",
        report.verdict
    );
    assert!(
        report.ledger.iter().all(|row| row.growth_bytes == 0),
        "{:?}",
        report.ledger
    );
}

/// However it ended, it is said, and nothing is foretold of it.
#[test]
fn of_a_target_that_ended_nothing_is_foretold() {
    let leak = || {
        let mut observations = observations(record(Course::Rising, 120), "none");
        observations.target.limits.address_space = Some(Bytes(1 << 30));
        observations
    };
    let running = analyze(&leak()).report;
    assert_eq!(running.ended.how, How::Running);
    assert!(running.forecast.is_some(), "a limit of 1 GiB is ahead");
    for (kind, status, how) in [
        (EventKind::Exit, Some(3 << 8), How::Exit),
        (EventKind::Exit, Some(11), How::Signal),
        (EventKind::Exit, Some(i64::MAX), How::Signal),
        (EventKind::Exit, None, How::Unknown),
        (EventKind::Zombie, None, How::Unknown),
        (EventKind::PidReused, None, How::Unknown),
        (EventKind::Oom, None, How::Oom),
    ] {
        let mut observations = leak();
        Fault::Ended(kind, status).befall(&mut observations);
        let report = analyze(&observations).report;
        assert_eq!(report.ended.how, how, "{kind:?} {status:?}");
        assert_eq!(report.forecast, None, "{kind:?}");
        assert_eq!(report.verdict.kind, running.verdict.kind, "{kind:?}");
    }
}
