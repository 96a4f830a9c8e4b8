//! Heaps that are damaged, processes that end or become another program in mid-read, targets that are short
//! of memory: nothing is lost but what is damaged, and no target is the worse for being looked at.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_inspect::{Error, ErrorKind, Inspector, Options};
use memtide_model::{HeapSnapshot, Pid};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Target, assert_equal, program, skip};

fn look(pid: Pid) -> Result<HeapSnapshot, Error> {
    Inspector::open(pid)?.snapshot(&Options::default())
}

// --- Damage ------------------------------------------------------------------------------------

/// The program has written past five of its blocks.
#[test]
fn five_smashed_headers_among_100_000_chunks() {
    let target = Target::books("smash 0 0");
    let snapshot = target.snapshot();
    let blocks = target.books.get("blocks") + target.books.get("caches");
    let lost = blocks.abs_diff(snapshot.totals.live_blocks);
    assert!(lost < 100, "{lost} of {blocks} blocks are lost");
    let quality = &snapshot.quality;
    assert!(quality.bad_headers >= 5, "five are bad: {quality:?}");
    assert!(
        quality.skipped.0 > 0,
        "what was skipped is counted: {quality:?}"
    );
    assert!(
        quality.skipped.0 < 100 * 208,
        "little was skipped: {quality:?}"
    );
}

// --- Doing no harm -----------------------------------------------------------------------------

/// Pages in memory, page tables and swap are what they were: pages that were never touched still are not.
#[test]
fn looking_changes_nothing() {
    let target = Target::books("frag 32 2");
    let sizes = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", target.pid().0)).unwrap();
        let rollup =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", target.pid().0)).unwrap();
        let wanted = [
            "VmPTE:",
            "VmSwap:",
            "VmSize:",
            "Rss:",
            "Anonymous:",
            "Private_Dirty:",
        ];
        let lines = status.lines().chain(rollup.lines());
        lines
            .filter(|line| wanted.iter().any(|key| line.starts_with(key)))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = sizes();
    assert!(before.len() > 4, "{before:?}");
    assert_equal("frag", &target.snapshot(), &target.books);
    assert_eq!(sizes(), before);
}

/// A target whose cgroup has hardly anything left lives on: nothing that is read is charged to it.
#[test]
fn a_target_near_the_limit_of_its_cgroup() {
    let Some(group) = MemoryGroup::make(160 << 20) else {
        return;
    };
    let start = format!(
        "echo $$ > '{}' && exec \"$0\" \"$@\"",
        group.processes().display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &start]).arg(program("books"));
    let target = Target::start(&mut command, "mix 128 0");
    // What is left to it is less than a walk would take in its name.
    group.limit(group.used() + (1 << 20));
    let before = group.used();
    assert_equal("near its limit", &target.snapshot(), &target.books);
    let grew = group.used().saturating_sub(before);
    assert!(grew < 256 << 10, "{grew} bytes were charged to the target");
    assert!(look(target.pid()).is_ok(), "the target lives");
}

/// A memory cgroup of its own; removed when this is dropped.
struct MemoryGroup {
    folder: PathBuf,
    limit: &'static str,
    used: &'static str,
}

impl MemoryGroup {
    fn make(limit: u64) -> Option<Self> {
        let name = format!("memtide-test-{}", std::process::id());
        for (root, limit_file, used) in [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ] {
            let group = Self {
                folder: Path::new(root).join(&name),
                limit: limit_file,
                used,
            };
            if std::fs::create_dir(&group.folder).is_err() {
                continue;
            }
            if std::fs::write(group.folder.join(limit_file), limit.to_string()).is_ok() {
                return Some(group);
            }
        }
        skip("a cgroup with a memory limit cannot be made here");
        None
    }

    fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    fn used(&self) -> u64 {
        let text = std::fs::read_to_string(self.folder.join(self.used)).unwrap();
        text.trim().parse().unwrap()
    }

    fn limit(&self, bytes: u64) {
        std::fs::write(self.folder.join(self.limit), bytes.to_string()).unwrap();
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Its process was killed just now; the kernel takes a moment to let go of it.
        let patience = Instant::now();
        while std::fs::remove_dir(&self.folder).is_err()
            && self.folder.exists()
            && patience.elapsed() < Duration::from_secs(5)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

// --- Processes that end ------------------------------------------------------------------------

#[test]
fn processes_that_are_no_more() {
    let mut target = Target::books("mix 8 0");
    let mut inspector = Inspector::open(target.pid()).unwrap();
    inspector.snapshot(&Options::default()).unwrap();
    target.kill();
    for failed in [
        inspector.snapshot(&Options::default()),
        look(target.pid()),
        look(Pid(u32::MAX >> 1)),
    ] {
        let error = failed.expect_err("there is no such process");
        assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    }
}

/// It is killed while its heap is read, again and again, at another moment each time.
#[test]
fn a_target_that_dies_in_mid_read() {
    let mut outcomes = [0, 0];
    for round in 0..12 {
        let mut target = Target::books("small 16 0");
        let mut inspector = Inspector::open(target.pid()).unwrap();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(2 * round));
            target.kill();
        });
        let patience = Instant::now();
        loop {
            match inspector.snapshot(&Options::default()) {
                Ok(_) => outcomes[0] += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Gone, "round {round}: {error}");
                    outcomes[1] += 1;
                    break;
                }
            }
            assert!(
                patience.elapsed() < Duration::from_secs(30),
                "it notices the death"
            );
        }
        killer.join().unwrap();
    }
    println!("{} snapshots, {} deaths", outcomes[0], outcomes[1]);
    assert_eq!(outcomes[1], 12);
}

/// It becomes another program while its heap is read; what is told is of one program or of none.
#[test]
fn a_target_that_execs_in_mid_read() {
    for round in 0..8 {
        let mut target = Target::books("small 16 0");
        let mut inspector = Inspector::open(target.pid()).unwrap();
        let full = inspector
            .snapshot(&Options::default())
            .unwrap()
            .totals
            .live_blocks;
        let answer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(3 * round));
            target.say(b'x');
            let books = target.answer();
            (target, books)
        });
        let patience = Instant::now();
        let gone_or_empty = loop {
            match inspector.snapshot(&Options::default()) {
                Ok(snapshot) if snapshot.totals.live_blocks == full => {}
                Ok(snapshot) => {
                    let blocks = snapshot.totals.live_blocks;
                    let is_doubted = !snapshot.quality.is_conclusive();
                    assert!(
                        blocks == 0 || is_doubted,
                        "round {round}: {blocks} of {full} blocks"
                    );
                    break "empty";
                }
                // In the middle of an exec there is no C library yet.
                Err(error) => {
                    let kind = error.kind();
                    assert!(
                        matches!(kind, ErrorKind::Gone | ErrorKind::NoHeap),
                        "round {round}: {error}"
                    );
                    break "gone";
                }
            }
            assert!(
                patience.elapsed() < Duration::from_secs(30),
                "it notices the exec"
            );
        };
        let (target, books) = answer.join().unwrap();
        println!("round {round}: {gone_or_empty}");
        assert_equal("the new program", &look(target.pid()).unwrap(), &books);
    }
}
