//! What lies outside of RSS: queues and segments left behind, threads never joined, a machine that shrinks.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and sizes made here are small and positive"
)]

mod support;

use memtide_model::report::Verdict;
use memtide_model::{
    Bytes, Cgroup, EndedThreads, Event, EventKind, GroupTarget, HeapObservations, HeapSnapshot,
    HeldHistory, HeldKind, HeldPoint, Host, MappingClass, Nanos, Observations, Queues, Sample,
    VerdictKind,
};
use support::heap_sample;
use support::shim::moment;

const MIB: f64 = 1_048_576.0;

/// A quiet process of 20 MiB, watched for two minutes, with something around it.
fn quiet(around: impl Fn(f64, &mut Sample)) -> Observations {
    let samples = (0..=120).map(f64::from).map(|t| {
        let mut sample = heap_sample(t, 20.0 * MIB);
        around(t, &mut sample);
        sample
    });
    support::observations(samples.collect(), "none")
}

fn verdict(observations: &Observations) -> Verdict {
    memtide_analyzer::analyze(observations).report.verdict
}

fn bytes(value: f64) -> Bytes {
    Bytes(value.max(0.0) as u64)
}

/// Queues as they are read: the first look is at 3 s, and each of the next 17 s later, which no span of the
/// record is a multiple of.
fn queues(t: f64, sample: &mut Sample, posix: f64, segments: f64) {
    let read = (((t - 3.0) / 17.0).floor() * 17.0 + 3.0).max(0.0);
    sample.counts.queues = Some(Queues {
        posix: (posix * read) as u64,
        segments: (segments * read) as u64,
        bytes: Bytes((segments * read * MIB) as u64),
        read: sample.at - Nanos::from_secs_f64(t - read),
        ..Queues::default()
    });
}

#[test]
fn queues_that_are_never_unlinked_are_named() {
    let found = verdict(&quiet(|t, sample| queues(t, sample, 0.5, 0.0)));
    assert_eq!(found.kind, VerdictKind::QueueLeak, "{found:#?}");
    let rate = found.evidence[0].value.expect("a rate");
    assert!((rate / 0.5 - 1.0).abs() < 0.05, "{rate}");
    assert!(
        found
            .advice
            .iter()
            .any(|advice| advice.contains("mq_unlink")),
        "{:?}",
        found.advice
    );
}

#[test]
fn segments_that_nobody_maps_are_a_leak_of_shared_memory() {
    let found = verdict(&quiet(|t, sample| queues(t, sample, 0.0, 0.4)));
    assert_eq!(found.kind, VerdictKind::ShmLeak, "{found:#?}");
    let rate = found.evidence[0].value.expect("a rate");
    assert!((rate / 0.4 - 1.0).abs() < 0.05, "{rate}");
}

#[test]
fn queues_that_are_there_and_stay_are_no_leak() {
    let found = verdict(&quiet(|_, sample| {
        sample.counts.queues = Some(Queues {
            posix: 40,
            segments: 9,
            read: sample.at,
            ..Queues::default()
        });
    }));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
}

fn machine(t: f64, sample: &mut Sample, shrinks: f64, by: [f64; 4]) {
    let [shmem, slab, anon, kernel] = by.map(|rate| Some(bytes((500.0 + rate * t) * MIB)));
    sample.host = Some(Host {
        available: Some(bytes((8_000.0 - shrinks * t) * MIB)),
        shmem,
        slab_unreclaimable: slab,
        anon,
        kernel,
        ..Host::default()
    });
}

#[test]
fn the_line_of_meminfo_that_took_the_memory_is_named() {
    for (by, line, next) in [
        ([3.0, 0.0, 0.2, 0.0], "Shmem", "memtide ps --queues"),
        ([0.0, 3.0, 0.0, 0.0], "SUnreclaim", "slabtop"),
        (
            [0.0, 0.0, 3.0, 0.0],
            "AnonPages",
            "memtide ps --by growth --for 30s",
        ),
    ] {
        let found = verdict(&quiet(|t, sample| machine(t, sample, 3.2, by)));
        assert_eq!(found.kind, VerdictKind::HostGrowth, "{line}: {found:#?}");
        assert!(found.summary.contains(line), "{}", found.summary);
        assert!(
            found.advice[0].ends_with(next) || found.advice[0].contains(next),
            "{:?}",
            found.advice
        );
        let rate = found.evidence[0].value.expect("a rate") / MIB;
        assert!((rate / 3.2 - 1.0).abs() < 0.05, "{rate}");
    }
}

#[test]
fn a_machine_that_breathes_is_no_growth() {
    // Something large starts and ends: a fall at first, and level from then on.
    let once = |t: f64, sample: &mut Sample| {
        machine(t.min(30.0), sample, 10.0, [0.0, 0.0, 10.0, 0.0]);
    };
    let found = verdict(&quiet(once));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
    // Nobody knows where it went.
    let found = verdict(&quiet(|t, sample| machine(t, sample, 3.0, [0.0; 4])));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
    // Less than the machine's usual ups and downs.
    let found = verdict(&quiet(|t, sample| {
        machine(t, sample, 0.2, [0.2, 0.0, 0.0, 0.0]);
    }));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
}

/// Bytes of groups of files in tmpfs.
fn with_tmpfs(seen: &mut Observations, groups: &[(&str, &dyn Fn(f64) -> f64)]) {
    seen.held = (groups.iter())
        .map(|(name, bytes)| HeldHistory {
            target: GroupTarget {
                kind: HeldKind::Tmpfs,
                name: (*name).into(),
                state: "".into(),
            },
            points: (0..=60)
                .map(|read| f64::from(read) * 2.0)
                .map(|t| HeldPoint {
                    at: moment(t),
                    count: bytes(t) as u64,
                })
                .collect(),
        })
        .collect();
}

#[test]
fn files_in_tmpfs_that_nobody_maps_are_named_with_their_own_rate() {
    let mut seen = quiet(|t, sample| {
        // Others of the group write, too.
        sample.cgroup = Some(Cgroup {
            current: Bytes(1 << 30),
            shmem: Some(bytes((10.0 + 3.0 * t) * MIB)),
            ..Cgroup::default()
        });
    });
    seen.target.cgroup = Some("/shop.service".to_owned());
    let (parts, still) = (|t: f64| 2.0 * MIB * t, |_: f64| 90.0 * MIB);
    with_tmpfs(&mut seen, &[("/run/x", &still), ("/dev/shm/part*", &parts)]);
    let found = verdict(&seen);
    assert_eq!(found.kind, VerdictKind::ShmLeak, "{found:#?}");
    assert!(
        found.summary.contains("files like /dev/shm/part*"),
        "{}",
        found.summary
    );
    let rate = found.evidence[0].value.expect("a rate") / MIB;
    assert!((rate / 2.0 - 1.0).abs() < 0.05, "{rate}");
}

#[test]
fn files_in_tmpfs_that_stay_or_came_at_once_are_no_leak() {
    let mut seen = quiet(|_, _| {});
    let (still, once) = (
        |_: f64| 90.0 * MIB,
        |t: f64| if t > 50.0 { 80.0 * MIB } else { MIB },
    );
    with_tmpfs(&mut seen, &[("/run/x", &still), ("/dev/shm/part*", &once)]);
    assert_eq!(verdict(&seen).kind, VerdictKind::NoGrowth);
}

#[test]
fn the_machines_shared_memory_is_told_and_is_no_verdict_on_this_process() {
    // What others free hides it in MemAvailable.
    let found = verdict(&quiet(|t, sample| {
        machine(t, sample, 0.0, [2.0, 0.0, -2.0, 0.0]);
    }));
    assert_eq!(found.kind, VerdictKind::NoGrowth, "{found:#?}");
    let told = "Shared memory of the whole machine grew by ";
    assert!(
        found.evidence.iter().any(|one| one.fact.starts_with(told)),
        "{found:#?}"
    );
}

#[test]
fn shared_memory_of_the_group_that_no_mapping_has_is_a_leak() {
    let mut seen = quiet(|t, sample| {
        sample.cgroup = Some(Cgroup {
            current: Bytes(1 << 30),
            shmem: Some(bytes((10.0 + 2.0 * t) * MIB)),
            ..Cgroup::default()
        });
    });
    assert_eq!(
        verdict(&seen).kind,
        VerdictKind::NoGrowth,
        "the root group is everybody's"
    );
    seen.target.cgroup = Some("/shop.service".to_owned());
    let found = verdict(&seen);
    assert_eq!(found.kind, VerdictKind::ShmLeak, "{found:#?}");
    assert!(
        found.summary.contains("no mapping of this one"),
        "{}",
        found.summary
    );
}

/// Stacks of 8 MiB that stay mapped, two a second, and what looks found in glibc's records.
fn stacks(ended: Option<&dyn Fn(f64) -> u64>) -> Observations {
    let mut seen = quiet(|t, sample| {
        sample.counts.threads = 3;
        let maps = sample.maps.as_mut().expect("they were read");
        let stacks = maps.classes.get_mut(MappingClass::Stack);
        let count = 2 + (2.0 * t) as u64;
        (stacks.count, stacks.size, stacks.rss) = (count, Bytes(count << 23), Bytes(count << 13));
        sample.memory.size = Bytes((20 << 20) + (count << 23));
    });
    let look = |t: f64| {
        let count = ended.map(|ended| ended(t));
        HeapSnapshot {
            at: moment(t),
            ended_threads: count.map(|count| EndedThreads {
                count,
                stack_bytes: Bytes(count << 23),
                stack_resident: Bytes(count << 13),
                alive: 2,
            }),
            ..HeapSnapshot::default()
        }
    };
    seen.heap = Some(HeapObservations {
        snapshots: [1.0, 30.0, 60.0, 121.0].map(look).to_vec(),
        unavailable: None,
    });
    seen
}

#[test]
fn threads_that_were_never_joined_are_counted_with_their_stacks() {
    let found = verdict(&stacks(Some(&|t| (2.0 * t) as u64)));
    assert_eq!(found.kind, VerdictKind::ThreadLeak, "{found:#?}");
    let words = "242 threads ended and were never joined; their stacks hold 1.89 MiB";
    assert!(found.summary.contains(words), "{}", found.summary);
    assert!(
        found
            .advice
            .iter()
            .any(|advice| advice.contains("pthread_join")),
        "{:?}",
        found.advice
    );
}

#[test]
fn a_pool_that_joins_threads_when_it_needs_their_place_is_no_leak() {
    // Every later look finds the same number: full, and no more.
    let found = verdict(&stacks(Some(&|t| if t < 20.0 { t as u64 } else { 21 })));
    assert_ne!(found.kind, VerdictKind::ThreadLeak, "{found:#?}");
}

#[test]
fn stacks_that_glibc_only_keeps_are_no_leak() {
    let found = verdict(&stacks(Some(&|_| 0)));
    assert_ne!(found.kind, VerdictKind::ThreadLeak, "{found:#?}");
}

#[test]
fn without_its_records_the_number_is_an_upper_bound() {
    let found = verdict(&stacks(None));
    assert_eq!(found.kind, VerdictKind::ThreadLeak, "{found:#?}");
    let bound = found
        .evidence
        .iter()
        .find(|fact| fact.fact.starts_with("At most"));
    let bound = bound.unwrap_or_else(|| panic!("a bound: {found:#?}"));
    assert!(bound.fact.contains("40 MiB"), "{}", bound.fact);
}

#[test]
fn threads_of_the_program_before_an_exec_are_not_those_of_this_one() {
    let mut seen = stacks(Some(&|t| match t {
        ..5.0 => 0,
        ..100.0 => 240,
        _ => 242,
    }));
    assert_eq!(verdict(&seen).kind, VerdictKind::ThreadLeak);
    seen.events.push(Event {
        at: moment(3.0),
        kind: EventKind::Exec,
        pid: seen.target.id.pid,
        text: String::new(),
        value: None,
    });
    let found = verdict(&seen);
    assert_ne!(found.kind, VerdictKind::ThreadLeak, "{found:#?}");
}
