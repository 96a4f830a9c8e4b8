//! The processes below the target: sums and single ones, in, and out again.

mod common;

use common::{BOOT, plain_tick, start, target};
use memtide_model::{
    Bytes, Nanos, Pid, ProcessId, StartTime, TreeEnd, TreeMember, TreeObservations, TreeTick,
    TreeTotals,
};
use memtide_record::{Reader, Writer};
use std::path::Path;

const MIB: u64 = 1 << 20;

fn member(pid: u32, rss: u64) -> TreeMember {
    TreeMember {
        id: ProcessId {
            pid: Pid(pid),
            start: StartTime(u64::from(pid)),
        },
        parent: Some(target().id.pid),
        name: format!("worker-{pid}").into(),
        cmdline: vec!["worker".to_owned(), format!("--number\n{pid}")].into(),
        pgid: 7,
        sid: 8,
        threads: 3,
        cpu_ticks: 9,
        state: b'S',
        rss: Bytes(rss),
        pss: Some(Bytes(rss / 2)),
        orphaned: false,
    }
}

fn of_target(rss: u64) -> TreeMember {
    TreeMember {
        id: target().id,
        parent: Some(Pid(1)),
        ..member(1, rss)
    }
}

/// One recording of so many seconds, with the tree as `look` has it.
fn record(path: &Path, seconds: u64, look: impl Fn(u64) -> TreeTick) -> TreeObservations {
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new");
    writer.tree_start("side-band").expect("there is room");
    for second in 0..seconds {
        let at = BOOT + Nanos::from_secs(second);
        writer
            .tick(&plain_tick(at, MIB, false))
            .expect("there is room");
        writer
            .tree(&TreeTick { at, ..look(second) })
            .expect("there is room");
    }
    writer.finish().expect("there is room");
    let reader = Reader::open(path).expect("it is sound");
    let seen = reader.observations(300).expect("it is sound");
    seen.tree.expect("somebody looked")
}

#[test]
fn who_started_it_may_be_told_after_its_first_look() {
    let place = tempfile::tempdir().expect("a directory");
    let tree = record(&place.path().join("a.memtide"), 20, |second| {
        let child = TreeMember {
            parent: (second >= 5).then_some(Pid(77)),
            ..member(100, MIB)
        };
        TreeTick {
            members: vec![of_target(MIB), child],
            ..TreeTick::default()
        }
    });
    assert_eq!(tree.members[0].last.parent, Some(Pid(77)));
}

#[test]
fn who_grows_stands_first_with_its_course_and_the_ends_are_known() {
    let place = tempfile::tempdir().expect("a directory");
    let tree = record(&place.path().join("a.memtide"), 60, |second| {
        let mut members = vec![
            of_target(MIB),
            member(100, (1 + second) * MIB),
            member(200, 3 * MIB),
        ];
        let mut ended = Vec::new();
        let mut zombie = member(300, 0);
        match second {
            0..20 => members.push(member(300, 4 * MIB)),
            20..30 => {
                (zombie.state, zombie.orphaned) = (b'Z', true);
                members.push(zombie);
            }
            30 => ended.push(TreeEnd {
                id: zombie.id,
                at: BOOT,
                status: Some(3 << 8),
            }),
            _ => {}
        }
        TreeTick {
            members,
            ended,
            short_lived: Some(second * 7),
            lost: 2,
            ..TreeTick::default()
        }
    });
    assert_eq!(
        (tree.engine.as_str(), tree.short_lived, tree.lost),
        ("side-band", Some(59 * 7), 2)
    );
    assert_eq!(
        tree.members.len(),
        3,
        "the target is not among them: {:?}",
        tree.members
    );
    let grown = &tree.members[0];
    assert_eq!(grown.last, member(100, 60 * MIB));
    let points: Vec<(u64, u64)> = (grown.points.iter())
        .map(|point| ((point.at - BOOT).0 / Nanos::SECOND.0, point.rss.0 / MIB))
        .collect();
    let wanted: Vec<(u64, u64)> = (0..60).map(|second| (second, second + 1)).collect();
    assert_eq!(points, wanted);
    assert_eq!(grown.points[0].pss, Some(Bytes(MIB / 2)));
    assert_eq!(grown.ended, None);

    let dead = tree
        .members
        .iter()
        .find(|one| one.last.id.pid == Pid(300))
        .expect("it had rows");
    assert_eq!(
        (dead.last.state, dead.last.orphaned, dead.last.rss),
        (b'Z', true, Bytes::ZERO)
    );
    let end = dead.ended.expect("its end is known");
    assert_eq!(
        (end.at, end.status),
        (BOOT + Nanos::from_secs(30), Some(3 << 8))
    );

    let totals: Vec<&TreeTotals> = tree.totals.iter().collect();
    let as_of = |second: u64| {
        let moment = BOOT + Nanos::from_secs(second);
        totals
            .iter()
            .rfind(|totals| totals.at <= moment)
            .expect("from the first on")
    };
    assert_eq!((as_of(10).processes, as_of(10).zombies), (4, 0));
    assert_eq!(
        (as_of(25).processes, as_of(25).zombies, as_of(25).orphans),
        (4, 1, 0)
    );
    assert_eq!(as_of(59).rss, Bytes(64 * MIB));
    assert_eq!(as_of(59).pss, Some(Bytes(32 * MIB)));

    let names: Vec<&str> = tree.names.iter().map(|history| &*history.name).collect();
    assert_eq!(names, ["worker-100", "worker-200", "worker-300"]);
    let counts: Vec<u64> = tree.names[2]
        .points
        .iter()
        .map(|(_, count)| *count)
        .collect();
    assert_eq!(counts, [1, 0]);
    assert_eq!(tree.names[2].points[1].0, BOOT + Nanos::from_secs(30));
}

#[test]
fn thousands_of_processes_cost_what_the_bounds_allow() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let tree = record(&path, 120, |second| {
        // Each second fifty end and fifty begin, of a thousand.
        let pids = second * 50..second * 50 + 1_000;
        let ended = (second.saturating_sub(1) * 50..second * 50)
            .map(|pid| member(1_000 + u32::try_from(pid).expect("small"), 0).id)
            .map(|id| TreeEnd {
                id,
                at: BOOT,
                status: None,
            });
        TreeTick {
            members: pids
                .map(|pid| {
                    member(
                        1_000 + u32::try_from(pid).expect("small"),
                        (1 + second) * MIB,
                    )
                })
                .collect(),
            ended: ended.collect(),
            ..TreeTick::default()
        }
    });
    assert_eq!(
        tree.totals.last().map(|totals| totals.processes),
        Some(1_000)
    );
    assert_eq!(tree.members.len(), 64);
    let size = std::fs::metadata(&path).expect("it is there").len();
    assert!(size < 2 * MIB, "{size} bytes");
}

#[test]
fn where_nobody_looked_there_is_no_tree() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    writer
        .tick(&plain_tick(BOOT, MIB, false))
        .expect("there is room");
    writer
        .tree(&TreeTick::default())
        .expect("nothing is stored, and that is no failure");
    writer.finish().expect("there is room");
    let seen = Reader::open(&path)
        .and_then(|reader| reader.observations(9))
        .expect("it is sound");
    assert_eq!(seen.tree, None);
}
