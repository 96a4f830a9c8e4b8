//! Loads, groups of processes, and what a program used until its end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_launch::service::{Load, LoadEnd};
use memtide_launch::{Launch, Launched, inspect_program, resolve};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::compile;

const LONG: Duration = Duration::from_secs(30);

fn ended(load: &mut Load) -> LoadEnd {
    let since = Instant::now();
    loop {
        if let Some(end) = load.poll().unwrap() {
            return end;
        }
        assert!(since.elapsed() < LONG, "the load does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn shell(script: &str) -> Launched {
    let program = inspect_program(&resolve(OsStr::new("sh")).unwrap()).unwrap();
    let mut launch = Launch::new("sh", ["-c", script]);
    launch.own_group().silent().spawn(&program).unwrap()
}

/// The number that a script writes, once it has.
fn number_in(path: &Path) -> u32 {
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if let Some(number) = text.strip_suffix('\n') {
            return number.parse().unwrap();
        }
        assert!(since.elapsed() < LONG, "nothing in {}", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a process runs no longer; its zombie may be left to whoever adopted it.
fn is_gone(pid: u32) -> bool {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        if state.is_empty() || state.starts_with('Z') {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn a_load_ends_with_its_code_its_output_and_its_time() {
    let mut load =
        Load::start("echo out; echo err >&2; sleep 0.3; echo rate 12.5; exit 7").unwrap();
    assert_eq!(load.poll().unwrap(), None);
    // Seen late, and yet ended when it did.
    std::thread::sleep(Duration::from_secs(1));
    let end = ended(&mut load);
    assert_eq!(
        (end.exit, end.output.as_slice()),
        (7, &b"out\nerr\nrate 12.5\n"[..])
    );
    assert!((0.3..0.9).contains(&end.seconds), "{}", end.seconds);
    assert_eq!(load.poll().unwrap(), Some(end));
    let mut load = Load::start("kill -9 $$").unwrap();
    assert_eq!(ended(&mut load).exit, 137);
    let mut load = Load::start("no-such-command-x1y2").unwrap();
    let end = ended(&mut load);
    assert_eq!(end.exit, 127);
    assert!(String::from_utf8_lossy(&end.output).contains("no-such-command-x1y2"));
}

#[test]
fn of_much_output_the_end_is_kept_and_nobody_waits_for_it_to_be_read() {
    let mut load = Load::start("head -c 20000000 /dev/zero | tr '\\0' x; echo END").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let end = ended(&mut load);
    assert_eq!(end.exit, 0);
    assert_eq!(end.output.len(), 1 << 20);
    assert!(end.output.ends_with(b"xxEND\n") && end.output.starts_with(b"xx"));
}

#[test]
fn what_a_load_leaves_behind_is_ended_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let noted = dir.path().join("pid");
    let script = format!(
        "sleep 300 & echo $! > {0}.tmp; mv {0}.tmp {0}; exit 3",
        noted.display()
    );
    let mut load = Load::start(&script).unwrap();
    let end = ended(&mut load);
    assert_eq!(end.exit, 3);
    assert!(end.seconds < 10.0);
    assert!(is_gone(number_in(&noted)));
}

#[test]
fn a_load_is_stopped_gently_then_not_so_and_when_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let noted = dir.path().join("up");
    let note = format!("echo $$ > {0}.tmp; mv {0}.tmp {0}", noted.display());
    let mut gentle = Load::start(&format!(
        "trap 'echo bye; exit 5' TERM; {note}; while :; do sleep 0.1; done"
    ))
    .unwrap();
    number_in(&noted);
    gentle.stop();
    let end = gentle.poll().unwrap().unwrap();
    assert_eq!((end.exit, end.output.ends_with(b"bye\n")), (5, true));
    fs::remove_file(&noted).unwrap();
    let mut deaf = Load::start(&format!(
        "trap '' TERM; {note}; while :; do sleep 0.1; done"
    ))
    .unwrap();
    number_in(&noted);
    let since = Instant::now();
    deaf.stop();
    assert_eq!(deaf.poll().unwrap().unwrap().exit, 137);
    assert!((2.0..8.0).contains(&since.elapsed().as_secs_f64()));
    let dropped = Load::start("sleep 300").unwrap();
    let pid = dropped.pid();
    drop(dropped);
    assert!(is_gone(pid));
}

#[test]
fn all_of_a_group_is_stopped_and_who_does_not_listen_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let noted = dir.path().join("pid");
    let note = format!("echo $! > {0}.tmp; mv {0}.tmp {0}", noted.display());
    // The first ends when it is asked, its child does not.
    let mut launched = shell(&format!(
        "(trap '' TERM; while :; do sleep 0.1; done) & {note}; exec sleep 300"
    ));
    let child = number_in(&noted);
    std::thread::sleep(Duration::from_millis(100));
    let stopped = launched
        .stop(Signal::TERM, Duration::from_millis(500))
        .unwrap();
    assert_eq!((stopped.ending.signal(), stopped.killed), (Some(15), true));
    assert!(is_gone(child));
    // Again: the same answer, and nobody is signalled.
    assert_eq!(
        launched.stop(Signal::KILL, LONG).unwrap().ending,
        stopped.ending
    );
    let mut willing = shell("sleep 300 & wait");
    std::thread::sleep(Duration::from_millis(100));
    let since = Instant::now();
    let stopped = willing.stop(Signal::TERM, LONG).unwrap();
    assert!(
        !stopped.killed && since.elapsed() < Duration::from_secs(10),
        "{stopped:?}"
    );
    let mut deaf = shell("trap '' TERM; while :; do sleep 0.1; done");
    std::thread::sleep(Duration::from_millis(200));
    let stopped = deaf.stop(Signal::TERM, Duration::from_millis(300)).unwrap();
    assert_eq!((stopped.ending.signal(), stopped.killed), (Some(9), true));
}

#[test]
fn a_group_is_killed_when_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let noted = dir.path().join("pid");
    let script = format!(
        "sleep 300 & echo $! > {0}.tmp; mv {0}.tmp {0}; wait",
        noted.display()
    );
    let launched = shell(&script);
    let (leader, child) = (launched.pid(), number_in(&noted));
    drop(launched);
    assert!(is_gone(leader) && is_gone(child));
}

/// Works in itself and in a child that it waits for, and says what the kernel told it of its own time.
const WORKS: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void burn(double seconds, int pages) {
    volatile char *memory = malloc(pages * 4096L);
    for (long i = 0; i < pages; i++) memory[i * 4096] = 1;
    while (clock() < seconds * CLOCKS_PER_SEC) {}
}
static double seconds(struct timeval at) { return at.tv_sec + at.tv_usec / 1e6; }
int main(void) {
    if (fork() == 0) { burn(0.15, 2000); _exit(0); }
    burn(0.25, 10000);
    wait(0);
    struct rusage own, child;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &child);
    printf("%f %ld", seconds(own.ru_utime) + seconds(own.ru_stime) + seconds(child.ru_utime)
        + seconds(child.ru_stime), own.ru_minflt + child.ru_minflt);
    return 0;
}
"#;

#[test]
fn usage_is_what_the_program_itself_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = compile(WORKS, &dir.path().join("works"), &["-O1"]);
    let program = inspect_program(&path).unwrap();
    // Others are reaped meanwhile: none of theirs is counted here.
    let others: Vec<Load> = (0..3)
        .map(|_| Load::start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").unwrap())
        .collect();
    let said = dir.path().join("said");
    let mut launch = Launch::new(&path, [""; 0]);
    launch.output_to(fs::File::create(&said).unwrap());
    let mut launched = launch.spawn(&program).unwrap();
    assert_eq!(launched.wait_with_usage(Duration::ZERO).unwrap(), None);
    let (ending, usage) = launched.wait_with_usage(LONG).unwrap().unwrap();
    assert_eq!(ending.exit_code(), 0);
    drop(others);
    let said = fs::read_to_string(&said).unwrap();
    let (cpu, faults) = said.split_once(' ').unwrap();
    let (cpu, faults): (f64, u64) = (cpu.parse().unwrap(), faults.parse().unwrap());
    // What it was told is without its last moments.
    let more = usage.cpu.as_secs_f64() - cpu;
    assert!((-0.001..0.02).contains(&more), "{usage:?} against {said}");
    assert!(
        (faults..faults + 200).contains(&usage.minor_faults),
        "{usage:?} against {said}"
    );
    assert!(usage.minor_faults > 12_000 && cpu > 0.39, "{usage:?}");
    assert_eq!(
        launched.wait_with_usage(Duration::ZERO).unwrap(),
        Some((ending, usage))
    );
}
