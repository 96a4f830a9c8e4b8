//! Numbers against independent truth: targets of which it is known what they do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::time::Duration;
use support::{Target, account, attach, finish, memtide, number, recording_in, report};

const MIB: f64 = 1024.0 * 1024.0;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn count(report: &Value, name: &str, group: Option<&str>) -> (f64, f64) {
    let rows = report["counts"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["count"] == name && row["group"].as_str() == group);
    let row = row.unwrap_or_else(|| panic!("a count {name} {group:?} in {rows:?}"));
    (number(row, "start"), number(row, "end"))
}

fn count_rate(report: &Value, name: &str, group: Option<&str>) -> f64 {
    let rows = report["counts"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["count"] == name && row["group"].as_str() == group);
    number(row.unwrap(), "per_second")
}

#[test]
fn a_known_leak_rate_is_found_within_five_percent() {
    let dir = dir();
    let target = Target::start(&["leak", "1048576"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "24s", "--every", "250ms"],
    );
    // A block of 1,024 bytes costs 1,040 with its header.
    let truth = MIB * 1040.0 / 1024.0;
    let found = number(&report, "growth/rss_bytes_per_second");
    assert!(
        (found / truth - 1.0).abs() < 0.05,
        "{found} against {truth}"
    );
    assert!(number(&report, "growth/low") <= truth && truth <= number(&report, "growth/high"));
    assert_eq!(report["growth"]["shape"], "linear");
    // From outside, by the headers of its blocks.
    assert_eq!(report["verdict"]["kind"], "heap_leak");
    let found = number(&report, "heap/live_growth_bytes");
    let kept = number(&report, "heap/retained_growth_bytes");
    assert!(found > 0.9 * (found + kept), "{found} live, {kept} kept");
    assert!(report["heap"]["conclusive"].as_bool().unwrap());
}

#[test]
fn without_a_look_into_the_heap_a_leak_stays_open() {
    let dir = dir();
    let target = Target::start(&["leak", "1048576"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "24s", "--every", "250ms", "--no-inspect"],
    );
    assert!(report["heap"].is_null());
    // A heap that grows may be a leak or holes: /proc cannot tell.
    assert_eq!(report["verdict"]["kind"], "undetermined");
    let candidates = report["verdict"]["candidates"].as_array().unwrap();
    for candidate in ["heap_leak", "fragmentation"] {
        assert!(
            candidates.contains(&Value::from(candidate)),
            "{candidates:?}"
        );
    }
}

#[test]
fn mappings_fall_into_their_classes_and_add_up_to_rss() {
    let dir = dir();
    let target = Target::start(&["layout"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "3s", "--every", "200ms", "--no-inspect"],
    );
    let near = |name: &str, from: f64, to: f64| {
        let mib = account(&report, name) / MIB;
        assert!(
            (from..to).contains(&mib),
            "{name} is {mib} MiB, not in {from}..{to}"
        );
    };
    near("heap", 16.0, 17.5);
    near("anon", 24.0, 24.6);
    near("stacks", 1.0, 1.4);
    near("shared", 8.0, 8.1);
    near("file", 0.5, 4.0);
    let rows = report["ledger"].as_array().unwrap();
    let sum: f64 = rows.iter().map(|row| number(row, "end_bytes")).sum();
    let unexplained = account(&report, "unexplained").abs();
    assert!(
        unexplained < 0.02 * sum,
        "unexplained {unexplained} of {sum}"
    );
    assert_eq!(count(&report, "threads", None), (6.0, 6.0));
    let opaque = report["beside"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["account"] == "opaque");
    let opaque = number(opaque.unwrap(), "end_bytes");
    let expected = account(&report, "heap") + account(&report, "anon");
    assert!(
        (opaque - expected).abs() < 1.0,
        "opaque {opaque}, heap and anon {expected}"
    );
}

#[test]
fn threads_descriptors_and_children_that_pile_up_are_named() {
    for (mode, kind, count_name, group, per_second) in [
        ("threads", "thread_leak", "threads", None, 5.0),
        ("fds", "fd_leak", "fds", Some("pipe"), 8.0),
        ("children", "process_leak", "processes", Some("zombie"), 4.0),
    ] {
        let dir = dir();
        let target = Target::start(&[mode, &per_second.to_string()]);
        let report = attach(
            dir.path(),
            &target.pid(),
            &["--for", "22s", "--every", "250ms"],
        );
        assert_eq!(
            report["verdict"]["kind"], kind,
            "{mode}: {}",
            report["verdict"]
        );
        let (start, end) = count(&report, count_name, group);
        assert!(
            end > start + 15.0 * per_second,
            "{mode}: from {start} to {end}"
        );
        let rate = count_rate(&report, count_name, group);
        assert!(
            (rate / per_second - 1.0).abs() < 0.15,
            "{mode}: {rate} against {per_second}"
        );
    }
}

#[test]
fn ten_thousand_mappings_and_a_thousand_threads_are_counted() {
    let dir = dir();
    let target = Target::start(&["many", "10000", "1000"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "4s", "--every", "250ms"],
    );
    assert_eq!(count(&report, "threads", None), (1000.0, 1000.0));
    let (mappings, _) = count(&report, "mappings", None);
    assert!((10_000.0..13_000.0).contains(&mappings), "{mappings}");
    // It must have put off reads of smaps to stay within its budget, and say so.
    let reads = report["recording"]["reads"].as_array().unwrap();
    let smaps = reads.iter().find(|row| row["read"] == "smaps").unwrap();
    assert!(number(smaps, "skipped") > 0.0, "{smaps}");
}

#[test]
fn an_exec_is_noticed_and_the_new_program_is_watched() {
    let dir = dir();
    let target = Target::start(&["exec", "1500"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "5s", "--every", "200ms"],
    );
    let events = report["events"].as_array().unwrap();
    assert_eq!(
        events
            .iter()
            .filter(|event| event["kind"] == "exec")
            .count(),
        1,
        "{events:?}"
    );
    let mib = account(&report, "anon") / MIB;
    assert!(
        (24.0..24.6).contains(&mib),
        "the new program's mappings: {mib}"
    );
    assert_eq!(report["target"]["cmdline"][0], "another");
}

#[test]
fn a_target_that_ends_is_reported_with_its_exit_code() {
    let dir = dir();
    let target = Target::start(&["exit", "1500", "7"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "30s", "--every", "200ms"],
    );
    assert_eq!(report["ended"]["how"], "exit", "{}", report["ended"]);
    assert_eq!(report["ended"]["code"], 7);
    assert!(number(&report, "recording/seconds") < 5.0);
    assert!(number(&report, "recording/samples") >= 4.0);
}

#[test]
fn a_target_that_a_signal_ends_is_reported_with_the_signal() {
    let dir = dir();
    let mut target = Target::start(&["layout"]);
    let pid = target.pid();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1500));
        target.0.kill().unwrap();
        // Reaped a little later, so that both the zombie and its end can be seen.
        std::thread::sleep(Duration::from_millis(500));
        target
    });
    let report = attach(dir.path(), &pid, &["--for", "30s", "--every", "200ms"]);
    assert_eq!(report["ended"]["how"], "signal", "{}", report["ended"]);
    assert_eq!(report["ended"]["signal"], 9);
    drop(killer.join().unwrap());
}

#[test]
fn a_target_that_dies_at_once_leaves_a_complete_recording() {
    let dir = dir();
    let target = Target::start(&["exit", "150", "0"]);
    let output = finish(
        memtide(dir.path()).args(["attach", &target.pid(), "--every", "50ms", "--json", "j"]),
        Duration::from_secs(20),
    );
    assert!(output.status.success(), "{}", support::err(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("ended after"),
        "the report says it ended: {text}"
    );
    let report = report(dir.path(), &recording_in(dir.path()));
    assert_eq!(report["ended"]["how"], "exit");
}

#[test]
fn names_that_are_no_text_are_shown_escaped_and_break_nothing() {
    let dir = dir();
    let files = tempfile::tempdir().unwrap();
    let target = Target::start(&["odd", files.path().to_str().unwrap()]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "1s", "--every", "200ms"],
    );
    assert_eq!(report["target"]["name"], "a) b\\x0a(\\xff");
    let mib = account(&report, "file") / MIB;
    assert!(
        (4.0..8.0).contains(&mib),
        "four files of 1 MiB each, and its own: {mib}"
    );
}

#[test]
fn two_samples_are_too_short_for_a_verdict() {
    let dir = dir();
    let target = Target::start(&["leak", "1048576"]);
    let report = attach(dir.path(), &target.pid(), &["--for", "1s", "--every", "1s"]);
    assert_eq!(report["verdict"]["kind"], "undetermined");
    let summary = report["verdict"]["summary"].as_str().unwrap();
    assert!(summary.contains("too short"), "{summary}");
    assert!(
        report["growth"]["rss_bytes_per_second"].is_null(),
        "{}",
        report["growth"]
    );
}

#[test]
fn ten_seconds_of_growth_are_too_early_for_the_word_leak() {
    let dir = dir();
    let target = Target::start(&["leak", "2097152"]);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "8s", "--every", "200ms"],
    );
    assert_eq!(report["verdict"]["kind"], "undetermined");
    let summary = report["verdict"]["summary"].as_str().unwrap();
    assert!(summary.contains("too early"), "{summary}");
}

/// The number is given to another process while the recorder is held: it must not be watched.
#[test]
fn a_reused_pid_is_another_process() {
    let last_pid = std::path::Path::new("/proc/sys/kernel/ns_last_pid");
    if !support::is_root() || !last_pid.exists() {
        println!("skipped: needs root and a kernel with CONFIG_CHECKPOINT_RESTORE");
        return;
    }
    let dir = dir();
    let mut target = Target::start(&["layout"]);
    let pid = target.0.id();
    let mut recorder = memtide(dir.path())
        .args([
            "attach",
            &pid.to_string(),
            "--every",
            "50ms",
            "-q",
            "-o",
            "r",
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let file = dir.path().join("r");
    support::until(Duration::from_secs(10), "a recording", || file.exists());
    // However busy the machine is: the first process has been seen before it goes.
    support::until(Duration::from_mins(1), "samples", || {
        // At first there is a file without a target, which is no recording yet.
        let output = memtide(dir.path())
            .args(["report", "r", "--json", "-"])
            .output()
            .expect("memtide can be run");
        let so_far: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let ledger = so_far["ledger"].as_array();
        // Mappings were read often enough for a start and an end.
        ledger.is_some_and(|rows| rows.iter().any(|row| row["account"] == "heap_live"))
    });
    let id = rustix::process::Pid::from_child(&recorder);
    rustix::process::kill_process(id, rustix::process::Signal::STOP).unwrap();
    target.0.kill().unwrap();
    target.0.wait().unwrap();
    // Others make processes, too: several tries until the number is ours again.
    let successor = (0..200).find_map(|_| {
        std::fs::write(last_pid, (pid - 1).to_string()).ok()?;
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        if child.id() == pid {
            return Some(child);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        None
    });
    rustix::process::kill_process(id, rustix::process::Signal::CONT).unwrap();
    support::wait(&mut recorder, Duration::from_secs(20));
    let Some(mut successor) = successor else {
        println!("skipped: the number {pid} was not given out again");
        return;
    };
    let report = report(dir.path(), &file);
    successor.kill().unwrap();
    successor.wait().unwrap();
    assert_eq!(report["target"]["name"], support::target_name());
    let events = report["events"].to_string();
    assert!(
        events.contains("pid_reused") && events.contains("now belongs to another process, sleep"),
        "{events}"
    );
    assert_ne!(report["ended"]["how"], "running");
    let heap = (account(&report, "heap_live") + account(&report, "heap_retained")) / MIB;
    assert!(
        (16.0..17.5).contains(&heap),
        "only the first process was watched: heap {heap} MiB"
    );
    let seen = number(&report, "heap/live_bytes") / MIB;
    assert!((16.0..17.5).contains(&seen), "and looked into: {seen} MiB");
}

/// A memory cgroup of version 1 with a limit, or none where this machine has no such hierarchy.
struct Limited(std::path::PathBuf);

impl Limited {
    fn new(bytes: u64) -> Option<Self> {
        let group = std::path::PathBuf::from("/sys/fs/cgroup/memory")
            .join(format!("memtide-test-{}", std::process::id()));
        let made = support::is_root()
            && std::fs::create_dir(&group).is_ok()
            && std::fs::write(group.join("memory.limit_in_bytes"), bytes.to_string()).is_ok();
        if !made {
            println!("skipped: needs root and a memory controller of version 1");
        }
        made.then_some(Self(group))
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn the_oom_killer_is_proven_by_its_control_group() {
    let Some(group) = Limited::new(32 << 20) else {
        return;
    };
    let dir = dir();
    let join = format!(
        "echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"",
        group.0.display()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &join]).arg(support::target_program());
    let target = Target::command(&["leak", "6291456"], &mut command);
    let report = attach(
        dir.path(),
        &target.pid(),
        &["--for", "60s", "--every", "100ms"],
    );
    assert_eq!(report["ended"]["how"], "oom", "{}", report["ended"]);
    assert_eq!(report["ended"]["oom"], "proven");
    assert_eq!(report["ended"]["signal"], 9);
    assert!(report["forecast"].is_null(), "{}", report["forecast"]);
    drop(target);
}
