//! Zombies and orphans, and what is neither.

use super::*;

// --- zombies ----------------------------------------------------------------------------------------

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

// --- orphans ----------------------------------------------------------------------------------------

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
