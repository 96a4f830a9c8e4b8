//! Processes in known states, made by fixtures/processes: all of them are found, none is invented.

mod common;

use common::{Fixture, census_of, is_inside, is_root, pids_of, process, whole};
use memtide_census::{Scope, Wanted, take};
use memtide_model::{Pid, text};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

#[test]
fn a_thousand_zombies_have_their_parent() {
    let mut fixture = Fixture::start("zombies", &["count=1000"]);
    let parent = fixture.pid();
    let is_zombie = |state: char| state == 'Z';
    let found = pids_of(&whole(), |one| one.ppid == parent && is_zombie(one.state));
    assert_eq!(found, fixture.pids("zombies"));
    let census = whole();
    let zombie = process(&census, found[0]);
    assert!(zombie.cmdline.is_empty() && zombie.name == "zombies" && zombie.rss.0 == 0);
    fixture.ask("reap");
    let left = pids_of(&whole(), |one| one.ppid == parent && is_zombie(one.state));
    assert_eq!(left, fixture.pids("zombies"));
    assert_eq!(left.len(), 500);
}

#[test]
fn orphans_change_their_parent_and_nothing_else() {
    for kind in ["plain", "session", "leader"] {
        let option = format!("kind={kind}");
        let mut fixture = Fixture::start("orphans", &["count=200", "hold=1", &option]);
        let orphans = fixture.pids("orphans");
        let starter = Pid(u32::try_from(fixture.truth["starter"].as_u64().unwrap()).unwrap());
        let before = whole();
        assert_eq!(
            pids_of(&before, |one| one.ppid == starter),
            orphans,
            "{kind}"
        );
        fixture.ask("end");
        let after = whole();
        let reaper = Pid(u32::try_from(fixture.truth["reaper"].as_u64().unwrap()).unwrap());
        assert!(pids_of(&after, |one| one.id.pid == starter || one.ppid == starter).is_empty());
        for &pid in &orphans {
            let (was, is) = (process(&before, pid), process(&after, pid));
            assert_eq!(
                (was.id, was.ppid, is.ppid),
                (is.id, starter, reaper),
                "{kind}"
            );
            assert_eq!((was.sid, was.pgid), (is.sid, is.pgid));
            let leader = match kind {
                "plain" => process(&after, fixture.pid()).sid,
                "session" => i64::from(starter.0),
                _ => i64::from(pid.0),
            };
            assert_eq!(is.sid, leader, "{kind}");
        }
    }
}

#[test]
fn stopped_and_blocked_ones_are_named() {
    let fixture = Fixture::start("stuck", &[]);
    let (stopped, blocked) = (fixture.pids("stopped"), fixture.pids("blocked"));
    let (parent, census) = (fixture.pid(), whole());
    let in_state = |letter: char| pids_of(&census, |one| one.ppid == parent && one.state == letter);
    assert_eq!((in_state('T'), in_state('D')), (stopped, blocked.clone()));
    assert_eq!((in_state('T').len(), in_state('D').len()), (50, 50));
    let sleepers = pids_of(&census, |one| blocked.contains(&one.ppid));
    assert_eq!(sleepers, fixture.pids("sleepers"));
    // A parent waits in vfork in the kernel's function for it; kernels that hide it say nothing.
    for &pid in &blocked {
        let wchan = process(&census, pid).wchan.as_deref();
        let known = wchan.is_none_or(|name| {
            name.contains("clone") || name.contains("fork") || name.contains("wait")
        });
        assert!(known, "{wchan:?}");
    }
}

#[test]
fn threads_in_one_futex_are_told_from_idle_ones() {
    let fixture = Fixture::start("futex", &["waiting=20", "idle=3", "busy=1"]);
    let threads = Wanted {
        threads: true,
        ..Wanted::default()
    };
    let look = || census_of(vec![fixture.pid()], &threads).processes.remove(0);
    let (before, mut after) = (look(), look());
    let started = std::time::Instant::now();
    let cpu = |process: &memtide_model::ProcessState, name: &str| {
        let named = process.each_thread.iter().filter(|one| one.name == name);
        named.map(|one| one.cpu.0).sum::<u64>()
    };
    while cpu(&after, "busy") == cpu(&before, "busy") {
        assert!(
            started.elapsed().as_secs() < 10,
            "the busy thread uses the processor"
        );
        after = look();
    }
    assert_eq!(after.threads, 25);
    assert_eq!(cpu(&before, "waiting"), cpu(&after, "waiting"));
    let shared = fixture.text("address");
    let shared = u64::from_str_radix(shared.trim_start_matches("0x"), 16).unwrap();
    let mut at: BTreeMap<u64, Vec<Pid>> = BTreeMap::new();
    for thread in &after.each_thread {
        // The first thread polls, busy ones run.
        if let Some((number, address)) = thread.syscall
            && ["waiting", "idle"].contains(&thread.name.as_str())
        {
            assert_eq!((number, thread.state), (FUTEX, 'S'));
            at.entry(address).or_default().push(Pid(thread.id.tid.0));
        }
    }
    assert_eq!(at.remove(&shared).unwrap(), fixture.pids("waiting"));
    let mut idle: Vec<_> = at.values().flatten().copied().collect();
    idle.sort();
    assert_eq!((at.len(), idle), (3, fixture.pids("idle")));
}

/// The number of futex(2).
#[cfg(target_arch = "x86_64")]
const FUTEX: i64 = 202;
#[cfg(not(target_arch = "x86_64"))]
const FUTEX: i64 = 98;

#[test]
fn names_hold_anything() {
    let fixture = Fixture::of(&mut Command::new(common::folder().join("src/hostile.py")));
    let parent = fixture.pid();
    let census = whole();
    let children = pids_of(&census, |one| one.ppid == parent);
    let names = fixture.truth["names"].as_object().unwrap();
    assert_eq!(children.len(), names.len());
    for (pid, name) in names {
        let hexadecimal = name.as_str().unwrap();
        let bytes: Vec<u8> = (0..hexadecimal.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap())
            .collect();
        let found = process(&census, Pid(pid.parse().unwrap()));
        assert_eq!(found.name, text::printable(&bytes));
        assert_eq!((found.ppid, found.state), (parent, 'S'));
    }
}

#[test]
fn what_is_told_of_a_process_agrees_with_its_files() {
    let fixture = Fixture::start("stuck", &["stopped=0", "blocked=0"]);
    let wanted = Wanted {
        pss: true,
        ..Wanted::default()
    };
    let census = census_of(vec![fixture.pid(), Pid(u32::MAX)], &wanted);
    assert_eq!(census.vanished, 1, "there is no such process");
    let found = process(&census, fixture.pid());
    let folder = format!("/proc/{}", fixture.pid());
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
    let field = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(found.uid.map(u64::from), Some(field("Uid:")));
    assert_eq!(u64::from(found.ppid.0), field("PPid:"));
    assert_eq!((found.threads, found.kernel), (field("Threads:"), false));
    assert_eq!(found.rss.0, field("VmRSS:") * 1024);
    let pss = found.pss.unwrap();
    assert!(
        pss.0 > 0 && pss < found.rss,
        "it shares its libraries: {pss:?}"
    );
    assert_eq!(found.inner_pid, None);
    let program = common::folder().join("bin/stuck");
    let expected = [program.to_str().unwrap(), "stopped=0", "blocked=0"];
    assert_eq!(found.cmdline, expected);
    assert!(found.age.as_secs_f64() < 60.0, "{:?}", found.age);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(census.boot_id, boot.trim());
}

#[test]
fn kernel_threads_are_told() {
    let census = whole();
    let Some(kthreadd) = census.processes.iter().find(|one| one.id.pid == Pid(2)) else {
        println!("skipped: kernel threads are not seen from inside of a pid namespace");
        return;
    };
    assert!(kthreadd.kernel && kthreadd.name == "kthreadd");
    let own = process(&census, Pid(std::process::id()));
    assert!(!own.kernel);
    assert!(
        census
            .processes
            .iter()
            .filter(|one| one.kernel)
            .all(|one| one.rss.0 == 0 && one.cmdline.is_empty())
    );
}

#[test]
fn of_a_storm_only_whole_processes_are_kept() {
    // A shell that starts short-lived processes as fast as it can.
    let script = "while :; do sleep 0.5 & sleep 0.05 & /bin/true; done";
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let parent = Pid(shell.id());
    let wanted = Wanted {
        threads: true,
        ..Wanted::default()
    };
    let (mut looks, mut children, mut vanished) = (0, 0, 0);
    let started = std::time::Instant::now();
    while (children < 200 || vanished == 0) && started.elapsed().as_secs() < 20 {
        looks += 1;
        let census = take(&common::root(), &wanted).unwrap();
        vanished += census.vanished;
        for child in census.processes.iter().filter(|one| one.ppid == parent) {
            children += 1;
            assert!(child.uid.is_some(), "{child:?}");
            // One that is ending has neither arguments nor memory.
            assert!(child.rss.0 == 0 || !child.cmdline.is_empty(), "{child:?}");
        }
        assert!(census.processes.is_sorted_by_key(|one| one.id.pid));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    println!("{children} children seen in {looks} looks, {vanished} vanished under way");
    assert!(children > 0);
}

#[test]
fn a_process_has_a_number_of_its_own_in_its_namespace() {
    if !is_root("a pid namespace") {
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--kill-child"]);
    let program = common::folder().join("bin/zombies");
    drop(Fixture::start("zombies", &["count=1"]));
    let fixture = Fixture::of(unshare.arg(program).arg("count=3"));
    assert_eq!(fixture.pid(), Pid(1), "it tells its pid as it sees it");
    let census = whole();
    let inside: Vec<_> = census
        .processes
        .iter()
        .filter(|one| one.name == "zombies" && one.inner_pid.is_some())
        .collect();
    let first = inside
        .iter()
        .find(|one| one.inner_pid == Some(Pid(1)))
        .unwrap();
    assert_ne!(first.id.pid, Pid(1));
    let mut zombies: Vec<_> = inside
        .iter()
        .filter(|one| one.ppid == first.id.pid && one.state == 'Z')
        .filter_map(|one| one.inner_pid)
        .collect();
    zombies.sort();
    assert_eq!(zombies, fixture.pids("zombies"));
}

#[test]
fn as_somebody_else_what_is_denied_is_said() {
    if is_inside() {
        let wanted = Wanted {
            threads: true,
            pss: true,
            objects: true,
            ..Wanted::default()
        };
        let census = take(&common::root(), &wanted).unwrap();
        let first = process(&census, Pid(1));
        assert_eq!((first.uid, first.pss), (Some(0), None));
        assert!(!first.name.is_empty(), "stat is for everybody");
        assert!(
            first
                .each_thread
                .iter()
                .all(|thread| thread.syscall.is_none())
        );
        assert!(census.descriptors_denied > 0);
        let own = process(&census, Pid(std::process::id()));
        assert!(own.pss.is_some() && own.uid == Some(65534));
        let told = census.unseen.join("\n");
        for part in [
            "see their descriptors",
            "proportional set size",
            "sudo memtide ps",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let scope = Scope::User(65534);
        let mine = take(
            &common::root(),
            &Wanted {
                scope,
                holdings: true,
                ..Wanted::default()
            },
        )
        .unwrap();
        assert!(mine.processes.iter().all(|one| one.uid == Some(65534)));
        assert_eq!(mine.descriptors_denied, 0);
        return;
    }
    if is_root("another user") {
        let nobody = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        common::again("as_somebody_else_what_is_denied_is_said", &nobody);
    }
}

#[test]
fn stored_trees_of_old_kernels_are_read_as_far_as_they_go() {
    let trees =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../memtide-proc/tests/fixtures");
    for kernel in ["3.10", "4.4", "5.10", "6.1"] {
        let root = memtide_proc::ProcRoot::open(&trees.join(format!("linux-{kernel}"))).unwrap();
        let wanted = Wanted {
            threads: true,
            pss: true,
            holdings: true,
            mappings: true,
            objects: true,
            machine: true,
            ..Wanted::default()
        };
        let census = take(&root, &wanted).unwrap();
        let [one] = &census.processes[..] else {
            panic!("linux-{kernel} has one process: {census:?}");
        };
        assert_eq!(
            (one.id.pid, one.kernel, one.rss.0 > 0),
            (Pid(1234), false, true)
        );
        // A thread of each tree is called `a) b`, newline, `(` and a byte that is no text.
        let names: Vec<_> = one
            .each_thread
            .iter()
            .map(|thread| thread.name.as_str())
            .collect();
        assert!(
            names.contains(&"a) b\\x0a(\\xff"),
            "linux-{kernel}: {names:?}"
        );
        assert!(census.machine.unwrap().total.is_some());
        // Files of this machine are none of the tree's.
        assert!(
            census
                .objects
                .unwrap()
                .iter()
                .all(|object| object.creator == Some(Pid(1234)) || object.count.is_some())
        );
        assert!(census.boot_id.is_empty());
    }
}
