//! The processes below a program: who is there, who came and went, what grows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{err, finish, memtide, number};

const SOON: Duration = Duration::from_mins(1);
/// Three that stay, one of them a grandchild, and 200 that do not.
const SCRIPT: &str = r"
sleep 30 & a=$!; sleep 30 & b=$!
sh -c 'sleep 30 & echo $! > grandchild; wait' & c=$!
i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done
sleep 1; kill $a $b $c $(cat grandchild); exit 0
";

/// Runs the script under these options and gives the report and what was said.
fn ran(options: &[&str]) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command: Command = memtide(dir.path());
    command
        .args(["run", "-o", "r.memtide", "--every", "100ms"])
        .args(options)
        .args(["--", "/bin/sh", "-c", SCRIPT])
        .stdin(Stdio::null());
    let output = finish(&mut command, SOON);
    let report = support::report(dir.path(), &dir.path().join("r.memtide"));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    (report, err(&output))
}

#[test]
fn who_comes_and_goes_is_counted_by_the_kernels_records() {
    let (report, said) = ran(&[]);
    let tree = &report["tree"];
    if tree["engine"] == "poll" {
        println!("skipped: no engine here, {}", report["warnings"]);
        return;
    }
    let short = number(&report, "tree/short_lived");
    // A few may be met by a look; the script's own subshell is one more.
    assert!((120.0..=215.0).contains(&short), "{tree}");
    assert_eq!(tree["lost"], 0);
    assert!(number(&report, "tree/most_processes") >= 6.0, "{tree}");
    assert!(number(&report, "tree/rss_bytes") > 1e6, "{tree}");
    assert!(said.contains("came and went between two looks"), "{said}");
    let sleepers = (report["counts"].as_array().unwrap().iter())
        .find(|row| row["count"] == "processes" && row["group"] == "sleep");
    assert!(sleepers.is_some(), "{}", report["counts"]);
}

#[test]
fn polling_says_that_it_may_have_missed_some() {
    let (report, said) = ran(&["--engine", "poll"]);
    assert_eq!(report["tree"]["engine"], "poll");
    assert!(report["tree"]["short_lived"].is_null());
    assert!(number(&report, "tree/most_processes") >= 5.0);
    assert!(
        report["warnings"]
            .to_string()
            .contains("come and go between two looks"),
        "{said}"
    );
}

#[test]
fn without_children_nobody_looks_and_an_unknown_engine_is_refused() {
    let (report, _) = ran(&["--children=no"]);
    assert!(report["tree"].is_null() && report["processes"].is_null());
    let dir = tempfile::tempdir().unwrap();
    let mut command = memtide(dir.path());
    let output = finish(
        command.args(["run", "--engine", "guess", "--", "true"]),
        SOON,
    );
    assert_eq!(output.status.code(), Some(125));
    for engine in ["side-band", "connector", "ptrace", "poll"] {
        assert!(err(&output).contains(engine), "{}", err(&output));
    }
}

#[test]
fn attach_follows_the_children_of_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let script = "while :; do sleep 0.2; done & while :; do /bin/true; sleep 0.02; done";
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let pid = child.id().to_string();
    let mut command = memtide(dir.path());
    let options = [
        "attach",
        &pid,
        "--children",
        "--for",
        "3s",
        "--every",
        "100ms",
        "--json",
        "-",
    ];
    let output = finish(command.args(options), SOON);
    // Its child ends with it: a process group of theirs would be the test's, too.
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for kin in children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
    {
        let kin = rustix::process::Pid::from_raw(kin).unwrap();
        let _ = rustix::process::kill_process(kin, rustix::process::Signal::KILL);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        number(&report, "tree/processes") >= 2.0,
        "{}",
        report["tree"]
    );
    if report["tree"]["engine"] != "poll" {
        assert!(
            number(&report, "tree/short_lived") > 10.0,
            "{}",
            report["tree"]
        );
    }
}

#[test]
fn two_engines_see_the_same_storm() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = memtide(dir.path());
    let output = finish(
        command.args(["doctor", "--engines", "--forks", "2000"]),
        SOON,
    );
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    for engine in ["side-band", "connector", "ptrace", "poll"] {
        assert!(said.contains(engine), "{said}");
    }
    if said.contains("There are no two to compare") {
        println!("skipped: {said}");
        return;
    }
    assert!(said.contains("Both saw the same tree"), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}{}", err(&output));
}
