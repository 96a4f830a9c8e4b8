//! What was expected, what piles up, what is old, what is stuck.

use super::*;

// --- expectations -----------------------------------------------------------------------------------

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

// --- what becomes ever more -------------------------------------------------------------------------

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

// --- age --------------------------------------------------------------------------------------------

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

// --- states and threads -----------------------------------------------------------------------------

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
        is_timed: false,
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
fn a_pool_whose_main_thread_waits_for_a_time_is_not_stuck() {
    let idle = |_| {
        let mut threads: Vec<ThreadAtRest> =
            (700..705).map(|tid| thread(tid, FUTEX, 0x20, 0)).collect();
        threads[0].is_timed = true;
        threads
    };
    let found = threads_over(20, &idle);
    assert_eq!(
        (found.len(), found[0].weight),
        (1, Weight::Note),
        "{found:?}"
    );
    assert!(
        found[0].details[1].contains("wait for a time and go on by themselves"),
        "{found:?}"
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
