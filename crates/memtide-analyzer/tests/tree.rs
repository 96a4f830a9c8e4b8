//! The tree below the target: what piles up is named, sums are of PSS where that is known, rows are in order.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers made here are small and positive"
)]

mod support;

use memtide_analyzer::analyze;
use memtide_model::{
    Bytes, Children, MemberHistory, MemberPoint, NameHistory, Nanos, Observations, Pid, ProcessId,
    Role, StartTime, TreeEnd, TreeMember, TreeObservations, TreeTotals, VerdictKind,
};
use support::{assert_has_numbers_only, heap};

const MIB: u64 = 1 << 20;
const SECONDS: u64 = 60;

fn at(second: u64) -> Nanos {
    support::ORIGIN + Nanos::from_secs(second)
}

fn member(pid: u32, parent: u32, name: &str, rss: u64) -> TreeMember {
    TreeMember {
        id: ProcessId {
            pid: Pid(pid),
            start: StartTime(100_000),
        },
        parent: Some(Pid(parent)),
        name: name.into(),
        cmdline: vec![name.to_owned()].into(),
        pgid: 1,
        sid: 1,
        threads: 1,
        cpu_ticks: 250,
        state: b'S',
        rss: Bytes(rss),
        pss: Some(Bytes(rss / 2)),
        orphaned: false,
    }
}

/// One whose RSS grows by so many MiB a second.
fn course(last: TreeMember, mib_per_second: u64) -> MemberHistory {
    let end = last.rss.0;
    let points = (0..=SECONDS).map(|second| MemberPoint {
        at: at(second),
        rss: Bytes(end - (SECONDS - second) * mib_per_second * MIB),
        pss: None,
    });
    MemberHistory {
        since: at(0),
        ended: None,
        points: points.collect(),
        last,
    }
}

/// A process of 50 MiB that starts a worker each second, which never ends, beside two loggers.
fn piling_up() -> Observations {
    let mut observations = heap((0..=SECONDS).map(|second| (second as f64, 50.0 * MIB as f64)));
    for sample in &mut observations.samples {
        let second = (sample.at - support::ORIGIN).as_secs_f64().round() as u64;
        sample.counts.children = Some(Children {
            total: 2 + second,
            ..Children::default()
        });
    }
    observations.tree = Some(TreeObservations {
        engine: "side-band".to_owned(),
        short_lived: Some(12),
        lost: 3,
        totals: (0..=SECONDS)
            .map(|second| TreeTotals {
                at: at(second),
                processes: 3 + second,
                zombies: 0,
                orphans: u64::from(second == SECONDS),
                rss: Bytes((50 + 2 * second) * MIB),
                pss: (second > 0).then_some(Bytes((40 + second) * MIB)),
            })
            .collect(),
        members: vec![
            course(member(11, 4182, "logger", 9 * MIB), 0),
            course(member(12, 4182, "worker", 100 * MIB), 1),
            course(
                TreeMember {
                    orphaned: true,
                    ..member(13, 12, "worker", 30 * MIB)
                },
                0,
            ),
            MemberHistory {
                ended: Some(TreeEnd {
                    id: member(14, 1, "gone", 0).id,
                    at: at(30),
                    status: None,
                }),
                ..course(member(14, 4182, "gone", 90 * MIB), 1)
            },
        ],
        names: vec![
            NameHistory {
                name: "worker".into(),
                points: (0..=SECONDS).map(|second| (at(second), second)).collect(),
            },
            NameHistory {
                name: "logger".into(),
                points: vec![(at(0), 2)],
            },
        ],
    });
    observations
}

#[test]
fn what_piles_up_is_named_with_its_rate() {
    let findings = analyze(&piling_up());
    assert_has_numbers_only(&findings, "a tree");
    let report = findings.report;
    assert_eq!(
        report.verdict.kind,
        VerdictKind::ProcessLeak,
        "{:?}",
        report.verdict
    );
    let summary = &report.verdict.summary;
    assert!(
        summary.contains("1.0 per second more, mostly worker (+"),
        "{summary}"
    );
    let row = (report.counts.iter())
        .find(|row| row.group.as_deref() == Some("worker"))
        .expect("a row of the name");
    assert_eq!(row.count, "processes");
    let rate = row.per_second.expect("a rate");
    assert!((rate - 1.0).abs() < 0.05, "{rate}");
    assert!(
        report
            .counts
            .iter()
            .any(|row| row.group.as_deref() == Some("logger"))
    );
    assert!(
        report.warnings.iter().any(|w| w.contains("3 records were")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn rows_are_of_the_living_and_those_that_grew_come_first() {
    let report = analyze(&piling_up()).report;
    let rows = report.processes.expect("somebody looked");
    let pids: Vec<u32> = rows.iter().map(|row| row.pid).collect();
    assert_eq!(pids, [12, 11, 13]);
    let worker = &rows[0];
    assert_eq!(worker.growth_bytes, Some(60 * MIB.cast_signed()));
    let rate = worker.bytes_per_second.expect("a rate");
    assert!((rate / MIB as f64 - 1.0).abs() < 0.01, "{rate}");
    // Its own half of 100 MiB and its child's half of 30.
    assert_eq!(worker.tree_bytes, 65 * MIB);
    assert_eq!((worker.role, rows[2].role), (Role::Child, Role::Orphan));
    assert!((worker.cpu_seconds - 2.5).abs() < 1e-9);
}

#[test]
fn sums_are_of_pss_where_it_is_known_and_count_who_came_and_went() {
    let total = analyze(&piling_up()).report.tree.expect("somebody looked");
    assert_eq!(
        (total.processes, total.most_processes, total.orphans),
        (63, 63, 1)
    );
    assert_eq!(
        (total.rss_bytes, total.pss_bytes),
        (170 * MIB, Some(100 * MIB))
    );
    assert_eq!(
        total.growth_bytes,
        59 * MIB.cast_signed(),
        "of PSS, from where it is known"
    );
    assert_eq!((total.short_lived, total.lost), (Some(12), 3));
}

#[test]
fn where_nobody_looked_nothing_is_said() {
    let mut observations = piling_up();
    observations.tree = None;
    let report = analyze(&observations).report;
    assert_eq!(report.verdict.kind, VerdictKind::ProcessLeak);
    assert!((report.tree.is_none()) && report.processes.is_none());
}

#[test]
fn links_in_a_ring_do_not_hang() {
    let mut observations = piling_up();
    if let Some(tree) = &mut observations.tree {
        tree.members[0].last.parent = Some(Pid(12));
        tree.members[1].last.parent = Some(Pid(11));
    }
    assert!(analyze(&observations).report.processes.is_some());
}
