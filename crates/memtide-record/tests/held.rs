//! Groups of descriptors and of kernel objects, and ended threads: in, thinned, and out again.

mod common;

use common::{BOOT, Random, heap, plain_tick, start, target};
use memtide_model::{
    EndedThreads, GroupTarget, HeldGroup, HeldHistory, HeldKind, Nanos, Observations, Queues,
    ReadKind,
};
use memtide_record::{Reader, Writer};
use std::path::Path;

fn group(number: u32, kind: HeldKind, name: &str, state: &str, count: u64) -> HeldGroup {
    HeldGroup {
        number,
        target: GroupTarget {
            kind,
            name: name.into(),
            state: state.into(),
        },
        count,
    }
}

fn read(path: &Path, limit: usize) -> Observations {
    Reader::open(path)
        .and_then(|reader| reader.observations(limit))
        .expect("it is sound")
}

fn write(path: &Path, seconds: u64, groups: impl Fn(u64) -> Vec<HeldGroup>) {
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new");
    for second in 0..seconds {
        let mut tick = plain_tick(BOOT + Nanos::from_secs(second), 1 << 20, false);
        tick.held = Some(groups(second));
        tick.sample.counts.queues = Some(Queues {
            posix: second,
            ..Queues::default()
        });
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
}

fn find<'o>(seen: &'o Observations, label: &str) -> &'o HeldHistory {
    let found = seen.held.iter().find(|held| held.target.label() == label);
    found.unwrap_or_else(|| panic!("{label} is among {:?}", seen.held))
}

/// The count that holds at a second.
fn at(held: &HeldHistory, second: u64) -> Option<u64> {
    let moment = BOOT + Nanos::from_secs(second);
    let mut before = held.points.iter().filter(|point| point.at <= moment);
    before.next_back().map(|point| point.count)
}

#[test]
fn each_group_has_its_counts_as_of_every_second() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    write(&path, 100, |second| {
        let mut groups = vec![
            group(
                1,
                HeldKind::Tcp,
                "10.0.0.5:5432",
                "CLOSE_WAIT",
                2 * second + 1,
            ),
            group(2, HeldKind::Eventfd, "", "", 3),
        ];
        if (20..40).contains(&second) || second >= 80 {
            groups.push(group(3, HeldKind::File, "/tmp/a", "", 1));
        }
        groups
    });
    let seen = read(&path, 1_000);
    assert_eq!(
        seen.held[0].target.label(),
        "tcp 10.0.0.5:5432 CLOSE_WAIT",
        "the most first"
    );
    for second in 0..100 {
        assert_eq!(
            at(&seen.held[0], second),
            Some(2 * second + 1),
            "second {second}"
        );
    }
    assert_eq!(find(&seen, "eventfd").points.len(), 1, "it never changed");
    let file = find(&seen, "file /tmp/a");
    let counts = [19, 20, 39, 40, 79, 80].map(|second| at(file, second));
    assert_eq!(counts, [None, Some(1), Some(1), Some(0), Some(0), Some(1)]);
    let posix: Vec<u64> = (seen.samples.iter())
        .filter_map(|sample| Some(sample.counts.queues?.posix))
        .collect();
    assert_eq!(posix, (0..100).collect::<Vec<_>>());
    assert_eq!(ReadKind::from_name("queues"), Some(ReadKind::Queues));
}

#[test]
fn a_group_takes_its_wider_name_and_stays_one() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    write(&path, 30, |second| {
        let name = if second < 10 {
            "/tmp/job-1.dat"
        } else {
            "/tmp/job-*.dat"
        };
        vec![group(9, HeldKind::File, name, "", 1 + second)]
    });
    let seen = read(&path, 1_000);
    assert_eq!(seen.held.len(), 1);
    assert_eq!(at(find(&seen, "file /tmp/job-*.dat"), 3), Some(4));
}

#[test]
fn ten_thousand_groups_are_bounded_and_the_movers_are_there() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let quiet = (0..10_000).map(|n| group(n + 10, HeldKind::File, &format!("/srv/{n}"), "", 1));
    let quiet: Vec<HeldGroup> = quiet.collect();
    write(&path, 100, |second| {
        let mover = group(1, HeldKind::Unix, "/run/x.sock", "", 5 * second + 1);
        quiet.iter().cloned().chain([mover]).collect()
    });
    let seen = read(&path, 300);
    assert_eq!(seen.held.len(), 64);
    let mover = find(&seen, "unix /run/x.sock");
    assert_eq!(at(mover, 99), Some(496));
    let size = std::fs::metadata(&path).expect("it is there").len();
    assert!(size < 1 << 20, "{size} bytes for 100 s");
}

#[test]
fn a_day_is_thinned_to_a_few_points_of_which_the_last_is_right() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::from_secs(30))).expect("new");
    let ticks = 5 * 86_400 / 4 / 30;
    for n in 0..ticks {
        let mut tick = plain_tick(BOOT + Nanos::from_secs(30 * n), 1 << 20, false);
        tick.held = Some(vec![group(1, HeldKind::Pipe, "", "", n + 1)]);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = read(&path, 1_000_000);
    let points = &find(&seen, "pipe").points;
    assert!(
        points.len() < ticks as usize / 4,
        "{} of {ticks} points",
        points.len()
    );
    for point in points {
        let second = (point.at - BOOT).0 / Nanos::SECOND.0;
        // The time of a tick that was thinned away lies between its neighbours'.
        assert!(point.count.abs_diff(second / 30 + 1) <= 2, "{point:?}");
    }
    assert_eq!(points.last().map(|point| point.count), Some(ticks));
}

#[test]
fn ended_threads_stand_beside_their_snapshot() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    let mut random = Random(3);
    let ended = EndedThreads {
        count: 7,
        stack_bytes: memtide_model::Bytes(7 * 8_392_704),
        stack_resident: memtide_model::Bytes(7 * 12_288),
        alive: 2,
    };
    let mut snapshots = [0, 10, 20].map(|second| heap::snapshot(&mut random, second, (1, 2, 0)));
    snapshots[1].ended_threads = Some(ended);
    snapshots[2].ended_threads = Some(EndedThreads::default());
    for snapshot in &snapshots {
        writer.heap(snapshot).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = read(&path, 10).heap.expect("somebody looked");
    let seen: Vec<_> = seen.snapshots.iter().map(|s| s.ended_threads).collect();
    assert_eq!(seen, [None, Some(ended), Some(EndedThreads::default())]);
}
