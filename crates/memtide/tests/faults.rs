//! Wrong input and faults: one line that says what to do, exit code 2, and nothing lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Target, err, failure, finish, is_root, memtide, recording_in, report, wait};

const SOON: Duration = Duration::from_secs(20);

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Some tests become another user who must be able to write here.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// Runs memtide and returns its one line of complaint, which must hold all of `words`.
fn complains(dir: &Path, arguments: &[&str], words: &[&str]) {
    let output = finish(memtide(dir).args(arguments), SOON);
    says(&failure(&output), words);
}

fn says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
}

#[test]
fn wrong_input_is_answered_with_one_line() {
    let dir = dir();
    let own = std::process::id().to_string();
    // Above the highest pid_max of any kernel.
    complains(
        dir.path(),
        &["attach", "4194305"],
        &["no process has pid 4194305", "ps -e"],
    );
    complains(
        dir.path(),
        &["attach", "nonsense"],
        &["not a process id", "--name"],
    );
    complains(
        dir.path(),
        &["attach", &own, "--every", "0s"],
        &["--every", "1ms"],
    );
    complains(
        dir.path(),
        &["attach", &own, "--for", "1s", "--every", "1m"],
        &["--for"],
    );
    complains(
        dir.path(),
        &["attach", &own, "--budget", "0"],
        &["--budget"],
    );
    complains(
        dir.path(),
        &["attach", "--name", "no such program x1y2"],
        &["no process"],
    );
    complains(
        dir.path(),
        &["attach", "--name", "("],
        &["regular expression"],
    );
    complains(
        dir.path(),
        &["attach", &own, "--html", "/nonexistent/r.html"],
        &["cannot write"],
    );
    complains(
        dir.path(),
        &["attach", &own, "-o", "/nonexistent/r.memtide"],
        &["/nonexistent"],
    );
    complains(
        dir.path(),
        &["report", "absent.memtide"],
        &["absent.memtide"],
    );
    // clap's own: exit 2, too.
    let output = finish(
        memtide(dir.path()).args(["attach", &own, "--every", "0"]),
        SOON,
    );
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("--every"));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was left behind"
    );
}

#[test]
fn what_is_no_recording_is_called_what_it_is() {
    let dir = dir();
    let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    write("empty.memtide", b"");
    write("text.memtide", b"hello, this is a text\n");
    complains(
        dir.path(),
        &["report", "empty.memtide"],
        &["empty.memtide", "empty"],
    );
    complains(dir.path(), &["report", "text.memtide"], &["text.memtide"]);
    complains(dir.path(), &["report", "."], &["."]);

    let target = Target::start(&["layout"]);
    support::attach(
        dir.path(),
        &target.pid(),
        &["--for", "2s", "--every", "100ms", "-o", "r"],
    );
    let whole = fs::read(dir.path().join("r")).unwrap();
    write("cut.memtide", &whole[..whole.len() / 2]);
    complains(dir.path(), &["report", "cut.memtide"], &["cut.memtide"]);
    // The user version stands at byte 60 of an SQLite file (its format, section 1.3).
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    write("newer.memtide", &newer);
    complains(dir.path(), &["report", "newer.memtide"], &["newer", "9999"]);
    // A file that exists is not written over.
    complains(
        dir.path(),
        &["attach", &target.pid(), "-o", "r"],
        &["r", "exists"],
    );
    assert_eq!(fs::read(dir.path().join("r")).unwrap(), whole);
}

#[test]
fn a_kernel_thread_and_a_zombie_are_no_targets() {
    let dir = dir();
    if fs::read("/proc/2/comm").is_ok_and(|comm| comm == b"kthreadd\n") {
        complains(dir.path(), &["attach", "2"], &["kernel thread", "slabtop"]);
    } else {
        println!("skipped: this is a container without kernel threads");
    }
    let mut child = Command::new("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    support::until(SOON, "a zombie", || {
        fs::read_to_string(&stat).unwrap().contains(") Z ")
    });
    complains(
        dir.path(),
        &["attach", &child.id().to_string()],
        &["zombie", "parent"],
    );
    child.wait().unwrap();
}

/// memtide as a user without rights.
fn as_nobody(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_memtide"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

/// True where this test can become nobody and still reach the program.
fn can_be_nobody(dir: &Path) -> bool {
    let can = is_root()
        && as_nobody(dir, &["--version"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !can {
        println!("skipped: needs root, setpriv, and a program that nobody may run");
    }
    can
}

#[test]
fn another_users_process_needs_rights_and_the_line_says_which() {
    let dir = dir();
    if !can_be_nobody(dir.path()) {
        return;
    }
    let target = Target::start(&["layout"]);
    let output = finish(&mut as_nobody(dir.path(), &["attach", &target.pid()]), SOON);
    says(&failure(&output), &["belongs to uid 0", "sudo"]);
    let output = finish(&mut as_nobody(dir.path(), &["doctor", &target.pid()]), SOON);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    says(&text, &["denied", "cap_sys_ptrace", "sudo"]);
}

#[test]
fn a_process_that_hides_from_its_own_user_is_watched_with_what_is_left() {
    let dir = dir();
    if !can_be_nobody(dir.path()) {
        return;
    }
    let program = dir.path().join("target");
    fs::copy(support::target_program(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program);
    let target = Target::command(&["hide"], &mut command);
    let arguments = [
        "attach",
        &target.pid(),
        "--for",
        "2s",
        "--every",
        "200ms",
        "--json",
        "-",
    ];
    let output = finish(&mut as_nobody(dir.path(), &arguments), SOON);
    assert!(output.status.success(), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("unreadable"), "{warnings}");
    assert!(support::number(&report, "recording/samples") >= 8.0);
}

#[test]
fn hidepid_is_told_from_a_process_that_is_not_there() {
    let dir = dir();
    if !can_be_nobody(dir.path()) {
        return;
    }
    let target = Target::start(&["layout"]);
    // A mount of its own in a namespace of its own: this machine's /proc stays as it is.
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 \
         --clear-groups {} attach {}",
        env!("CARGO_BIN_EXE_memtide"),
        target.pid()
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .current_dir(dir.path());
    let output = finish(&mut command, SOON);
    if err(&output).contains("mount:") || err(&output).contains("unshare:") {
        println!("skipped: this machine lets nobody mount: {}", err(&output));
        return;
    }
    says(&failure(&output), &["hidepid", "sudo"]);
}

#[test]
fn an_unwritable_directory_is_refused_before_anything_is_watched() {
    let dir = dir();
    if !can_be_nobody(dir.path()) {
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = support::target_program();
    let copy = dir.path().join("target");
    fs::copy(program, &copy).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy);
    let target = Target::command(&["layout"], &mut command);
    let output = finish(&mut as_nobody(dir.path(), &["attach", &target.pid()]), SOON);
    says(&failure(&output), &["-o"]);
}

/// A tmpfs of `kib`, or none where this test may not mount.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(kib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={kib}k,mode=777");
        let mounted = is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "memtide-test"])
                .arg(dir.path())
                .status()
                .is_ok_and(|status| status.success());
        if !mounted {
            println!("skipped: a small tmpfs needs root and mount(8)");
        }
        mounted.then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_loses_nothing() {
    let Some(small) = Small::mount(400) else {
        return;
    };
    let target = Target::start(&["leak", "8388608"]);
    let output = finish(
        memtide(small.0.path()).args(["attach", &target.pid(), "--every", "2ms", "-q"]),
        Duration::from_mins(1),
    );
    let line = failure(&output);
    says(&line, &["the recording ended early", "room"]);
    let file = recording_in(small.0.path());
    let found = report(small.0.path(), &file);
    assert!(
        support::number(&found, "recording/samples") > 20.0,
        "{}",
        found["recording"]
    );
}

#[test]
fn a_full_disk_does_not_end_a_program_that_memtide_started() {
    let Some(small) = Small::mount(400) else {
        return;
    };
    let dir = dir();
    let (recording, witness) = (small.0.path().join("r"), dir.path().join("witness"));
    let script = format!("sleep 6; touch {}; exit 7", witness.display());
    let mut command = memtide(dir.path());
    command.args(["run", "-q", "--every", "1ms", "--heap", "full", "-o"]);
    let output = finish(
        command.arg(&recording).args(["--", "sh", "-c", &script]),
        Duration::from_mins(1),
    );
    assert_eq!(output.status.code(), Some(7), "{}", err(&output));
    assert!(witness.exists(), "it ran to its own end");
    let told = err(&output);
    says(
        &told,
        &["the program runs on", "the recording ended early", "room"],
    );
    let found = report(small.0.path(), &recording);
    assert!(support::number(&found, "recording/samples") > 20.0);
}

#[test]
fn a_full_disk_leaves_no_half_of_a_page() {
    let Some(small) = Small::mount(64) else {
        return;
    };
    let dir = dir();
    let target = Target::start(&["layout"]);
    support::attach(
        dir.path(),
        &target.pid(),
        &["--for", "2s", "--every", "100ms", "-o", "r"],
    );
    let page = small.0.path().join("r.html");
    let png = small.0.path().join("r.png");
    fs::write(small.0.path().join("filler"), vec![0_u8; 60 << 10]).unwrap();
    for (flag, path) in [("--html", &page), ("--png", &png)] {
        let output = finish(
            memtide(dir.path()).args(["report", "r", flag]).arg(path),
            SOON,
        );
        says(&failure(&output), &["cannot write"]);
        assert!(!path.exists(), "{} was left half written", path.display());
    }
}

#[test]
fn signals_end_a_recording_with_its_verdict() {
    for signal in [
        rustix::process::Signal::INT,
        rustix::process::Signal::TERM,
        rustix::process::Signal::HUP,
    ] {
        let dir = dir();
        let target = Target::start(&["layout"]);
        let mut child = memtide(dir.path())
            .args(["attach", &target.pid(), "--every", "50ms"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        support::until(SOON, "a recording", || {
            fs::read_dir(dir.path()).unwrap().count() > 0
        });
        std::thread::sleep(Duration::from_millis(600));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(wait(&mut child, SOON).code(), Some(0), "{signal:?}");
        let found = report(dir.path(), &recording_in(dir.path()));
        assert!(
            found["events"].to_string().contains("recording ended by"),
            "{}",
            found["events"]
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "one file, no side files"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = dir();
    let target = Target::start(&["layout"]);
    let mut child = memtide(dir.path())
        .args(["attach", &target.pid(), "--for", "1s", "--every", "100ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Both ends are closed before anything is printed, as by a terminal that is gone.
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(wait(&mut child, SOON).code(), Some(0));
    report(dir.path(), &recording_in(dir.path()));
}

#[test]
fn a_recorder_that_is_killed_leaves_a_file_that_opens_and_is_up_to_date() {
    let target = Target::start(&["leak", "1048576"]);
    let rounds = if std::env::var_os("MEMTIDE_LONG").is_some() {
        50
    } else {
        15
    };
    for round in 0..rounds {
        let dir = dir();
        let mut child = memtide(dir.path())
            .args(["attach", &target.pid(), "--every", "20ms", "-q"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        support::until(SOON, "a recording", || {
            fs::read_dir(dir.path()).unwrap().count() > 0
        });
        // Different moments of the ticks in different rounds.
        std::thread::sleep(Duration::from_millis(300 + 37 * round % 500));
        child.kill().unwrap();
        let killed = boottime();
        child.wait().unwrap();
        let file = recording_in(dir.path());
        let found = report(dir.path(), &file);
        assert!(
            support::number(&found, "recording/samples") >= 5.0,
            "round {round}"
        );
        let last = last_sample(&file);
        let age = killed - last;
        // Two ticks of 20 ms, and what a busy machine may hold a process up.
        assert!(
            age < 0.040 + 0.3,
            "round {round}: the last sample is {age} s old"
        );
    }
}

fn boottime() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The last tick's time, as sqlite3 reads it.
fn last_sample(file: &Path) -> f64 {
    let output = Command::new("sqlite3")
        .arg(file)
        .arg("select max(boottime_ns) / 1e9 from tick")
        .output()
        .expect("sqlite3 is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{text:?}: {}", err(&output)))
}

#[test]
fn a_password_on_the_command_line_is_private_and_can_be_hidden() {
    let dir = dir();
    let secret = "hunter2-and-a-half";
    let target = Target::start(&["layout", &format!("--password={secret}")]);
    support::attach(
        dir.path(),
        &target.pid(),
        &["--for", "1s", "--every", "200ms", "-o", "open"],
    );
    let open = dir.path().join("open");
    assert_eq!(
        fs::metadata(&open).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        holds(&open, secret),
        "without --redact the command line is recorded"
    );

    let hidden = ["--for", "1s", "--every", "200ms", "--redact"];
    let outputs = [
        "-o", "hidden", "--html", "h.html", "--png", "p.png", "--json", "j.json",
    ];
    let output = finish(
        memtide(dir.path())
            .args(["attach", &target.pid()])
            .args(hidden)
            .args(outputs),
        SOON,
    );
    assert!(output.status.success(), "{}", err(&output));
    for name in ["hidden", "h.html", "p.png", "j.json"] {
        assert!(
            !holds(&dir.path().join(name), secret),
            "{name} holds the secret"
        );
    }
    let printed = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&printed).contains(secret));

    // A recording that holds it can be reported without it.
    let output = finish(
        memtide(dir.path()).args(["report", "open", "--redact", "--json", "-"]),
        SOON,
    );
    assert!(output.status.success());
    assert!(!String::from_utf8_lossy(&output.stdout).contains(secret));
}

fn holds(file: &Path, secret: &str) -> bool {
    let content = fs::read(file).unwrap();
    content
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}
