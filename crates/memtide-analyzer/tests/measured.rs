//! One run as a trial: what is measured when, from recordings whose every sample is known.

mod support;

use memtide_analyzer::comparison::{Phases, Used, measure};
use memtide_model::comparison::Trial;
use memtide_model::{Bytes, Event, EventKind, Nanos, Observations, Shape};
use support::arms::MIB;
use support::heap;
use support::look::{AT, leaking, looked};

/// The moment so many seconds after the first sample.
fn at(second: f64) -> Nanos {
    Nanos::from_secs_f64(1_000.0 + second)
}

/// A service: 20 MiB at the start, ready at 4 s, a load from 5 to 25 s that adds 2 MiB a second to 30 MiB, and
/// 40 MiB from 27 s on; asked to stop at 35 s, gone at 36 s.
fn service(second: f64) -> f64 {
    MIB * match second {
        s if s < 4.0 => 20.0,
        s if s <= 25.0 => 30.0 + 2.0 * (s - 5.0).max(0.0),
        s if s < 27.0 => 60.0,
        s if s < 36.0 => 40.0,
        _ => 0.0,
    }
}

fn recording() -> Observations {
    heap((0..160).map(|k| {
        let second = f64::from(k) / 4.0;
        (second, service(second))
    }))
}

fn phases() -> Phases {
    Phases {
        started: at(0.0),
        ready: Some(at(5.0)),
        work_ended: Some(at(25.0)),
        ended: at(35.0),
    }
}

fn used() -> Used {
    Used {
        cpu_seconds: 12.5,
        minor_faults: 1000,
        major_faults: 3,
        wall_seconds: 20.0,
    }
}

fn near(what: &str, value: f64, expected: f64, slack: f64) {
    assert!(
        (value - expected).abs() <= slack,
        "{what}: {value} for {expected}"
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

#[test]
fn each_measure_is_of_its_own_part_of_the_run() {
    let trial = measure(&recording(), &phases(), &used());
    near("peak", mib(trial.peak_rss), 70.0, 1e-6);
    // The median of the last three samples: 69, 69.5, 70.
    near("end", mib(trial.end_rss), 69.5, 1e-6);
    near("settled", mib(trial.settled_rss), 40.0, 1e-6);
    near("mean", mib(trial.mean_rss), 50.0, 0.01);
    near("rate", trial.bytes_per_second.unwrap() / MIB, 2.0, 1e-6);
    assert!(trial.low.unwrap() <= 2.0 * MIB && trial.high.unwrap() >= 2.0 * MIB);
    assert_eq!(trial.shape, Some(Shape::Linear));
    assert_eq!(
        (trial.ready_at, trial.work_ended_at),
        (Some(5.0), Some(25.0))
    );
    assert_eq!((trial.minor_faults, trial.major_faults), (1000, 3));
    near("cpu", trial.cpu_seconds, 12.5, 0.0);
    assert_eq!(trial.rss.first(), Some(&(0.0, 20 << 20)));
    assert_eq!(trial.rss.last().map(|point| point.0), Some(35.0));
    assert_eq!((trial.heap_live, trial.heap_retained), (None, None));
}

#[test]
fn a_program_without_a_load_ends_with_its_last_twelfth() {
    // 48 s at 4 samples a second, 30 MiB and 33 MiB in the last 3 s; nothing was waited for.
    let trial = measure(
        &heap((0..192).map(|k| {
            let second = f64::from(k) / 4.0;
            (
                second,
                if second < 45.0 {
                    30.0 * MIB
                } else {
                    33.0 * MIB
                },
            )
        })),
        &Phases {
            started: at(0.0),
            ready: None,
            work_ended: None,
            ended: at(48.0),
        },
        &used(),
    );
    // Of the last twelfth (16 samples) 12 lie at 33.
    near("end", mib(trial.end_rss), 33.0, 1e-6);
    assert_eq!(trial.settled_rss, trial.end_rss);
    assert_eq!((trial.ready_at, trial.work_ended_at), (None, Some(48.0)));
}

#[test]
fn the_kernels_mark_of_the_peak_and_what_thinning_folded_count() {
    let mut recording = recording();
    recording.samples[50].memory.peak_rss = Some(Bytes(91 << 20));
    recording.samples[60].merged.rss_max = Bytes(80 << 20);
    near(
        "marked",
        mib(measure(&recording, &phases(), &used()).peak_rss),
        91.0,
        1e-6,
    );
    recording.samples[50].memory.peak_rss = None;
    near(
        "folded",
        mib(measure(&recording, &phases(), &used()).peak_rss),
        80.0,
        1e-6,
    );
}

#[test]
fn a_sample_of_a_program_that_is_ending_is_no_settling() {
    let mut recording = recording();
    // The work ends with the program: one more sample is taken while the kernel takes its memory away.
    recording.samples.truncate(102);
    recording.samples[101].memory.rss = Bytes(17 << 20);
    let trial = measure(&recording, &phases(), &used());
    near("end", mib(trial.end_rss), 69.5, 1e-6);
    near("settled", mib(trial.settled_rss), 69.5, 1e-6);
}

#[test]
fn what_was_there_before_an_exec_is_of_another_program() {
    let mut recording = recording();
    recording.samples[0].memory.rss = Bytes(1 << 40);
    recording.events.push(Event {
        at: at(0.1),
        kind: EventKind::Exec,
        pid: recording.target.id.pid,
        value: None,
        text: "sh became server".to_owned(),
    });
    near(
        "peak",
        mib(measure(&recording, &phases(), &used()).peak_rss),
        70.0,
        1e-6,
    );
}

#[test]
fn live_and_retained_are_those_of_the_last_look_that_counts() {
    let recording = looked(60, &AT, leaking);
    let all = Phases {
        started: at(0.0),
        ended: at(60.0),
        ..Phases::default()
    };
    let trial = measure(&recording, &all, &used());
    let expected = leaking(60.0);
    near("live", trial.heap_live.unwrap() as f64, expected.live, 2.0);
    near(
        "kept",
        trial.heap_retained.unwrap() as f64,
        expected.free,
        2.0,
    );
    // The look at 60 s came after the end: that of 40 s counts.
    let early = measure(
        &recording,
        &Phases {
            ended: at(50.0),
            ..all
        },
        &used(),
    );
    near(
        "live",
        early.heap_live.unwrap() as f64,
        leaking(40.0).live,
        2.0,
    );
}

#[test]
fn a_run_that_was_hardly_seen_has_no_rate_and_no_numbers_of_its_own() {
    let nothing = measure(&heap([]), &phases(), &used());
    assert_eq!(
        (nothing.peak_rss, nothing.end_rss, nothing.settled_rss),
        (0, 0, 0)
    );
    assert_eq!(nothing.bytes_per_second, None);
    let single = measure(&heap([(3.0, MIB)]), &phases(), &used());
    assert_eq!((single.end_rss, single.settled_rss), (1 << 20, 1 << 20));
    // Phases in a wrong order: no panic, whatever they say.
    let wrong = Phases {
        started: at(90.0),
        ready: Some(at(30.0)),
        work_ended: Some(at(5.0)),
        ended: at(1.0),
    };
    assert_ne!(measure(&recording(), &wrong, &used()), Trial::default());
}
