//! The processes below a program: who is there, who came and went, what grows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
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

/// Five daemons of a double fork; who forked each is written beside.
const DAEMONS: &str = r"
while ! [ -e go ]; do sleep 0.05; done
for i in 1 2 3 4 5; do (sh -c 'echo $PPID' > parent$i; setsid sh -c 'echo $$ > daemon$1; exec sleep 60' x $i &); done
sleep 60
";

/// The daemons and who forked them, as they wrote it.
fn daemons(dir: &Path) -> Vec<(u64, u64)> {
    let written = |name: String| {
        let mut number = None;
        support::until(SOON, &name, || {
            let text = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
            number = text.strip_suffix('\n').and_then(|text| text.parse().ok());
            number.is_some()
        });
        number.unwrap()
    };
    let all = 1..=5;
    all.map(|i| (written(format!("daemon{i}")), written(format!("parent{i}"))))
        .collect()
}

fn end(pids: impl IntoIterator<Item = u64>) {
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Each daemon has its row, as an orphan of the very process that forked it.
fn assert_rows(report: &Value, daemons: &[(u64, u64)]) {
    let rows = report["processes"].as_array().unwrap();
    for (daemon, parent) in daemons {
        let row = rows.iter().find(|row| row["pid"] == *daemon);
        let row = row.unwrap_or_else(|| panic!("{daemon} is not in {rows:?}"));
        assert_eq!(
            (&row["ppid"], &row["role"]),
            (&(*parent).into(), &"orphan".into()),
            "{row}"
        );
    }
    assert_eq!(report["tree"]["orphans"], 5, "{}", report["tree"]);
    assert!(
        number(report, "tree/processes") >= 7.0,
        "{}",
        report["tree"]
    );
}

#[test]
fn orphans_that_run_on_belong_to_the_tree_of_who_is_attached_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", DAEMONS])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let mut command = memtide(dir.path());
    command.args([
        "attach",
        &pid,
        "--children",
        "--for",
        "6s",
        "--every",
        "200ms",
    ]);
    command.args(["-o", "r.memtide", "--json", "-"]);
    let watching = std::thread::spawn(move || finish(&mut command, SOON));
    support::until(SOON, "the recording", || {
        dir.path().join("r.memtide").exists()
    });
    std::thread::sleep(Duration::from_secs(1));
    std::fs::write(dir.path().join("go"), "").unwrap();
    let daemons = daemons(dir.path());
    let output = watching.join().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    end(children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok()));
    end(daemons.iter().map(|(daemon, _)| *daemon));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    if report["tree"]["engine"] == "poll" {
        println!("skipped: no engine here, {}", report["warnings"]);
        return;
    }
    assert_rows(&report, &daemons);
}

#[test]
fn orphans_of_a_program_have_the_parent_that_forked_them_and_the_ended_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("touch go; {}", DAEMONS.replace("\nsleep 60", "\nsleep 3"));
    let mut command = memtide(dir.path());
    command
        .args(["run", "-o", "r.memtide", "--every", "100ms"])
        .args(["--kill-after", "5s", "--", "/bin/sh", "-c", &script])
        .stdin(Stdio::null());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let daemons = daemons(dir.path());
    let status = support::wait(&mut child, SOON);
    end(daemons.iter().map(|(daemon, _)| *daemon));
    assert!(status.success());
    let report = support::report(dir.path(), &dir.path().join("r.memtide"));
    if report["tree"]["engine"] == "poll" {
        println!("skipped: no engine here, {}", report["warnings"]);
        return;
    }
    assert_rows(&report, &daemons);
    // Ten short-lived shells: five that wrote who forks, five that forked.
    let events = report["events"].to_string();
    assert!(
        events.contains("below it ended while watched: "),
        "{events}"
    );
    assert!(events.contains(" sh by pid "), "{events}");
}

/// Without perf and netlink, as where both are forbidden, and as a user, runs what follows. A filter that root
/// installs leaves setuid programs their privileges.
const FORBIDDEN: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int c, char **v) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_perf_event_open, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 16, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return perror("seccomp"), 99;
    unsigned user = atoi(v[1]);
    if (setgroups(0, NULL) || setresgid(user, user, user)) return perror("group"), 99;
    if (setresuid(user, user, user)) return perror("user"), 99;
    execv(v[2], v + 2);
    return perror(v[2]), 99;
}
"#;

/// A folder for everybody, with a compiled program in it.
fn compiled(dir: &Path, name: &str, source: &str, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    let file = dir.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.arg("-o").arg(dir.join(name)).arg(&file);
    assert!(compiler.status().unwrap().success(), "{name} compiles");
    std::fs::set_permissions(dir.join(name), mode).unwrap();
}

/// Runs a setuid program that says who it is as this user and under these options, where perf is forbidden; what it
/// said, and the engine.
fn forbidden(user: &str, options: &[&str]) -> (Output, String) {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), all).unwrap();
    compiled(dir.path(), "forbidden", FORBIDDEN, 0o755);
    let who = "#include <stdio.h>\n#include <unistd.h>\n\
               int main(void) { usleep(300000); return printf(\"uid %d\\n\", geteuid()) < 0; }";
    compiled(dir.path(), "who", who, 0o4755);
    // The program under test may lie where nobody may look.
    std::fs::copy(env!("CARGO_BIN_EXE_memtide"), dir.path().join("memtide")).unwrap();
    let mut command = Command::new("./forbidden");
    command
        .current_dir(dir.path())
        .args([
            user,
            "./memtide",
            "run",
            "-o",
            "r.memtide",
            "--every",
            "100ms",
        ])
        .args(options)
        .args(["--", "/bin/sh", "-c", "./who; exit 0"])
        .stdin(Stdio::null());
    let output = finish(&mut command, SOON);
    let report = support::report(dir.path(), &dir.path().join("r.memtide"));
    let engine = report["tree"]["engine"].as_str().unwrap_or_default();
    (output, engine.to_owned())
}

#[test]
fn where_perf_is_forbidden_setuid_programs_keep_their_privileges_and_it_is_said() {
    if !support::is_root() {
        println!("skipped: only root can make a setuid program");
        return;
    }
    let (output, engine) = forbidden("65534", &[]);
    let said = err(&output);
    assert_eq!(engine, "poll", "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "uid 0\n", "{said}");
    for word in ["come and go between two looks", "--engine ptrace"] {
        assert!(said.contains(word), "{said}");
    }
    // What is said of ptrace is true.
    let (traced, engine) = forbidden("65534", &["--engine", "ptrace"]);
    let said = err(&traced);
    assert_eq!(engine, "ptrace", "{said}");
    assert_eq!(
        String::from_utf8_lossy(&traced.stdout),
        "uid 65534\n",
        "{said}"
    );
    // Root has nothing to lose by it.
    let (by_root, engine) = forbidden("0", &[]);
    let said = err(&by_root);
    assert_eq!(engine, "ptrace", "{said}");
    assert!(said.contains("forks are followed by ptrace"), "{said}");
    assert_eq!(
        String::from_utf8_lossy(&by_root.stdout),
        "uid 0\n",
        "{said}"
    );
}

#[test]
fn children_that_pile_up_are_named_by_a_plain_attach() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "i=0; while :; do sleep 120 & sleep 0.25; done"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let report = support::attach(dir.path(), &pid, &["--for", "25s", "--every", "250ms"]);
    child.kill().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    end(children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok()));
    child.wait().unwrap();
    let verdict = &report["verdict"];
    assert_eq!(verdict["kind"], "process_leak", "{verdict:#}");
    let summary = verdict["summary"].as_str().unwrap();
    assert!(summary.contains(", mostly sleep (+"), "{summary}");
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
