//! What a reader of `memtide ps` sees: from censuses built by hand to text, JSON and the snapshot file.

use memtide_analyzer::processes::{Look, Settings, Watch};
use memtide_model::{
    Bytes, Census, KernelObject, Machine, Nanos, ObjectKind, Pid, ProcessId, ProcessState,
    ProcessesReport, StartTime,
};
use memtide_report::processes::{
    Sections, SnapshotError, block, json, read_snapshot, snapshot_text, text,
};
use memtide_report::terminal::Options;

fn process(pid: u32, parent: u32, session: i64, name: &str) -> ProcessState {
    ProcessState {
        ppid: Pid(parent),
        pgid: session,
        sid: session,
        uid: Some(1000),
        name: name.to_owned(),
        cmdline: vec![
            format!("/usr/bin/{name}"),
            "--config=/etc/日本/".to_owned() + &"x".repeat(90),
        ],
        age: Nanos::from_secs(7200),
        rss: Bytes(3 << 20),
        ..ProcessState::of(ProcessId {
            pid: Pid(pid),
            start: StartTime(pid.into()),
        })
    }
}

/// A server with zombies, a stopped process in a namespace of its own, workers that look alike, a daemon.
fn census(second: u64) -> Census {
    let mut processes = vec![
        process(1, 0, 1, "init"),
        process(500, 1, 500, "bash"),
        process(600, 500, 500, "server"),
        ProcessState {
            state: 'T',
            inner_pid: Some(Pid(7)),
            ..process(610, 500, 500, "paused")
        },
        process(901, 1, 900, "agent"),
    ];
    processes.extend((700..720).map(|pid| ProcessState {
        state: 'Z',
        cmdline: Vec::new(),
        rss: Bytes(0),
        ..process(pid, 600, 500, "child")
    }));
    processes.extend((800..810).map(|pid| process(pid, 600, 500, "worker")));
    processes.sort_by_key(|process| process.id.pid);
    Census {
        at: Nanos::from_secs(100 + second),
        wall_ns: 1_700_000_000_000_000_000 + second.cast_signed() * 1_000_000_000,
        boot_id: "a".to_owned(),
        processes,
        objects: Some(vec![KernelObject {
            kind: ObjectKind::PosixQueue,
            name: "/orders\u{1b}[2J".to_owned(),
            key: None,
            uid: 1000,
            creator: None,
            bytes: Bytes(4096),
            count: None,
            holders: Vec::new(),
            doomed: false,
            changed: None,
        }]),
        machine: Some(Machine {
            total: Some(Bytes(8 << 30)),
            available: Some(Bytes(5 << 30)),
            free_blocks: vec![900, 30, 2, 0, 0, 0],
            ..Machine::default()
        }),
        unseen: vec![
            "3 processes did not let this user see what they hold; sudo memtide ps".to_owned(),
        ],
        ..Census::default()
    }
}

fn watch() -> Watch {
    let mut watch = Watch::new(Settings {
        own: Pid(99_999),
        own_uid: 1000,
        older: None,
        expectations: Vec::new(),
    });
    for second in 0..2 {
        watch.look(Look {
            census: census(second),
            matches: Vec::new(),
            judged: None,
        });
    }
    watch
}

fn options(width: usize) -> Options {
    Options {
        width,
        ..Options::default()
    }
}

const ALL: Sections = Sections {
    tree: true,
    growth: true,
    objects: true,
};

fn columns(line: &str) -> usize {
    // Wide characters take two columns; the only ones here are of the CJK block.
    line.chars()
        .map(|c| {
            if ('\u{4e00}'..='\u{9fff}').contains(&c) {
                2
            } else {
                1
            }
        })
        .sum()
}

#[test]
fn the_text_says_what_is_wrong_first_and_what_would_end_it() {
    let shown = text(&watch().report(), Sections::default(), &options(80));
    let place = |words: &str| {
        shown
            .find(words)
            .unwrap_or_else(|| panic!("{words:?} in:\n{shown}"))
    };
    let order = [
        "20 zombies: server (pid 600) does not reap its children",
        "looked 2 times in 1.0 s from 2023-11-14 22:13:20 UTC",
        "for at least 1.0 s",
        "pids 700-719",
        "    kill -CHLD 600\n",
        "1 process is stopped: paused",
        "610 (7)",
        "    kill -CONT 610\n",
        "What may be as it should",
        "1 process may be a daemon or an orphan: agent",
        "The machine",
        "8.00 GiB, 5.00 GiB available",
        "no free block of 64 KiB",
        "What could not be seen",
        "sudo memtide ps",
    ];
    for pair in order.windows(2) {
        assert!(place(pair[0]) < place(pair[1]), "{pair:?} in:\n{shown}");
    }
}

#[test]
fn every_line_but_commands_fits_and_command_lines_lose_their_middle() {
    let report = watch().report();
    for width in [50, 60, 80, 120] {
        let shown = text(&report, ALL, &options(width));
        for line in shown.lines().filter(|line| !line.starts_with("    ")) {
            assert!(columns(line) <= width, "{width}: {line:?}");
            assert!(!line.ends_with(' '), "{line:?}");
        }
        assert!(shown.contains('…'), "{shown}");
        assert!(
            !shown.contains('\u{1b}'),
            "a name must not move the cursor:\n{shown}"
        );
        let told = block(&report, &options(width));
        assert!(told.lines().all(|line| columns(line) <= width), "{told}");
    }
}

#[test]
fn the_tree_sums_and_puts_together_what_is_alike() {
    let shown = text(&watch().report(), ALL, &options(120));
    assert!(
        shown.contains("10 × [worker]") && shown.contains("20 × [child]"),
        "{shown}"
    );
    assert!(shown.contains("RSS, which counts shared pages"), "{shown}");
    // The server and its ten workers, 3 MiB each.
    let server = shown
        .lines()
        .rfind(|line| line.contains("/usr/bin/server"))
        .unwrap();
    assert!(server.contains("33.0 MiB"), "{server}");
}

#[test]
fn the_json_has_the_keys_of_the_schema() {
    let written: serde_json::Value = serde_json::from_str(&json(&watch().report())).unwrap();
    assert_eq!(written["schema"], "memtide.report/1");
    for unknown in [
        "target", "verdict", "growth", "stacks", "threads", "heap", "leaks", "forecast",
    ] {
        assert!(
            written.get(unknown).is_some_and(serde_json::Value::is_null),
            "{unknown}"
        );
    }
    let row = written["processes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["pid"] == 700)
        .unwrap();
    assert_eq!(row["role"], "zombie");
    assert_eq!(
        (&row["state"], &row["ppid"], &row["sid"]),
        (&"Z".into(), &600.into(), &500.into())
    );
    let back: ProcessesReport = serde_json::from_value(written).unwrap();
    assert_eq!(back, watch().report());
}

#[test]
fn a_snapshot_comes_back_as_it_was_and_others_are_refused() {
    let kept = watch().snapshot().unwrap();
    let written = snapshot_text(&kept);
    assert_eq!(read_snapshot(&written).unwrap(), kept);
    for part in ["", "{}", "[1]", &written[..written.len() / 2]] {
        assert!(
            matches!(read_snapshot(part), Err(SnapshotError::NotASnapshot(_))),
            "{part:.20}"
        );
    }
    let later = written.replacen("memtide.census/1", "memtide.census/2", 1);
    assert!(
        matches!(read_snapshot(&later), Err(SnapshotError::Schema(schema)) if schema == "memtide.census/2")
    );
}
