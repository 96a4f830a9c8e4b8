//! `memtide run --timeout`: the program ends, and with it all that it has started, whatever session or second
//! fork that hides behind; and without it nobody is ended, only named.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{err, finish, memtide, until, wait};

const SOON: Duration = Duration::from_mins(1);

/// A daemon that ignores SIGTERM, in a session of its own and orphaned at once; a child that heeds it; and the
/// program, which heeds it, too.
const STUBBORN: &str = r#"
setsid sh -c 'trap "" TERM; echo $$ > stubborn; while :; do sleep 0.05; done' &
sh -c '(sh -c "echo \$\$ > orphan; while :; do sleep 0.05; done" &)'
sh -c 'echo $$ > child; while :; do sleep 0.05; done' &
while :; do sleep 0.05; done
"#;

fn run(dir: &Path, options: &[&str], script: &str) -> Command {
    let mut command = memtide(dir);
    command
        .args(["run", "-o", "r.memtide", "--every", "100ms"])
        .args(options)
        .args(["--", "/bin/sh", "-c", script]);
    command
}

fn pid_in(file: &Path) -> Pid {
    let mut pid = None;
    until(SOON, "a pid to be written", || {
        pid = fs::read_to_string(file)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .and_then(|text| Pid::from_raw(text.trim().parse().unwrap()));
        pid.is_some()
    });
    pid.unwrap()
}

fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn events(dir: &Path) -> String {
    support::report(dir, &dir.join("r.memtide"))["events"].to_string()
}

#[test]
fn everybody_ends_with_the_program_and_who_ignored_the_signal_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let limits = ["--timeout", "2s", "--kill-after", "1s"];
    let output = finish(&mut run(dir.path(), &limits, STUBBORN), SOON);
    assert_eq!(output.status.code(), Some(124), "{}", err(&output));
    assert!(started.elapsed() < Duration::from_secs(20));
    for name in ["stubborn", "orphan", "child"] {
        let pid = pid_in(&dir.path().join(name));
        assert!(!runs(pid), "{name} to have ended: {}", err(&output));
    }
    let stubborn = pid_in(&dir.path().join("stubborn")).as_raw_nonzero();
    let killed = format!("pid {stubborn} (sh) did not end when asked and was killed");
    assert!(err(&output).contains(&killed), "{}", err(&output));
    let events = events(dir.path());
    assert!(
        events.contains("time is up: SIGTERM was sent to"),
        "{events}"
    );
    assert!(events.contains(&killed), "{events}");
}

#[test]
fn a_signal_to_memtide_ends_everybody_where_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = run(dir.path(), &["--kill-after", "1s"], STUBBORN);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let all = ["stubborn", "orphan", "child"].map(|name| pid_in(&dir.path().join(name)));
    let memtide = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(memtide, Signal::TERM).unwrap();
    let status = wait(&mut child, SOON);
    assert_eq!(
        status.code(),
        Some(143),
        "as the program, which SIGTERM ended"
    );
    for pid in all {
        assert!(!runs(pid), "{pid:?} to have ended");
    }
}

#[test]
fn a_key_of_the_terminal_ends_those_who_do_not_hear_it_too() {
    for signal in [Signal::INT, Signal::QUIT] {
        let dir = tempfile::tempdir().unwrap();
        // No terminal sends it here, so nobody is taken to have heard it.
        let script = "setsid sh -c 'echo $$ > daemon; exec sleep 60' & \
                      trap 'sleep 0.3; echo > clean; exit 7' INT QUIT; echo $$ > program; \
                      while :; do sleep 0.05; done";
        // Who runs these tests in the background of a script has the keys ignored, and all that is started here, too.
        let watched = run(dir.path(), &["--kill-after", "5s"], script);
        let mut command = Command::new("env");
        command
            .arg("--default-signal=INT,QUIT")
            .arg(watched.get_program())
            .args(watched.get_args())
            .current_dir(dir.path())
            .stdin(Stdio::null());
        let said = fs::File::create(dir.path().join("said")).unwrap();
        let mut child = command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        let daemon = pid_in(&dir.path().join("daemon"));
        pid_in(&dir.path().join("program"));
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process_group(group, signal).unwrap();
        let status = wait(&mut child, SOON);
        let said = fs::read_to_string(dir.path().join("said")).unwrap();
        assert!(!runs(daemon), "{signal:?}: {said}");
        assert!(status.code().is_some(), "{status:?}: {said}");
    }
}

/// Who heeds SIGTERM, and who does not and is waited for: a second signal ends the wait.
#[test]
fn a_second_signal_kills_at_once_who_is_waited_for_after_the_programs_end() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"setsid sh -c 'trap "" TERM; echo $$ > stubborn; while :; do sleep 0.05; done' &
        echo $$ > program; exec sleep 60"#;
    let mut command = run(dir.path(), &["--kill-after", "50s"], script);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let [stubborn, program] = ["stubborn", "program"].map(|name| pid_in(&dir.path().join(name)));
    let memtide = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(memtide, Signal::TERM).unwrap();
    until(SOON, "the program to end", || !runs(program));
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(stubborn) && child.try_wait().unwrap().is_none());
    kill_process(memtide, Signal::TERM).unwrap();
    let status = wait(&mut child, Duration::from_secs(20));
    assert_eq!(status.code(), Some(143));
    assert!(!runs(stubborn));
    let killed = format!(
        "pid {} (sh) did not end when asked and was killed",
        stubborn.as_raw_nonzero()
    );
    assert!(events(dir.path()).contains(&killed));
}

#[test]
fn who_is_left_of_a_program_that_ends_is_named_and_runs_on() {
    let dir = tempfile::tempdir().unwrap();
    let script = "setsid sh -c 'echo $$ > left; exec sleep 60' & sleep 0.5; exit 5";
    let output = leaving(dir.path(), script);
    assert_eq!(output.status.code(), Some(5), "{}", err(&output));
    let left = pid_in(&dir.path().join("left"));
    let ran = runs(left);
    kill_process(left, Signal::KILL).unwrap();
    assert!(ran, "nobody asked for its end: {}", err(&output));
    let number = left.as_raw_nonzero();
    for word in [
        "1 process that it started still runs".to_owned(),
        format!("`kill {number}`"),
        format!("pid {number} (sleep)"),
    ] {
        assert!(err(&output).contains(&word), "{word}: {}", err(&output));
        assert!(events(dir.path()).contains(&word), "{word}");
    }
}

/// Standard error goes to a file: who is left holds it open.
fn leaving(dir: &Path, script: &str) -> Output {
    let said = fs::File::create(dir.join("said")).unwrap();
    let mut command = run(dir, &[], script);
    let mut child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
    let status = wait(&mut child, SOON);
    Output {
        status,
        stdout: Vec::new(),
        stderr: fs::read(dir.join("said")).unwrap(),
    }
}

#[test]
fn orphans_are_collected_with_their_exit_states() {
    let dir = tempfile::tempdir().unwrap();
    let script = "(sh -c 'sleep 0.3; exit 3' &) ; (sh -c 'sleep 0.3; kill -9 $$' &) ; (sleep 0.3 &) ; sleep 2";
    let output = finish(&mut run(dir.path(), &[], script), SOON);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let events = events(dir.path());
    for word in [
        "whose parent had ended, ended with exit code 3",
        "whose parent had ended, was ended by signal 9",
        "3 processes lost their parent and ended; 2 of them not with exit code 0",
    ] {
        assert!(events.contains(word), "{word}: {events}");
    }
}

#[test]
fn two_limits_at_once_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = finish(
        &mut run(dir.path(), &["--timeout", "2s", "--for", "2s"], "true"),
        SOON,
    );
    assert_eq!(output.status.code(), Some(125));
    assert!(err(&output).contains("--for"), "{}", err(&output));
}
