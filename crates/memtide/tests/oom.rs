//! A process that the kernel kills for want of memory: the verdict says so, proven, with the kernel's numbers.
//!
//! The control group is this test's own, of 64 MiB, with one leaking process in it. It needs root, a memory
//! controller (version 1 or 2) and `vm.panic_on_oom` of 0; without them it skips, and says why.
//! `MEMTIDE_LONG` asks for 20 kills in place of 3.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use support::{finish, is_root, memtide};

const LIMIT: u64 = 64 << 20;
const SOON: Duration = Duration::from_mins(1);

/// Waits for a line, then takes a MiB each so many microseconds until the end.
const LEAK: &str = r"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char line[8];
    if (!fgets(line, sizeof line, stdin)) return 2;
    for (;;) { char *p = malloc(1 << 20); memset(p, 1, 1 << 20); usleep(atoi(argv[1])); }
}
";

/// A memory control group, removed when dropped.
struct Group {
    directory: PathBuf,
    name: String,
}

impl Group {
    /// Makes one with [`LIMIT`], or says why there can be none.
    fn new(tag: &str) -> Result<Self, String> {
        if !is_root() {
            return Err("it needs root".to_owned());
        }
        let panics = fs::read_to_string("/proc/sys/vm/panic_on_oom").unwrap_or_default();
        if panics.trim() != "0" {
            return Err("vm.panic_on_oom is not 0".to_owned());
        }
        let name = format!("memtide-test-{tag}-{}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let v2 = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(v2.join("cgroup.subtree_control")).unwrap_or_default();
        let (root, limits) = if v1.join("memory.limit_in_bytes").exists() {
            (v1, ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"])
        } else if controllers.split_whitespace().any(|one| one == "memory") {
            (v2, ["memory.max", "memory.swap.max"])
        } else {
            return Err("there is no memory controller".to_owned());
        };
        let group = Self {
            directory: root.join(&name),
            name,
        };
        fs::create_dir(&group.directory)
            .map_err(|error| format!("no group can be made: {error}"))?;
        for file in limits {
            let limit = if file == "memory.swap.max" { 0 } else { LIMIT };
            let written = fs::write(group.directory.join(file), limit.to_string());
            // Kernels without accounting of swap lack the second file.
            match written {
                Err(error) if file == limits[0] => {
                    return Err(format!("{file} cannot be written: {error}"));
                }
                _ => {}
            }
        }
        Ok(group)
    }

    fn procs(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// A leaking process in the group, which waits for a line; a MiB each `pause` microseconds.
    fn leaking(&self, pause: u32) -> Child {
        let child = Command::new(leak())
            .arg(pause.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(self.procs(), child.id().to_string()).unwrap();
        child
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Who has just been killed leaves the group a moment later.
        let until = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.directory).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn leak() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (source, program) = (folder.join("oom-leak.c"), folder.join("oom-leak"));
        fs::write(&source, LEAK).unwrap();
        let cc = Command::new("cc")
            .args(["-O1", "-o"])
            .arg(&program)
            .arg(&source)
            .status();
        assert!(cc.expect("a C compiler called cc is installed").success());
        program
    })
}

/// One kill at a time: each is a hundred lines in the log of the machine.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn group(tag: &str) -> Option<Group> {
    Group::new(tag)
        .inspect_err(|why| println!("skipped: {why}"))
        .ok()
}

fn reads_kernel_log() -> bool {
    fs::File::open("/dev/kmsg").is_ok()
}

/// Watches the process to its end and gives the report.
fn watch(folder: &Path, mut child: Child, options: &[&str]) -> Value {
    let file = folder.join("r.memtide");
    let _ = fs::remove_file(&file);
    let mut input = child.stdin.take().unwrap();
    let starter = std::thread::spawn({
        let file = file.clone();
        move || {
            // It leaks from when it is watched.
            let until = Instant::now() + SOON;
            while !file.exists() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(100));
            let _ = input.write_all(b"go\n");
            input
        }
    });
    let output = finish(
        memtide(folder)
            .args(["attach", &child.id().to_string(), "-o", "r.memtide"])
            .args(options),
        SOON,
    );
    drop(starter.join().unwrap());
    let status = child.wait().unwrap();
    assert!(output.status.success(), "{}", support::err(&output));
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "it was killed"
    );
    support::report(folder, &file)
}

fn texts<'r>(report: &'r Value, kind: &str) -> Vec<&'r str> {
    let events = report["events"].as_array().unwrap().iter();
    events
        .filter(|event| event["kind"] == kind)
        .map(|event| event["text"].as_str().unwrap())
        .collect()
}

#[test]
fn a_kill_in_a_group_is_proven_with_the_kernels_numbers() {
    let _alone = alone();
    let Some(group) = group("kill") else { return };
    let folder = tempfile::tempdir().unwrap();
    let times = if std::env::var_os("MEMTIDE_LONG").is_some() {
        20
    } else {
        3
    };
    let mut proven = 0;
    for time in 0..times {
        let report = watch(folder.path(), group.leaking(2_000), &["--every", "50ms"]);
        let ended = (&report["ended"]["how"], &report["ended"]["oom"]);
        println!("kill {}: {ended:?}", time + 1);
        proven += u32::from(ended.0 == "oom" && ended.1 == "proven");
        let told = texts(&report, "oom").join("\n");
        if reads_kernel_log() {
            let words = [
                format!("(pid {}, uid 0)", report["target"]["pid"]),
                format!(
                    "the limit of 64.0 MiB of control group /{} was reached",
                    group.name
                ),
                "oom-leak itself asked for memory".to_owned(),
            ];
            for word in words {
                assert!(told.contains(&word), "{word:?} is not in: {told}");
            }
        }
        let evidence = report["verdict"]["evidence"].as_array().unwrap();
        let death = evidence.iter().find(|one| {
            one["fact"]
                .as_str()
                .unwrap()
                .starts_with("When it was seen last")
        });
        let Some(death) = death else {
            panic!(
                "what it held at its death is told: {ended:?}, {evidence:?}, {}",
                report["events"]
            );
        };
        let held = death["value"].as_f64().unwrap();
        assert!(held > 1e6 && held <= 1.1 * 67_108_864.0, "{held}");
    }
    println!("proven {proven} of {times}");
    assert_eq!(proven, times);
}

#[test]
fn the_kernels_record_alone_is_proof_where_the_group_was_changed() {
    let _alone = alone();
    let Some(group) = group("record") else { return };
    if !reads_kernel_log() {
        println!("skipped: /dev/kmsg may not be read");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // memtide has looked at the group that the shell was started in.
    let script = format!(
        "sleep 0.3; echo $$ > {}; echo go | exec {} 2000",
        group.procs().display(),
        leak().display()
    );
    let script = script.replace("echo go | exec", "exec < go; exec");
    fs::write(folder.path().join("go"), "go\n").unwrap();
    let output = finish(
        memtide(folder.path()).args([
            "run",
            "-o",
            "r.memtide",
            "--every",
            "50ms",
            "--",
            "sh",
            "-c",
            &script,
        ]),
        SOON,
    );
    assert_eq!(
        output.status.code(),
        Some(128 + 9),
        "{}",
        support::err(&output)
    );
    let report = support::report(folder.path(), &folder.path().join("r.memtide"));
    assert_eq!(report["ended"]["oom"], "proven", "{}", report["events"]);
    let told = texts(&report, "oom").join("\n");
    assert!(
        told.contains(&format!("control group /{}", group.name)),
        "{told}"
    );
}

/// What is said of a SIGKILL that the kernel's log does not know of.
fn kernels_log_denies() -> &'static str {
    let names_pids = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let is_readable = std::fs::File::open("/dev/kmsg").is_ok();
    if is_readable && names_pids.as_os_str() == "pid:[4026531836]" {
        "no"
    } else {
        "unknown"
    }
}

#[test]
fn sigkill_by_somebody_is_no_oom_kill() {
    let _alone = alone();
    let Some(group) = group("other") else { return };
    let folder = tempfile::tempdir().unwrap();
    let child = group.leaking(1_000_000);
    let pid = rustix::process::Pid::from_child(&child);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    });
    let report = watch(folder.path(), child, &["--every", "100ms"]);
    killer.join().unwrap();
    assert_eq!(
        (&report["ended"]["how"], &report["ended"]["oom"]),
        (&"signal".into(), &kernels_log_denies().into())
    );
}

#[test]
fn snapshots_are_taken_before_it_is_too_late() {
    let _alone = alone();
    let Some(group) = group("marks") else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "--every",
        "100ms",
        "--near-limit",
        "50%",
        "--on-growth",
        "16MiB",
    ];
    let report = watch(folder.path(), group.leaking(40_000), &options);
    let told = texts(&report, "snapshot");
    let near = told
        .iter()
        .filter(|text| text.starts_with("--near-limit: "))
        .count();
    let grown = told
        .iter()
        .filter(|text| text.starts_with("--on-growth: RSS is "))
        .count();
    assert_eq!(near, 1, "usage only rose: {told:?}");
    assert!(
        (2..=4).contains(&grown),
        "64 MiB hold 16 MiB three or four times: {told:?}"
    );
    assert_eq!(report["ended"]["oom"], "proven");
    // Above 85 % ticks come each 100 ms as before; the heap was looked at after it had grown.
    assert!(
        report["heap"]["live_bytes"].as_u64().unwrap() > 16 << 20,
        "{}",
        report["heap"]
    );
}
