//! Ends of processes, seen through pidfds: children, and a process that is nobody's child here.
#![expect(
    clippy::unwrap_used,
    reason = "in helpers of tests a panic is the failure"
)]

mod common;

use common::{Target, wait_until};
use memtide_model::Pid;
use memtide_proc::{ErrorKind, ExitStatus, PidFd};
use rustix::process::{Signal, kill_process};
use std::io::{BufRead as _, BufReader, Write as _};

/// Whether this kernel notes how processes ended (Linux 6.15); says so when it does not.
fn notes_exits() -> bool {
    let own = PidFd::open(Pid(std::process::id())).unwrap();
    assert!(!own.has_ended().unwrap(), "this test runs");
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut parts = release
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < (6, 15) {
        eprintln!("skipped: Linux {release} does not tell how a process ended");
        return false;
    }
    assert_eq!(own.exit_status().unwrap(), None, "this test runs");
    true
}

fn how_it_ended(pidfd: &PidFd) -> ExitStatus {
    wait_until("the kernel notes the end", || {
        pidfd.exit_status().unwrap().is_some()
    });
    pidfd.exit_status().unwrap().unwrap()
}

#[test]
fn a_child_that_exits_with_seven() {
    let noted = notes_exits();
    let mut target = Target::start(&["name"]);
    let pidfd = PidFd::open(target.pid).unwrap();
    assert!(!pidfd.has_ended().unwrap());
    target.tell("exit 7");
    wait_until("the child has ended", || pidfd.has_ended().unwrap());
    if noted {
        assert_eq!(
            pidfd.exit_status().unwrap(),
            None,
            "it is a zombie, not reaped yet"
        );
    }
    assert_eq!(target.child().wait().unwrap().code(), Some(7));
    assert!(pidfd.has_ended().unwrap());
    if noted {
        assert_eq!(how_it_ended(&pidfd), ExitStatus::Code(7));
    }
}

#[test]
fn a_child_that_gets_sigterm() {
    let noted = notes_exits();
    let mut target = Target::start(&["name"]);
    let pidfd = PidFd::open(target.pid).unwrap();
    let pid = rustix::process::Pid::from_child(target.child());
    kill_process(pid, Signal::TERM).unwrap();
    target.child().wait().unwrap();
    wait_until("the child has ended", || pidfd.has_ended().unwrap());
    if noted {
        let expected = ExitStatus::Signal {
            signal: 15,
            core: false,
        };
        assert_eq!(how_it_ended(&pidfd), expected);
    }
}

#[test]
fn a_process_that_is_not_our_child() {
    let noted = notes_exits();
    // A shell is its parent, and reaps it. A background job has no input of its own but a copy.
    let mut shell = std::process::Command::new("sh")
        .args([
            "-c",
            "exec 3<&0; sh -c 'read line <&3; exit 9' & echo $!; wait; read line",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pidfd = PidFd::open(Pid(line.trim().parse().unwrap())).unwrap();
    assert!(!pidfd.has_ended().unwrap());
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"go\n").unwrap();
    wait_until("it has ended", || pidfd.has_ended().unwrap());
    if noted {
        assert_eq!(how_it_ended(&pidfd), ExitStatus::Code(9));
    }
    drop(input);
    shell.wait().unwrap();
}

#[test]
fn there_is_none_of_a_number_that_is_not_taken() {
    for pid in [0, u32::MAX, 0x7fff_ffff] {
        let error = PidFd::open(Pid(pid)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone, "{pid}: {error}");
    }
}
