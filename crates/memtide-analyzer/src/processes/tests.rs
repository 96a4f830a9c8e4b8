//! Every rule both ways, on censuses that are built by hand.

use super::*;
use memtide_model::{
    Bytes, FindingKind, KernelObject, Machine, ObjectKind, Role, StartTime, ThreadAtRest, ThreadId,
    Tid,
};

const BOOT: &str = "5e7a0b52-0000-4000-8000-000000000001";

fn settings() -> Settings {
    Settings {
        own: Pid(99_999),
        own_uid: 1000,
        older: None,
        expectations: Vec::new(),
    }
}

/// A process of user 1000 that was started at `pid` ticks after boot, so that higher pids are younger.
fn process(pid: u32, parent: u32, (session, group): (i64, i64), name: &str) -> ProcessState {
    ProcessState {
        ppid: Pid(parent),
        pgid: group,
        sid: session,
        uid: Some(1000),
        name: name.to_owned(),
        cmdline: vec![name.to_owned(), format!("--id={pid}")],
        age: Nanos::from_secs(1000),
        rss: Bytes(1 << 20),
        ..ProcessState::of(ProcessId {
            pid: Pid(pid),
            start: StartTime(u64::from(pid)),
        })
    }
}

fn zombie(pid: u32, parent: u32) -> ProcessState {
    ProcessState {
        state: 'Z',
        cmdline: Vec::new(),
        rss: Bytes(0),
        ..process(pid, parent, (500, 500), "child")
    }
}

/// init, a shell that leads session 500, and the others.
fn census(second: u64, others: Vec<ProcessState>) -> Census {
    let mut processes = vec![
        process(1, 0, (1, 1), "init"),
        process(500, 1, (500, 500), "bash"),
    ];
    processes.extend(others);
    processes.sort_by_key(|process| process.id.pid);
    Census {
        at: Nanos::from_secs(10_000 + second),
        wall_ns: i64::try_from(second).unwrap() * 1_000_000_000,
        boot_id: BOOT.to_owned(),
        processes,
        ..Census::default()
    }
}

fn watch_with(settings: Settings, looks: impl IntoIterator<Item = Census>) -> Watch {
    let mut watch = Watch::new(settings);
    for census in looks {
        watch.look(look(&watch.settings.expectations.clone(), census));
    }
    watch
}

fn look(expectations: &[Expectation], census: Census) -> Look {
    let matches = expectations
        .iter()
        .map(|expected| expected.matches(&census, Pid(99_999)));
    Look {
        matches: matches.collect(),
        judged: None,
        census,
    }
}

fn watch(looks: impl IntoIterator<Item = Census>) -> Watch {
    watch_with(settings(), looks)
}

fn of_kind(watch: &Watch, kind: FindingKind) -> Vec<Finding> {
    watch
        .findings()
        .into_iter()
        .filter(|finding| finding.kind == kind)
        .collect()
}

fn pids(finding: &Finding) -> Vec<u32> {
    finding.processes.iter().map(|id| id.pid.0).collect()
}

fn commands(finding: &Finding) -> Vec<&str> {
    finding
        .remedies
        .iter()
        .map(|remedy| remedy.command.as_str())
        .collect()
}

// --- zombies ------------------------------------------------------------------------------------

#[test]
fn zombies_are_named_with_the_parent_that_should_reap_them() {
    let seen = |second| {
        census(
            second,
            vec![
                process(600, 500, (500, 600), "server"),
                zombie(601, 600),
                zombie(602, 600),
            ],
        )
    };
    let found = of_kind(&watch([seen(0), seen(5)]), FindingKind::Zombies);
    let [found] = found.as_slice() else {
        panic!("one finding, not {found:?}")
    };
    assert_eq!(
        found.summary,
        "2 zombies: server (pid 600) does not reap its children"
    );
    assert_eq!(pids(found), [601, 602]);
    assert_eq!(found.parent.as_ref().map(|parent| parent.pid), Some(600));
    assert_eq!(found.at_least_seconds, Some(5.0));
    assert_eq!(commands(found), ["kill -CHLD 600", "kill -TERM 600"]);
    assert_eq!(found.weight, Weight::Problem);
}

#[test]
fn an_init_that_reaps_is_not_blamed() {
    // In each look there is a zombie, but never the same one.
    let seen = |second: u32| census(second.into(), vec![zombie(700 + second, 1)]);
    let watch = watch([seen(0), seen(1), seen(2)]);
    assert_eq!(watch.findings(), []);
}

#[test]
fn the_same_pid_with_another_start_is_another_zombie() {
    let first = zombie(700, 500);
    let mut second = first.clone();
    second.id.start = StartTime(800);
    assert_eq!(
        watch([census(0, vec![first]), census(1, vec![second])]).findings(),
        []
    );
}

#[test]
fn a_leader_whose_threads_run_on_is_no_zombie() {
    let leader = ProcessState {
        threads: 3,
        ..zombie(700, 500)
    };
    let seen = |second| census(second, vec![leader.clone()]);
    assert_eq!(watch([seen(0), seen(1)]).findings(), []);
}

#[test]
fn a_snapshot_of_before_tells_since_when() {
    let server = || vec![process(600, 500, (500, 600), "server"), zombie(601, 600)];
    let before = watch([census(0, server())]).snapshot().unwrap();
    let mut later = Watch::new(settings());
    later.remember(before, BOOT);
    later.look(look(&[], census(3600, server())));
    let found = of_kind(&later, FindingKind::Zombies);
    assert_eq!(found[0].at_least_seconds, Some(3600.0), "{found:?}");
}

#[test]
fn zombies_of_a_first_process_that_is_no_init_have_another_remedy() {
    let seen = |second| census(second, vec![zombie(700, 1)]);
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Zombies);
    assert_eq!(commands(&found[0]), ["kill -CHLD 1"]);
    assert!(
        found[0].details[1].contains("tini"),
        "{:?}",
        found[0].details
    );
}

#[test]
fn processes_of_others_need_sudo() {
    let foreign = ProcessState {
        uid: Some(0),
        ..process(600, 500, (500, 600), "server")
    };
    let seen = |second| census(second, vec![foreign.clone(), zombie(601, 600)]);
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Zombies);
    assert_eq!(
        commands(&found[0]),
        ["sudo kill -CHLD 600", "sudo kill -TERM 600"]
    );
}

// --- orphans ------------------------------------------------------------------------------------

#[test]
fn a_child_of_init_in_the_session_of_a_shell_is_an_orphan() {
    let seen = |second| census(second, vec![process(700, 1, (500, 650), "worker")]);
    let watch = watch([seen(0), seen(1)]);
    let found = of_kind(&watch, FindingKind::Orphans);
    let [found] = found.as_slice() else {
        panic!("one finding, not {found:?}")
    };
    assert_eq!(
        found.summary,
        "1 orphan: worker runs on after its parent ended"
    );
    assert_eq!(commands(found), ["kill -TERM 700"]);
    assert!(
        found.details[1].contains("bash (pid 500)"),
        "{:?}",
        found.details
    );
    let report = watch.report();
    let role = |pid| {
        report
            .processes
            .iter()
            .find(|row| row.pid == pid)
            .unwrap()
            .role
    };
    assert_eq!(
        (role(1), role(500), role(700)),
        (Role::Other, Role::Leader, Role::Orphan)
    );
}

#[test]
fn children_services_and_pipelines_are_no_orphans() {
    let seen = |second| {
        census(
            second,
            vec![
                // A child of its shell, in the group of a pipeline whose first part has ended.
                process(700, 500, (500, 690), "less"),
                // A service and its worker.
                process(710, 1, (710, 710), "server"),
                process(711, 710, (710, 710), "server"),
                // What docker exec starts: its parent lies outside.
                process(720, 0, (720, 720), "sh"),
                process(721, 720, (720, 721), "top"),
            ],
        )
    };
    assert_eq!(watch([seen(0), seen(1)]).findings(), []);
}

#[test]
fn a_lonely_process_without_its_sessions_leader_may_be_a_daemon() {
    let seen = |second| census(second, vec![process(801, 1, (800, 800), "daemon")]);
    let watch = watch([seen(0), seen(1)]);
    let found = of_kind(&watch, FindingKind::Orphans);
    assert_eq!(found[0].weight, Weight::Note);
    assert!(
        found[0].summary.contains("may be a daemon"),
        "{}",
        found[0].summary
    );
    assert!(!watch.report().has_found());
}

#[test]
fn workers_without_their_master_are_orphans_though_their_sessions_leader_is_gone() {
    let workers = (801..804)
        .map(|pid| process(pid, 1, (800, 800), "worker"))
        .collect::<Vec<_>>();
    let seen = |second| census(second, workers.clone());
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Orphans);
    assert_eq!(found[0].weight, Weight::Problem);
    assert_eq!(pids(&found[0]), [801, 802, 803]);
    // A job of its own group in a session that has gone: what nohup leaves.
    let job = |second| census(second, vec![process(901, 1, (900, 901), "backup")]);
    let found = of_kind(&watch([job(0), job(1)]), FindingKind::Orphans);
    assert_eq!(
        (found[0].weight, pids(&found[0])),
        (Weight::Problem, vec![901])
    );
}

#[test]
fn a_subreaper_that_is_not_pid_1_hides_nothing() {
    let seen = |second| {
        census(
            second,
            vec![
                process(510, 1, (510, 510), "systemd"),
                process(700, 510, (500, 650), "worker"),
                process(710, 510, (710, 710), "service"),
            ],
        )
    };
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Orphans);
    let [found] = found.as_slice() else {
        panic!("one finding, not {found:?}")
    };
    assert_eq!(pids(found), [700]);
}

#[test]
fn the_parent_that_died_is_named_where_it_was_seen() {
    // In the session of init itself: one look could not tell.
    let before = census(
        0,
        vec![
            process(600, 1, (1, 1), "master"),
            process(601, 600, (1, 1), "worker"),
        ],
    );
    let after = |second| census(second, vec![process(601, 1, (1, 1), "worker")]);
    let found = of_kind(
        &watch([before.clone(), after(1), after(2)]),
        FindingKind::Orphans,
    );
    assert_eq!(
        found[0].summary,
        "1 orphan: worker runs on after master (pid 600) ended"
    );
    assert_eq!(found[0].parent.as_ref().map(|parent| parent.pid), Some(600));
    // Without the look of before nothing is invented.
    assert_eq!(watch([after(1), after(2)]).findings(), []);
    // The same from a snapshot.
    let mut later = Watch::new(settings());
    later.remember(watch([before]).snapshot().unwrap(), BOOT);
    later.look(look(&[], after(60)));
    let found = of_kind(&later, FindingKind::Orphans);
    assert!(
        found[0].summary.ends_with("after master (pid 600) ended"),
        "{}",
        found[0].summary
    );
}

#[test]
fn one_that_leads_its_own_session_may_be_a_daemon_and_several_of_one_starter_are_orphans() {
    let of_starter = |pids: std::ops::Range<u32>| {
        let children = |ppid| {
            pids.clone()
                .map(move |pid| process(pid, ppid, (pid.into(), pid.into()), "worker"))
        };
        let mut before: Vec<_> = children(600).collect();
        before.push(process(600, 500, (500, 600), "master"));
        let after = |second| census(second, children(1).collect());
        of_kind(
            &watch([census(0, before), after(1), after(2)]),
            FindingKind::Orphans,
        )
    };
    let weights = |found: &[Finding]| {
        found
            .iter()
            .map(|f| (f.weight, f.count))
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(&of_starter(700..701)), [(Weight::Note, 1)]);
    assert_eq!(weights(&of_starter(700..703)), [(Weight::Problem, 3)]);
}

#[test]
fn many_orphans_of_one_group_are_ended_by_the_group() {
    let orphans = (1001..1031).map(|pid| process(pid, 1, (500, 1000), "worker"));
    let orphans: Vec<_> = orphans.collect();
    let seen = |second| census(second, orphans.clone());
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Orphans);
    assert_eq!(commands(&found[0]), ["kill -TERM -- -1000"]);
    // With one of the group that is none of them, each is named.
    let seen = |second| {
        let mut all = orphans.clone();
        all.push(process(1000, 500, (500, 1000), "master"));
        census(second, all)
    };
    let found = of_kind(&watch([seen(0), seen(1)]), FindingKind::Orphans);
    assert!(
        commands(&found[0])[0].starts_with("kill -TERM 1001 1002"),
        "{:?}",
        commands(&found[0])
    );
}

// --- expectations -------------------------------------------------------------------------------

#[test]
fn expectations_are_read_and_bad_ones_say_where() {
    for (text, shown) in [
        (r"perf_run\.py<=35", r"at most 35 of perf_run\.py"),
        ("worker >= 1", "at least 1 of worker"),
        ("worker=4", "exactly 4 of worker"),
        ("--level=3<2", "fewer than 2 of --level=3"),
        ("a>0", "more than 0 of a"),
    ] {
        assert_eq!(
            Expectation::parse(text).unwrap().to_string(),
            shown,
            "{text}"
        );
    }
    for (text, message) in [
        (
            "worker",
            "\"worker\" has no comparison; write it as 'REGEX<=N', with <=, >=, =, < or >",
        ),
        (
            "",
            "\"\" has no comparison; write it as 'REGEX<=N', with <=, >=, =, < or >",
        ),
        (
            "worker<=many",
            "\"worker<=many\" has \"many\" at character 9 where a whole number is expected, as in 'worker<=35'",
        ),
        (
            "grün<= -1",
            "\"grün<= -1\" has \"-1\" at character 8 where a whole number is expected, as in 'worker<=35'",
        ),
        (
            "<=3",
            "\"<=3\" has no regular expression before the comparison at character 1; '.' matches every process",
        ),
        (
            "ab(c<=3",
            "\"ab(c\" is not a regular expression from character 3 on: unclosed group",
        ),
    ] {
        assert_eq!(
            Expectation::parse(text).unwrap_err().to_string(),
            message,
            "{text}"
        );
    }
}

#[test]
fn more_processes_than_expected_are_found_and_the_oldest_named() {
    let seen = |second| {
        census(
            second,
            (700..705)
                .map(|pid| process(pid, 500, (500, 700), "worker"))
                .collect(),
        )
    };
    let found = |text: &str| {
        let expectations = vec![Expectation::parse(text).unwrap()];
        let watch = watch_with(
            Settings {
                expectations,
                ..settings()
            },
            [seen(0), seen(1)],
        );
        of_kind(&watch, FindingKind::Expectation)
    };
    let most = found("worker --id=[0-9]+<=3");
    assert_eq!(
        most[0].summary,
        "5 processes match worker --id=[0-9]+, and at most 3 should"
    );
    assert_eq!(commands(&most[0]), ["kill -TERM 700 701"]);
    assert_eq!(most[0].remedies[0].effect, "asks the 2 oldest to end");
    assert_eq!(found("worker<=5"), []);
    assert_eq!(found("worker=5"), []);
    let none = found("nginx>=1");
    assert_eq!(
        none[0].summary,
        "0 processes match nginx, and at least 1 should"
    );
    assert_eq!(none[0].remedies, []);
}

#[test]
fn memtide_itself_never_counts() {
    let expected = Expectation::parse("worker=1").unwrap();
    let census = census(0, vec![process(700, 500, (500, 700), "worker")]);
    assert_eq!(expected.matches(&census, Pid(700)), []);
    assert_eq!(expected.matches(&census, Pid(701)).len(), 1);
}

// --- what becomes ever more ---------------------------------------------------------------------

#[test]
fn processes_that_pile_up_are_found_and_a_pool_is_not() {
    let crowd = |count: &dyn Fn(u64) -> u32| {
        let looks = (0..40).map(|second| {
            let workers = (0..count(second)).map(|k| process(700 + k, 500, (500, 700), "worker"));
            census(second, workers.collect())
        });
        of_kind(&watch(looks.collect::<Vec<_>>()), FindingKind::PilingUp)
    };
    let leak = crowd(&|second| 2 + u32::try_from(second / 2).unwrap());
    assert_eq!(leak.len(), 1, "{leak:?}");
    assert_eq!(leak[0].count, 21);
    assert_eq!(
        crowd(&|second| 2 + u32::try_from(second.min(5)).unwrap() * 4),
        []
    );
    assert_eq!(crowd(&|second| 20 + u32::try_from(second % 3).unwrap()), []);
}

#[test]
fn a_watch_of_days_keeps_a_bounded_number_of_counts() {
    let mut crowds = Crowds::default();
    for second in 0..5000 {
        let count = 1 + u32::try_from(second / 100).unwrap();
        let workers = (0..count).map(|k| process(700 + k, 500, (500, 700), "worker"));
        crowds.look(&census(second, workers.collect()));
    }
    let watch = watch([census(4999, Vec::new()), census(5000, Vec::new())]);
    let scene = Scene::of(&watch, watch.last.as_ref().unwrap());
    // The last look has no worker, so nothing can be named; but the counts are there and thinned.
    assert_eq!(crowds.find(&scene), []);
    assert!(format!("{crowds:?}").len() < 40_000);
}

// --- age ----------------------------------------------------------------------------------------

#[test]
fn long_runners_are_found_and_services_only_when_asked_for() {
    let old = |process: ProcessState| ProcessState {
        age: Nanos::from_secs(7200),
        ..process
    };
    let seen = |second| {
        census(
            second,
            vec![
                old(process(600, 1, (600, 600), "service")),
                old(process(700, 500, (500, 700), "batch")),
                process(701, 500, (500, 701), "young"),
            ],
        )
    };
    let settings = Settings {
        older: Some(Nanos::from_secs(3600)),
        ..settings()
    };
    let found = of_kind(
        &watch_with(settings.clone(), [seen(0), seen(1)]),
        FindingKind::LongRunners,
    );
    assert_eq!(found[0].summary, "1 process is older than 1 h: batch");
    let mut narrowed = Watch::new(settings);
    for second in 0..2 {
        let census = seen(second);
        let judged = census
            .processes
            .iter()
            .filter(|process| process.name == "service");
        let judged = Some(judged.map(|process| process.id).collect());
        narrowed.look(Look {
            judged,
            ..look(&[], census)
        });
    }
    assert_eq!(
        pids(&of_kind(&narrowed, FindingKind::LongRunners)[0]),
        [600]
    );
}

// --- states and threads -------------------------------------------------------------------------

#[test]
fn d_and_t_that_last_are_found_and_disk_waits_are_not() {
    let in_state = |pid, state, cpu| ProcessState {
        state,
        cpu: Nanos(cpu),
        wchan: Some("kernel_clone".to_owned()),
        ..process(pid, 500, (500, 700), "task")
    };
    let seen = |second: u64| {
        census(
            second,
            vec![
                in_state(700, 'D', 5),
                // It works in between.
                in_state(701, 'D', second),
                in_state(702, if second == 2 { 'D' } else { 'S' }, 5),
                in_state(703, 'T', 5),
                ProcessState {
                    kernel: true,
                    ..in_state(704, 'D', 5)
                },
            ],
        )
    };
    let watch = watch([seen(0), seen(1), seen(2)]);
    let blocked = of_kind(&watch, FindingKind::Blocked);
    assert_eq!(blocked.iter().map(pids).collect::<Vec<_>>(), [[700]]);
    assert!(
        blocked[0].summary.contains("in kernel_clone"),
        "{}",
        blocked[0].summary
    );
    assert!(
        blocked[0].details[2].contains("vfork"),
        "{:?}",
        blocked[0].details
    );
    assert_eq!(blocked[0].at_least_seconds, Some(2.0));
    let stopped = of_kind(&watch, FindingKind::Stopped);
    assert_eq!(stopped.iter().map(pids).collect::<Vec<_>>(), [[703]]);
    assert_eq!(commands(&stopped[0]), ["kill -CONT 703"]);
    assert!(
        stopped[0].details[1].contains("bash (pid 500)"),
        "{:?}",
        stopped[0].details
    );
}

fn thread(tid: u32, syscall: i64, argument: u64, cpu: u64) -> ThreadAtRest {
    ThreadAtRest {
        id: ThreadId {
            tid: Tid(tid),
            start: StartTime(tid.into()),
        },
        name: format!("worker-{tid}"),
        state: 'S',
        wchan: None,
        syscall: Some((syscall, argument)),
        cpu: Nanos(cpu),
    }
}

const FUTEX: i64 = if cfg!(target_arch = "x86_64") {
    202
} else {
    98
};

fn threads_over(seconds: u64, threads: &dyn Fn(u64) -> Vec<ThreadAtRest>) -> Vec<Finding> {
    let looks = (0..=seconds).map(|second| {
        let each_thread = threads(second);
        census(
            second,
            vec![ProcessState {
                each_thread,
                ..process(700, 500, (500, 700), "pool")
            }],
        )
    });
    of_kind(&watch(looks.collect::<Vec<_>>()), FindingKind::Stuck)
}

#[test]
fn a_process_whose_threads_all_wait_at_one_futex_is_stuck_once_it_lasts() {
    let locked = |_| {
        vec![
            thread(700, FUTEX, 0x10, 0),
            thread(701, FUTEX, 0x20, 0),
            thread(702, FUTEX, 0x20, 0),
        ]
    };
    let found = threads_over(12, &locked);
    assert_eq!((found[0].weight, found[0].count), (Weight::Problem, 2));
    assert!(
        found[0].details[0].starts_with("address 0x20; threads worker-701 (701)"),
        "{found:?}"
    );
    let early = threads_over(6, &locked);
    assert_eq!(early[0].weight, Weight::Note);
    assert_eq!(
        threads_over(3, &locked),
        [],
        "a second or three are between two jobs"
    );
}

#[test]
fn an_idle_pool_is_a_note_and_one_idle_worker_is_nothing() {
    let (read, wait) = (0, 232);
    let pool = |_| {
        vec![
            thread(700, wait, 3, 0),
            thread(701, FUTEX, 0x20, 0),
            thread(702, FUTEX, 0x20, 0),
        ]
    };
    assert_eq!(threads_over(20, &pool)[0].weight, Weight::Note);
    let single = |_| vec![thread(700, read, 0, 0), thread(701, FUTEX, 0x20, 0)];
    assert_eq!(threads_over(20, &single), []);
    let accepting = |_| (700..705).map(|tid| thread(tid, read, 3, 0)).collect();
    let found = threads_over(20, &accepting);
    assert_eq!((found[0].weight, found[0].count), (Weight::Note, 5));
    assert!(
        found[0].details[0].starts_with("system call 0 with 0x3"),
        "{found:?}"
    );
    // Each reads from elsewhere.
    let apart = |_| {
        (700..705)
            .map(|tid| thread(tid, read, tid.into(), 0))
            .collect()
    };
    assert_eq!(threads_over(20, &apart), []);
    // They are woken now and then.
    let busy = |second| {
        vec![
            thread(700, FUTEX, 0x20, second),
            thread(701, FUTEX, 0x20, second),
        ]
    };
    assert_eq!(threads_over(20, &busy), []);
}

// --- kernel objects and the machine -------------------------------------------------------------

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
            (Weight::Problem, 1, r"rm -- '/dev/mqueue/it'\''s'"),
            (Weight::Problem, 1, "ipcrm -m 5"),
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

// --- snapshots, rows ----------------------------------------------------------------------------

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
