//! Ends by SIGKILL: what proves the OOM killer, what makes it likely, and what it left.

#![expect(clippy::cast_precision_loss, reason = "sizes made here are small")]

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::{How, Oom, Report};
use memtide_model::{Bytes, Cgroup, Event, EventKind, Host, Nanos, Observations, Pid};
use support::heap;

const MIB: u64 = 1 << 20;
const SECONDS: u32 = 60;

/// A process that grew by a MiB a second to its end at second 60, by a signal.
fn killed(signal: i64) -> Observations {
    let points = (0..=SECONDS).map(|t| (f64::from(t), f64::from(t + 10) * MIB as f64));
    Observations {
        events: vec![Event {
            at: Nanos::from_secs_f64(1_000.4 + f64::from(SECONDS)),
            kind: EventKind::Exit,
            pid: Pid(4182),
            text: "it ended".to_owned(),
            value: Some(signal),
        }],
        ..heap(points)
    }
}

/// The same in a group of 100 MiB that uses `used` at the end, whose counter of kills rose at second `rose`.
fn in_group(used: u64, rose: u32) -> Report {
    let mut observations = killed(9);
    for (t, sample) in (0..).zip(&mut observations.samples) {
        sample.cgroup = Some(Cgroup {
            current: Bytes(used * MIB),
            limit: Some(Bytes(100 * MIB)),
            oom_kills: Some(3 + u64::from(t >= rose)),
            ..Cgroup::default()
        });
    }
    analyze(&observations).report
}

#[test]
fn a_counter_that_rose_with_the_end_is_proof_and_one_that_rose_before_is_not() {
    for (rose, how, oom) in [
        (SECONDS, How::Oom, Oom::Proven),
        // A neighbour was killed, and it went on growing.
        (SECONDS - 3, How::Signal, Oom::Unknown),
        (SECONDS - 30, How::Signal, Oom::Unknown),
        (SECONDS + 1, How::Signal, Oom::Unknown),
    ] {
        let ended = in_group(50, rose).ended;
        assert_eq!(
            (ended.how, ended.oom),
            (how, oom),
            "it rose at second {rose}"
        );
    }
}

#[test]
fn a_process_that_loses_its_memory_after_the_counter_rose_was_the_one() {
    let mut observations = killed(9);
    for (t, sample) in (0..).zip(&mut observations.samples) {
        let is_dying = t > SECONDS - 3;
        sample.cgroup = Some(Cgroup {
            oom_kills: Some(u64::from(t >= SECONDS - 3)),
            ..Cgroup::default()
        });
        if is_dying {
            sample.memory.rss = Bytes(sample.memory.rss.0 / 2);
        }
    }
    let ended = analyze(&observations).report.ended;
    assert_eq!((ended.how, ended.oom), (How::Oom, Oom::Proven));
}

/// What is found where the group was hit as the process ended, by `signal` if that is known.
fn with(events: &[EventKind], status: Option<i64>) -> (How, Oom) {
    let mut observations = killed(9);
    let mut exit = observations.events.remove(0);
    exit.value = status;
    let more = events.iter().map(|&kind| Event {
        kind,
        value: None,
        ..exit.clone()
    });
    observations.events = std::iter::once(exit.clone()).chain(more).collect();
    let ended = analyze(&observations).report.ended;
    (ended.how, ended.oom)
}

#[test]
fn the_groups_counter_proves_with_sigkill_alone_and_the_kernels_log_has_the_last_word() {
    use EventKind::{GroupOom, NotOom, Oom as Record};
    let killed = Some(9);
    assert_eq!(with(&[GroupOom], killed), (How::Oom, Oom::Proven));
    assert_eq!(with(&[GroupOom], None), (How::Unknown, Oom::Likely));
    assert_eq!(with(&[GroupOom, Record], killed), (How::Oom, Oom::Proven));
    assert_eq!(with(&[Record], None), (How::Oom, Oom::Proven));
    // A neighbour was the victim, and somebody else sent the signal.
    assert_eq!(with(&[GroupOom, NotOom], killed), (How::Signal, Oom::No));
    assert_eq!(with(&[GroupOom, NotOom], None), (How::Unknown, Oom::No));
    assert_eq!(with(&[NotOom], killed), (How::Signal, Oom::No));
}

#[test]
fn usage_at_the_limit_makes_it_likely() {
    assert_eq!(in_group(96, 99).ended.oom, Oom::Likely);
    assert_eq!(in_group(94, 99).ended.oom, Oom::Unknown);
    let mut machine = killed(9);
    machine.target.limits.host = Some(Bytes(1_000 * MIB));
    let left = |observations: &Observations, left: u64| {
        let mut observations = observations.clone();
        for sample in &mut observations.samples {
            sample.host = Some(Host {
                available: Some(Bytes(left * MIB)),
                ..Host::default()
            });
        }
        analyze(&observations).report.ended.oom
    };
    assert_eq!(left(&machine, 19), Oom::Likely);
    assert_eq!(left(&machine, 21), Oom::Unknown);
    let by_term = Observations {
        events: killed(15).events,
        ..machine
    };
    assert_eq!(
        left(&by_term, 19),
        Oom::No,
        "SIGTERM is never the OOM killer's"
    );
}

/// What is told of its group where that has used so many MiB of swap, and may use so many.
fn told_of_swap(used: Option<u64>, limit: Option<u64>) -> String {
    let mut observations = killed(9);
    for sample in &mut observations.samples {
        sample.cgroup = Some(Cgroup {
            current: Bytes(96 * MIB),
            limit: Some(Bytes(100 * MIB)),
            swap: used.map(|mib| Bytes(mib * MIB)),
            swap_limit: limit.map(|mib| Bytes(mib * MIB)),
            ..Cgroup::default()
        });
    }
    let evidence = analyze(&observations).report.verdict.evidence;
    let mut facts = evidence.into_iter().map(|one| one.fact);
    let death = facts.find_map(|fact| Some(fact.split_once("group used ")?.1.to_owned()));
    death.expect("the last moment")
}

#[test]
fn what_it_held_when_it_was_seen_last_is_told() {
    let report = in_group(96, SECONDS);
    let death = (report.verdict.evidence.iter())
        .find(|one| one.fact.starts_with("When it was seen last"))
        .expect("the last moment");
    assert_eq!(
        death.fact,
        "When it was seen last, 0.4 s before its end, it held 70.0 MiB (heap 70.0 MiB); its control group used \
         96.0 MiB of 100 MiB."
    );
    assert_eq!(death.value, Some(70.0 * MIB as f64));
    assert_eq!(told_of_swap(Some(0), None), "96.0 MiB of 100 MiB.");
    assert_eq!(
        told_of_swap(Some(3), Some(8)),
        "96.0 MiB of 100 MiB and 3.00 MiB of 8.00 MiB of swap."
    );
    // Killed within its first second, before its mappings were read.
    let mut young = killed(9);
    young.samples.truncate(1);
    for sample in &mut young.samples {
        sample.maps = None;
        sample.memory.rss_anon = Some(Bytes(9 * MIB));
    }
    young.events.push(Event {
        kind: EventKind::Oom,
        ..young.events[0].clone()
    });
    let facts = analyze(&young)
        .report
        .verdict
        .evidence
        .into_iter()
        .map(|one| one.fact);
    let facts: Vec<String> = facts.collect();
    assert!(
        facts
            .iter()
            .any(|fact| fact.ends_with("it held 10.0 MiB (anon 9.00 MiB, unexplained 1.00 MiB).")),
        "{facts:?}"
    );
    let alive = analyze(&killed(15)).report;
    let told = |report: &Report| {
        let mut facts = report.verdict.evidence.iter().map(|one| &one.fact);
        facts.any(|fact| fact.starts_with("When it was seen last"))
    };
    assert!(!told(&alive), "it was not the OOM killer");
}
