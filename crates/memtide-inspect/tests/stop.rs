//! A process is held and let go: no thread is missed, no signal lost, and it always goes on.
#![allow(clippy::indexing_slicing, reason = "tests")]

mod program;

use memtide_inspect::ErrorKind;
use memtide_inspect::stop::hold;
use memtide_model::Pid;
use nix::sys::ptrace;
use program::{Running, folder, source, tool, until};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Far beyond what a busy machine takes to stop eight threads.
const LONG: Duration = Duration::from_mins(1);

/// The words of the page that `busy_threads.c` counts in.
const READY: usize = 0;
const SENT: usize = 1;
const GOT: usize = 2;
const SENT_USR1: usize = 3;
const GOT_USR1: usize = 4;
const DONE: usize = 5;
const CHURNED: usize = 6;
const COUNTED: usize = 8;

struct Busy {
    running: Running,
    page: PathBuf,
    threads: usize,
}

impl Busy {
    fn start(test: &str, threads: usize, signals: usize, mode: &str) -> Self {
        let folder = folder(test);
        let program = source("busy_threads.c");
        let program = program.to_str().expect("a plain path");
        tool("gcc", &["-O2", "-pthread", "-o", "busy", program], &folder);
        let page = folder.join("page");
        let _ = std::fs::remove_file(&page);
        let running = Running::start(
            Command::new(folder.join("busy"))
                .arg(&page)
                .args([threads.to_string(), signals.to_string()])
                .arg(mode),
        );
        let busy = Self {
            running,
            page,
            threads,
        };
        until("all threads count", || busy.word(READY) > threads as u64);
        busy
    }

    fn pid(&self) -> Pid {
        self.running.pid()
    }

    fn words(&self) -> Vec<u64> {
        // Before the program has made the page there is none.
        let bytes = std::fs::read(&self.page).unwrap_or_default();
        let words = bytes.as_chunks().0.iter();
        let mut words: Vec<u64> = words.map(|word| u64::from_le_bytes(*word)).collect();
        words.resize(512, 0);
        words
    }

    fn word(&self, index: usize) -> u64 {
        self.words()[index]
    }

    fn counted(&self) -> Vec<u64> {
        self.words()[COUNTED..COUNTED + self.threads].to_vec()
    }

    /// Waits until every thread has counted on.
    fn goes_on(&self) {
        let before = self.counted();
        until("every thread counts on", || {
            self.counted()
                .iter()
                .zip(&before)
                .all(|(now, then)| now > then)
        });
    }

    fn states(&self) -> String {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid().0)).expect("it is there");
        let states = tasks.filter_map(|task| {
            let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
            let (_, state) = status.split_once("State:\t")?;
            state.chars().next()
        });
        states.collect()
    }

    fn signal(&self, name: &str) {
        tool(
            "kill",
            &[name, &self.pid().0.to_string()],
            &std::env::temp_dir(),
        );
    }
}

#[test]
fn eight_busy_threads_stand_still_and_go_on() {
    let busy = Busy::start("stop_still", 8, 0, "plain");
    for _ in 0..5 {
        let held = hold(busy.pid(), LONG).unwrap();
        assert_eq!(held.threads(), 9, "the main thread and eight that count");
        assert_eq!(busy.states(), "ttttttttt");
        let before = busy.counted();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(busy.counted(), before, "nobody counts while held");
        let release = held.release();
        assert!(release.in_time);
        assert!(release.held.0 >= 30_000_000, "{release:?}");
        busy.goes_on();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", busy.pid().0)).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
}

#[test]
fn no_signal_is_lost() {
    let busy = Busy::start("stop_signals", 8, 4_000, "plain");
    let mut holds = 0;
    until("all signals are sent", || {
        drop(hold(busy.pid(), LONG).unwrap());
        holds += 1;
        busy.word(DONE) == 1
    });
    assert!(holds >= 5, "only {holds} holds while signals came");
    assert_eq!(busy.word(SENT), 4_000);
    assert_eq!(busy.word(SENT_USR1), 400);
    until("every signal arrives", || {
        (busy.word(GOT), busy.word(GOT_USR1)) == (4_000, 400)
    });
    busy.goes_on();
}

#[test]
fn the_watchdog_lets_go_though_the_holder_sleeps() {
    let busy = Busy::start("stop_watchdog", 4, 0, "plain");
    let limit = Duration::from_secs(2);
    let held = hold(busy.pid(), limit).unwrap();
    busy.goes_on();
    let release = held.release();
    assert!(!release.in_time);
    assert!(
        (2_000_000_000..10_000_000_000).contains(&release.held.0),
        "{release:?}"
    );
    // One that is forgotten, as by a thread that panics in a bad place.
    std::mem::forget(hold(busy.pid(), limit).unwrap());
    assert!(!busy.states().contains('R'), "{}", busy.states());
    busy.goes_on();
}

#[test]
fn a_target_that_is_killed_while_held_ends() {
    let mut busy = Busy::start("stop_killed", 4, 0, "plain");
    let held = hold(busy.pid(), LONG).unwrap();
    busy.signal("-KILL");
    held.release();
    let status = busy.running.child.wait().unwrap();
    assert_eq!(status.signal(), Some(9));
    let error = hold(busy.pid(), LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
}

/// Not a test: the process that [`a_target_goes_on_when_its_holder_is_killed`] starts and kills.
#[test]
fn holder() {
    let Ok(pid) = std::env::var("MEMTIDE_TEST_HOLDS") else {
        return;
    };
    let _held = hold(Pid(pid.parse().unwrap()), LONG).unwrap();
    println!("\nholding");
    std::thread::sleep(LONG);
}

#[test]
fn a_target_goes_on_when_its_holder_is_killed() {
    let busy = Busy::start("stop_orphan", 4, 1_000, "plain");
    let mut kills = 0;
    until("all signals are sent", || {
        let mut holder = Running::start(
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "holder", "--nocapture"])
                .env("MEMTIDE_TEST_HOLDS", busy.pid().0.to_string()),
        );
        until("it holds", || holder.line() == "holding");
        assert!(!busy.states().contains('R'), "{}", busy.states());
        drop(holder);
        busy.goes_on();
        kills += 1;
        kills >= 5 && busy.word(DONE) == 1
    });
    until("every signal arrives", || {
        (busy.word(GOT), busy.word(GOT_USR1)) == (1_000, 100)
    });
}

#[test]
fn what_is_debugged_is_left_alone() {
    let busy = Busy::start("stop_debugged", 2, 0, "plain");
    let raw = nix::unistd::Pid::from_raw(i32::try_from(busy.pid().0).unwrap());
    // A tracer is a thread: with its end the kernel lets go.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ptrace::seize(raw, ptrace::Options::empty()).unwrap();
            let error = hold(busy.pid(), LONG).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied);
            let expected = format!(
                "process {} is being debugged by PID {} (TracerPid): end that first, or inspect it \
                 without --stop",
                busy.pid().0,
                nix::unistd::gettid()
            );
            assert_eq!(error.to_string(), expected);
        });
    });
    busy.goes_on();
    until("the debugger has let go", || hold(busy.pid(), LONG).is_ok());
}

#[test]
fn what_was_stopped_stays_stopped() {
    let busy = Busy::start("stop_stopped", 4, 0, "plain");
    busy.signal("-STOP");
    until("it is stopped", || busy.states() == "TTTTT");
    assert_eq!(hold(busy.pid(), LONG).unwrap().threads(), 5);
    until("it is stopped again", || busy.states() == "TTTTT");
    let before = busy.counted();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(busy.counted(), before);

    let held = hold(busy.pid(), LONG).unwrap();
    busy.signal("-CONT");
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(busy.counted(), before, "it is held, whoever continues it");
    drop(held);
    busy.goes_on();
}

#[test]
fn threads_that_come_and_go_are_held() {
    let busy = Busy::start("stop_churn", 2, 0, "churn");
    until("threads come and go", || busy.word(CHURNED) > 100);
    for _ in 0..100 {
        let held = hold(busy.pid(), LONG).unwrap();
        assert!(held.threads() >= 4);
        let before = (busy.word(CHURNED), busy.counted());
        assert!(busy.states().chars().all(|state| "tZX".contains(state)));
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!((busy.word(CHURNED), busy.counted()), before);
    }
    let churned = busy.word(CHURNED);
    until("threads come and go again", || busy.word(CHURNED) > churned);
}

#[test]
fn a_thread_that_cannot_stop_ends_the_attempt() {
    let busy = Busy::start("stop_vfork", 2, 0, "vfork");
    until("a thread waits in vfork", || busy.states().contains('D'));
    let error = hold(busy.pid(), Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(
        error.to_string().contains("did not stop in time (state D)"),
        "{error}"
    );
    busy.goes_on();
}

/// An exec waits for the end of all other threads, and a tracer for the end of the exec.
#[test]
fn a_target_that_execs_all_the_time_is_held_and_goes_on() {
    let folder = folder("stop_execs");
    let text = source("execs.c");
    let text = text.to_str().expect("a plain path");
    tool("gcc", &["-O2", "-pthread", "-o", "execs", text], &folder);
    let running = Running::start(Command::new(folder.join("execs")).arg("0"));
    let execs = || -> u64 {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", running.pid().0)).unwrap();
        let number = line.split('\0').nth(1).unwrap_or_default();
        number.parse().unwrap_or(0)
    };
    let mut holds = 0;
    until("it execs, and is held in between", || {
        match hold(running.pid(), LONG) {
            Ok(held) => {
                let before = execs();
                std::thread::sleep(Duration::from_millis(5));
                assert_eq!(execs(), before, "it stands still");
                assert!(held.release().in_time);
                holds += 1;
            }
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
        holds >= 100 && execs() >= 30
    });
    let before = execs();
    until("it execs on", || execs() > before + 2);
}

#[test]
fn a_process_whose_main_thread_has_ended_is_held() {
    let busy = Busy::start("stop_leaderless", 3, 0, "leaderless");
    until("its main thread has ended", || busy.states().contains('Z'));
    let held = hold(busy.pid(), LONG).unwrap();
    assert_eq!(held.threads(), 3);
    let before = busy.counted();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(busy.counted(), before);
    drop(held);
    busy.goes_on();
}
