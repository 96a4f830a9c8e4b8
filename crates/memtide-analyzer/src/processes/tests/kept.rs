//! Kernel objects, the machine, snapshots, rows.

use super::*;

// --- kernel objects and the machine -----------------------------------------------------------------

fn object(kind: ObjectKind, name: &str, bytes: u64) -> KernelObject {
    KernelObject {
        kind,
        name: name.to_owned(),
        key: None,
        uid: 1000,
        creator: None,
        bytes: Bytes(bytes),
        count: None,
        holders: Vec::new(),
        doomed: false,
        changed: None,
    }
}

fn with_objects(second: u64, objects: Vec<KernelObject>) -> Census {
    Census {
        objects: Some(objects),
        ..census(second, Vec::new())
    }
}

#[test]
fn queues_and_segments_that_nobody_uses_are_named_with_what_removes_them() {
    let segment = |creator, attached| KernelObject {
        creator: Some(Pid(creator)),
        count: Some(attached),
        ..object(ObjectKind::SystemVSegment, "shmid 5", 4096)
    };
    let seen = |second| {
        with_objects(
            second,
            vec![
                object(ObjectKind::PosixQueue, "/it's", 80),
                KernelObject {
                    holders: vec![Pid(500)],
                    ..object(ObjectKind::PosixQueue, "/held", 80)
                },
                segment(4242, 0),
                KernelObject {
                    name: "shmid 6".to_owned(),
                    ..segment(4242, 1)
                },
                // Its maker lives: it may be about to attach it.
                KernelObject {
                    name: "shmid 7".to_owned(),
                    ..segment(500, 0)
                },
                // Of a maker of the same number, before that process was started.
                KernelObject {
                    name: "shmid 8".to_owned(),
                    changed: Some(-1_000_000),
                    ..segment(500, 0)
                },
                object(ObjectKind::PosixQueue, "/two\\x0alines", 70),
            ],
        )
    };
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Unused);
    let found: Vec<_> = found
        .iter()
        .map(|f| (f.weight, f.count, commands(f)[0]))
        .collect();
    assert_eq!(
        found,
        [
            // No shell would find the other one by the name that is shown.
            (Weight::Problem, 2, r"rm -- '/dev/mqueue/it'\''s'"),
            (Weight::Problem, 2, "ipcrm -m 5 -m 8"),
            (Weight::Note, 1, "ipcrm -m 7"),
        ]
    );
}

#[test]
fn a_queue_that_an_unread_process_may_hold_is_a_note() {
    let seen = |second| Census {
        descriptors_denied: 3,
        ..with_objects(second, vec![object(ObjectKind::PosixQueue, "/orders", 80)])
    };
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Unused);
    assert_eq!(found[0].weight, Weight::Note);
}

#[test]
fn queues_that_become_ever_more_are_found() {
    let seen = |second: u64| {
        let queues = (0..3 + second).map(|k| KernelObject {
            holders: vec![Pid(500)],
            ..object(ObjectKind::PosixQueue, &format!("/q{k}"), 80)
        });
        with_objects(second, queues.collect())
    };
    let found = of_kind(
        &watch((0..30).map(seen).collect::<Vec<_>>()),
        FindingKind::ObjectsPilingUp,
    );
    assert!(
        found[0]
            .summary
            .starts_with("POSIX message queues become ever more"),
        "{found:?}"
    );
}

#[test]
fn a_machine_that_shrinks_while_no_process_grows_names_who_grew() {
    let mib = |count: u64| Some(Bytes(count << 20));
    let seen = |slab: u64, process_growth: u64| {
        let looks = (0..40_u64).map(move |second| Census {
            machine: Some(Machine {
                total: mib(8192),
                available: mib(4000 - 10 * second),
                slab_unreclaimable: mib(100 + slab * second),
                ..Machine::default()
            }),
            ..census(
                second,
                vec![ProcessState {
                    rss: Bytes((50 + process_growth * second) << 20),
                    ..process(700, 500, (500, 700), "db")
                }],
            )
        });
        of_kind(&watch(looks.collect::<Vec<_>>()), FindingKind::Machine)
    };
    let kernel = seen(10, 0);
    assert!(kernel[0].details[0].contains("slabtop"), "{kernel:?}");
    assert_eq!(
        seen(0, 10),
        [],
        "a process that grows is not the machine's fault"
    );
}

// --- snapshots, rows --------------------------------------------------------------------------------

#[test]
fn a_difference_says_what_is_gone_left_and_new() {
    let leak = |second| {
        census(
            second,
            vec![
                process(600, 500, (500, 600), "server"),
                zombie(601, 600),
                zombie(602, 600),
            ],
        )
    };
    let before = watch([leak(0), leak(1)]).snapshot().unwrap();
    let after = census(
        60,
        vec![
            process(600, 500, (500, 600), "server"),
            zombie(602, 600),
            process(900, 500, (500, 900), "new"),
        ],
    );
    let mut later = Watch::new(settings());
    later.remember(before.clone(), BOOT);
    later.look(look(&[], after.clone()));
    let difference = later.report().difference.unwrap();
    let numbers =
        |rows: &[memtide_model::ProcessRow]| rows.iter().map(|row| row.pid).collect::<Vec<_>>();
    assert_eq!(numbers(&difference.gone), [601]);
    assert_eq!(numbers(&difference.new), [900]);
    assert_eq!(difference.left, 4);
    assert!((difference.seconds - 59.0).abs() < 1e-9);
    assert_eq!(difference.followed[0].gone, 1);
    assert_eq!(
        difference.followed[0]
            .left
            .iter()
            .map(|id| id.pid.0)
            .collect::<Vec<_>>(),
        [602]
    );
    // After another boot the same numbers are other processes.
    let other = "5e7a0b52-0000-4000-8000-000000000002";
    let mut rebooted = Watch::new(settings());
    rebooted.remember(before, other);
    rebooted.look(look(
        &[],
        Census {
            boot_id: other.to_owned(),
            ..after
        },
    ));
    let difference = rebooted.report().difference.unwrap();
    assert!(difference.other_boot);
    assert_eq!(
        (difference.left, difference.gone.len(), difference.new.len()),
        (0, 5, 5)
    );
}

#[test]
fn a_tree_holds_what_all_of_it_holds_and_rings_end() {
    let mut ring = vec![
        process(810, 811, (500, 500), "a"),
        process(811, 810, (500, 500), "b"),
    ];
    ring.push(process(700, 500, (500, 700), "child"));
    ring.push(ProcessState {
        pss: Some(Bytes(1 << 10)),
        ..process(701, 700, (500, 700), "grandchild")
    });
    let report = watch([census(0, ring.clone()), census(1, ring)]).report();
    let tree = |pid| {
        report
            .processes
            .iter()
            .find(|row| row.pid == pid)
            .unwrap()
            .tree_bytes
    };
    assert_eq!((tree(701), tree(700)), (1 << 10, (1 << 20) + (1 << 10)));
    assert_eq!(tree(500), (2 << 20) + (1 << 10));
    assert_eq!(tree(1), (3 << 20) + (1 << 10));
    assert_eq!((tree(810), tree(811)), (1 << 20, 1 << 20));
}

#[test]
fn processes_are_ranked_by_their_rate() {
    let mut report = watch([census(0, vec![process(700, 500, (500, 700), "leak")])]).report();
    let pulse = |pid: u32, rate: u64| Pulsed {
        id: ProcessId {
            pid: Pid(pid),
            start: StartTime(pid.into()),
        },
        points: (0..30)
            .map(|k| (Nanos::from_secs(k), Bytes((1 << 20) + rate * k)))
            .collect(),
    };
    rising(
        &mut report,
        &[pulse(1, 0), pulse(500, 1 << 10), pulse(700, 1 << 20)],
    );
    assert_eq!(
        report
            .processes
            .iter()
            .map(|row| row.pid)
            .collect::<Vec<_>>(),
        [700, 500, 1]
    );
    assert_eq!(report.processes[0].growth_bytes, Some(29 << 20));
    let rate = report.processes[0].bytes_per_second.unwrap();
    assert!((rate - f64::from(1 << 20)).abs() < 1.0, "{rate}");
    assert_eq!(
        report.summary,
        "leak (pid 700) grows most, by 1.00 MiB/s; 1 other grows."
    );
}

#[test]
fn a_census_of_nothing_is_no_reason_to_panic() {
    let watch = watch([Census::default(), Census::default()]);
    assert_eq!(watch.findings(), []);
    assert_eq!(watch.report().processes, []);
    assert!(Watch::new(settings()).snapshot().is_none());
}
