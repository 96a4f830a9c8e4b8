//! What goes in through ticks comes out of `observations`, exactly, absent values included.

mod common;

use common::{BOOT, process, start, target};
use memtide_model::{
    Activity, Bytes, Cgroup, Children, ClassTotals, Counts, Descriptors, Event, EventKind, Host,
    Mapping, MappingClass, MappingState, Maps, Memory, Merged, Nanos, Pid, Pressure, Queues,
    ReadCost, ReadKind, Sample, StartTime, ThreadId, ThreadState, Tick, Tid,
};
use memtide_record::{Clock, Reader, Writer};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

/// Small values often, so that they repeat from tick to tick, and any value sometimes.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..4, 2 => 0_u64..1 << 34, 1 => any::<u64>()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    number().prop_map(Bytes)
}

fn maybe() -> impl Strategy<Value = Option<Bytes>> {
    option::of(bytes())
}

prop_compose! {
    fn memory()(
        all in vec(maybe(), 14), rss in bytes(), size in bytes()
    ) -> Memory {
        Memory {
            rss, size,
            peak_size: all[0], peak_rss: all[1], rss_anon: all[2], rss_file: all[3],
            rss_shmem: all[4], data: all[5], stack: all[6], text: all[7], libraries: all[8],
            page_tables: all[9], swap: all[10], locked: all[11], pinned: all[12], hugetlb: all[13],
        }
    }
}

prop_compose! {
    fn activity()(all in vec(number(), 4), a in option::of(number()), b in option::of(number()))
    -> Activity {
        Activity {
            min_flt: all[0], maj_flt: all[1], utime: all[2], stime: all[3],
            voluntary_switches: a, involuntary_switches: b,
        }
    }
}

prop_compose! {
    fn class()(all in vec(number(), 7)) -> ClassTotals {
        ClassTotals {
            count: all[0], size: Bytes(all[1]), rss: Bytes(all[2]), anonymous: Bytes(all[3]),
            grown: all[4], max_growth: Bytes(all[5]), largest: Bytes(all[6]),
        }
    }
}

prop_compose! {
    fn maps()(classes in vec(class(), 10), sums in vec(bytes(), 5), rollup_only in any::<bool>())
    -> Maps {
        let mut maps = Maps {
            pss: sums[0], private_dirty: sums[1], lazy_free: sums[2], anon_huge: sums[3],
            swap: sums[4], rollup_only, ..Maps::default()
        };
        for (class, totals) in MappingClass::ALL.into_iter().zip(classes) {
            *maps.classes.get_mut(class) = totals;
        }
        maps
    }
}

prop_compose! {
    fn descriptors()(all in vec(number(), 9)) -> Descriptors {
        Descriptors {
            total: all[0], file: all[1], socket: all[2], pipe: all[3], eventfd: all[4],
            epoll: all[5], anon_inode: all[6], memfd: all[7], deleted: all[8],
        }
    }
}

prop_compose! {
    fn children()(all in vec(number(), 6)) -> Children {
        Children {
            total: all[0], zombies: all[1], stopped: all[2], blocked: all[3],
            session_others: all[4], rss: Bytes(all[5]),
        }
    }
}

prop_compose! {
    fn queues()(all in vec(number(), 5)) -> Queues {
        Queues { posix: all[0], system_v: all[1], segments: all[2], bytes: Bytes(all[3]), read: Nanos(all[4]) }
    }
}

prop_compose! {
    fn counts()(
        threads in number(), mappings in option::of(number()), oom_score in option::of(number()),
        descriptors in option::of(descriptors()), children in option::of(children()),
        queues in option::of(queues())
    ) -> Counts {
        Counts { threads, mappings, descriptors, children, oom_score, queues }
    }
}

prop_compose! {
    fn cgroup()(all in vec(maybe(), 8), current in bytes(), kills in option::of(number()),
                hits in option::of(number())) -> Cgroup {
        Cgroup {
            current, limit: all[0], high: all[1], anon: all[2], file: all[3], shmem: all[4],
            kernel: all[5], oom_kills: kills, limit_hits: hits, swap: all[6], swap_limit: all[7],
        }
    }
}

prop_compose! {
    fn host()(all in vec(maybe(), 10), pressure in option::of((number(), number()))) -> Host {
        Host {
            available: all[0], committed: all[1], shmem: all[2], slab_unreclaimable: all[3],
            swap_free: all[4], slab_reclaimable: all[5], commit_limit: all[6], page_cache: all[7],
            anon: all[8], kernel: all[9],
            pressure: pressure.map(|(some_us, full_us)| Pressure { some_us, full_us }),
        }
    }
}

prop_compose! {
    fn sample()(
        memory in memory(), activity in activity(), maps in option::of(maps()),
        counts in counts(), cgroup in option::of(cgroup()), host in option::of(host()),
        seconds in 10_u64..20, nanos in 0_u64..1_000_000_000
    ) -> Sample {
        Sample {
            // The span to the tick before, for now. Ten seconds: the cgroup and the machine are
            // not written more often.
            at: Nanos(seconds * 1_000_000_000 + nanos),
            process: process(), memory, activity, maps, counts, cgroup, host,
            merged: Merged::single(memory.rss),
        }
    }
}

/// Times add up.
fn in_order(mut samples: Vec<Sample>) -> Vec<Sample> {
    let mut at = BOOT;
    for sample in &mut samples {
        at += sample.at;
        sample.at = at;
    }
    samples
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn samples_come_back_as_they_went_in(samples in vec(sample(), 1..30).prop_map(in_order)) {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("a.memtide");
        let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
        for sample in &samples {
            let tick = Tick { sample: *sample, mappings: None, threads: None, held: None, events: Vec::new() };
            writer.tick(&tick).expect("there is room");
        }
        let live = Reader::open(&path).and_then(|reader| reader.observations(1_000)).expect("live");
        prop_assert_eq!(&live.samples, &samples);
        writer.finish().expect("there is room");
        let done = Reader::open(&path).and_then(|reader| reader.observations(30)).expect("sound");
        prop_assert_eq!(&done.samples, &samples);
    }
}

fn mapping(address: u64, class: MappingClass, name: &str) -> Arc<Mapping> {
    Arc::new(Mapping {
        address,
        class,
        protection: *b"rw-p",
        name: name.into(),
    })
}

fn state(mapping: &Arc<Mapping>, size: u64, rss: u64) -> MappingState {
    MappingState {
        mapping: Arc::clone(mapping),
        size: Bytes(size),
        rss: Bytes(rss),
    }
}

fn at(second: u64) -> Nanos {
    BOOT + Nanos::from_secs(second)
}

#[test]
fn single_mappings_come_back_with_every_movement_and_their_end() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let heap = mapping(0x1000, MappingClass::Heap, "[heap]");
    // An address of the kernel's half needs all 64 bits.
    let vsyscall = mapping(0xffff_ffff_ff60_0000, MappingClass::Vdso, "[vsyscall]");
    let block = mapping(0x7f00_0000_0000, MappingClass::Anon, "");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    for second in 0..40_u64 {
        let mut tick = common::plain_tick(at(second), 1, true);
        let mut mappings = vec![
            state(&heap, 1 << 20, 4_096 * second),
            state(&vsyscall, 4_096, 0),
        ];
        if (10..30).contains(&second) {
            mappings.push(state(&block, 1 << 16, 1 << 16));
        }
        tick.mappings = Some(mappings);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(100))
        .expect("sound");
    assert_eq!(seen.mappings.len(), 3);
    let history = &seen.mappings[0];
    assert_eq!(*history.mapping, *heap, "it moved most");
    let points: Vec<(Nanos, u64)> = history.points.iter().map(|p| (p.at, p.rss.0)).collect();
    let want: Vec<(Nanos, u64)> = (0..40).map(|second| (at(second), 4_096 * second)).collect();
    assert_eq!(points, want);
    assert!(!history.gone);
    let history = &seen.mappings[1];
    assert_eq!(*history.mapping, *block);
    let points: Vec<(Nanos, u64, u64)> = history
        .points
        .iter()
        .map(|p| (p.at, p.size.0, p.rss.0))
        .collect();
    assert_eq!(points, [(at(10), 1 << 16, 1 << 16), (at(30), 0, 0)]);
    assert!(history.gone);
    assert_eq!(*seen.mappings[2].mapping, *vsyscall);
    // Asked for less, each history is the last point of each span.
    let few = Reader::open(&path)
        .and_then(|reader| reader.observations(4))
        .expect("sound");
    let points: Vec<u64> = few.mappings[0]
        .points
        .iter()
        .map(|p| p.rss.0 / 4_096)
        .collect();
    assert_eq!(points, [9, 19, 29, 39]);
}

#[test]
fn another_mapping_at_the_same_address_is_another_mapping() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let before = mapping(0x1000, MappingClass::Anon, "");
    let after = mapping(0x1000, MappingClass::File, "/data");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    for second in 0..4 {
        let mut tick = common::plain_tick(at(second), 1, true);
        let which = if second < 2 { &before } else { &after };
        tick.mappings = Some(vec![state(which, 8_192, 8_192)]);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(100))
        .expect("sound");
    let mut found: Vec<_> = seen
        .mappings
        .iter()
        .map(|history| (&*history.mapping, history.gone, history.points.len()))
        .collect();
    found.sort_by_key(|(_, gone, _)| *gone);
    assert_eq!(found, [(&*after, false, 1), (&*before, true, 2)]);
}

fn thread(tid: u32, min_flt: u64, cpu_ticks: u64, state: u8) -> ThreadState {
    ThreadState {
        id: ThreadId {
            tid: Tid(tid),
            start: StartTime(u64::from(tid) * 10),
        },
        name: format!("worker {tid}").into(),
        state,
        min_flt,
        maj_flt: 1,
        cpu_ticks,
        wchan: (state == b'S').then(|| "futex_wait_queue".into()),
    }
}

#[test]
fn single_threads_come_back_and_cpu_time_alone_costs_no_row() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    for second in 0..40_u64 {
        let mut tick = common::plain_tick(at(second), 1, false);
        let mut threads = vec![
            thread(1, 100 + second * 3, second, b'R'),
            thread(
                2,
                5_000,
                second * 90,
                if second == 39 { b'D' } else { b'S' },
            ),
        ];
        if second < 20 {
            threads.push(thread(3, 7, 0, b'S'));
        }
        tick.threads = Some(threads);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(100))
        .expect("sound");
    assert_eq!(seen.threads.len(), 3);
    let [busy, idle, ended] = &seen.threads[..] else {
        panic!("three threads")
    };
    assert_eq!(busy.last, thread(1, 100 + 39 * 3, 39, b'R'));
    let points: Vec<(Nanos, u64)> = busy.points.iter().map(|p| (p.at, p.min_flt)).collect();
    let want: Vec<(Nanos, u64)> = (0..40)
        .map(|second| (at(second), 100 + second * 3))
        .collect();
    assert_eq!(points, want);
    // Its first row, and the one that the end of the recording brings up to date.
    assert_eq!(idle.last, thread(2, 5_000, 39 * 90, b'D'));
    assert_eq!(idle.points.len(), 2);
    assert!(idle.alive);
    assert_eq!(ended.last, thread(3, 7, 0, b'S'));
    assert!(!ended.alive);
}

#[test]
fn facts_events_costs_and_targets_come_back() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos(250_000_000))).expect("new");
    let event = |kind, second, text: &str, value| Event {
        at: at(second),
        kind,
        pid: Pid(4_182),
        text: text.into(),
        value,
    };
    let gap = event(EventKind::Gap, 1, "3 ticks skipped", Some(3));
    let exec = event(EventKind::Exec, 2, "now runs /usr/bin/other", None);
    let late = event(EventKind::Gap, 3, "2 ticks skipped", Some(2));
    let mut tick = common::plain_tick(at(2), 4_096, false);
    tick.events = vec![gap.clone(), exec.clone()];
    writer.tick(&tick).expect("there is room");
    writer.event(&late).expect("there is room");
    let cost = |reads| ReadCost {
        kind: ReadKind::Smaps,
        reads,
        skipped: 2,
        failed: 1,
        cpu: Nanos(12_345),
        longest: Nanos(678),
    };
    writer.costs(&[cost(1)], Nanos(1)).expect("there is room");
    writer
        .costs(&[cost(9)], Nanos(99_000))
        .expect("there is room");
    let mut other = target();
    other.exe = "/usr/bin/other".into();
    writer.retarget(&other, at(2)).expect("there is room");
    let minute = Clock {
        boottime: at(60),
        monotonic: at(59),
        wall: 1_790_000_060_000_000_000,
    };
    writer.clock(minute).expect("there is room");

    let reader = Reader::open(&path).expect("it is being written");
    let seen = reader.observations(10).expect("it is being written");
    assert!(!seen.recording.complete);
    drop(reader);
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(10))
        .expect("sound");
    assert_eq!(seen.target, other);
    assert_eq!(seen.events, [gap, exec, late]);
    let recording = &seen.recording;
    assert!(recording.complete);
    assert_eq!(recording.file, path.display().to_string());
    assert_eq!((recording.started, recording.ended), (BOOT, at(2)));
    assert_eq!(recording.started_wall, 1_790_000_000_000_000_000);
    assert_eq!((recording.samples, recording.gaps), (1, 5));
    assert_eq!(recording.interval, Nanos(250_000_000));
    assert_eq!(recording.lenses, ["sampler"]);
    assert_eq!(recording.cost_cpu, Nanos(99_000));
    assert_eq!(recording.reads, [cost(9)]);
    assert_eq!(
        (recording.page_size, recording.ticks_per_second),
        (Bytes(4_096), 100)
    );
}

#[test]
fn a_recording_without_a_tick_is_one() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(10))
        .expect("sound");
    assert_eq!(seen.samples, []);
    assert_eq!((seen.recording.started, seen.recording.ended), (BOOT, BOOT));
}

/// Of spans with smaps and without the ones with smaps are given.
#[test]
fn asked_for_less_each_span_gives_its_median_with_smaps() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    let rss = [5, 9, 1, 7, 3, 2, 8, 8, 4, 6];
    for (second, rss) in (0..).zip(rss) {
        let tick = common::plain_tick(at(second), rss * 4_096, second % 2 == 1);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(2))
        .expect("sound");
    // Seconds 0 to 4: smaps at 9 and 7, the lower middle is 7. Seconds 5 to 9: 2, 8, 6.
    let got: Vec<_> = seen
        .samples
        .iter()
        .map(|s| {
            (
                s.at,
                s.memory.rss.0 / 4_096,
                s.maps.map(|maps| maps.pss.0 / 4_096),
                s.merged,
            )
        })
        .collect();
    let merged = |rss_min: u64, rss_max: u64| Merged {
        samples: 5,
        rss_min: Bytes(rss_min * 4_096),
        rss_max: Bytes(rss_max * 4_096),
    };
    assert_eq!(
        got,
        [
            (at(3), 7, Some(7), merged(1, 9)),
            (at(9), 6, Some(6), merged(2, 8))
        ]
    );
}
