//! What goes wrong around the shim is the recording's loss and never the program's: kills, full disks, folders
//! that are not there, limits, filters of system calls, many stacks, mappings and processes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shim_support;

use memtide_region::layout::COUNT_SCALE;
use memtide_region::{Counters, Kind, State};
use shim_support::run::{Done, Heap, Run, allocators, region_paths};
use shim_support::stacks::{Region, Symbols};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const BOTH: [Heap; 2] = [Heap::Full, Heap::Sampled(4096)];

fn faults() -> PathBuf {
    shim_support::target("faults.cpp", "faults", &[])
}

fn oracle() -> PathBuf {
    shim_support::target("oracle.cpp", "oracle", &[])
}

fn output(done: &Done) -> String {
    assert!(done.output.status.success(), "{:?}", done.output);
    String::from_utf8(done.output.stdout.clone()).unwrap()
}

/// Runs a mode of the target with and without; the output must be the same. Gives the run with the shim.
fn same(heap: Heap, arguments: &[&str]) -> Done {
    let run = |mut run: Run| {
        run.command.args(arguments);
        run.finish()
    };
    let plain = run(Run::plain(&faults()));
    let done = run(Run::shimmed(&faults(), heap));
    assert_eq!(output(&done), output(&plain), "{heap:?} {arguments:?}");
    done
}

/// Kinds of moments: while everything is being set up, and at work with four threads.
#[test]
fn a_kill_leaves_a_region_that_can_be_read() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut decoded = 0;
    for point in 0..50_u32 {
        // A sequence without pattern (xorshift): up to 12 ms from the start, or up to 40 ms from "ready".
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let early = point % 5 == 0;
        let wait = Duration::from_micros(state % if early { 12_000 } else { 40_000 });
        let heap = BOTH[point as usize % 2];
        decoded += killed_after(heap, early, wait);
    }
    assert!(decoded >= 40, "{decoded} regions");
}

/// How many regions could be read.
fn killed_after(heap: Heap, early: bool, wait: Duration) -> usize {
    let run = Run::shimmed(&oracle(), heap);
    let mut run = run.arg("endless").arg("40000").arg("3").arg("1").arg("4");
    run.command.env_remove("RUST_BACKTRACE");
    let (mut child, folder) = run.start();
    if !early {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
    }
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    let paths = region_paths(folder.path());
    assert!(paths.len() <= 1, "{paths:?}");
    let readable: Vec<_> = paths.iter().map(|path| Region::try_open(path)).collect();
    for region in &readable {
        match region {
            Ok(region) => {
                region.assert_no_free_is_unknown();
                assert!(matches!(region.state(), State::Starting | State::Recording));
                assert!(early || region.state() == State::Recording, "{heap:?}");
            }
            // The header is complete only once its magic is there.
            Err(error) => assert!(early, "{error}"),
        }
    }
    assert!(early || readable.len() == 1, "a region before \"ready\"");
    readable.iter().flatten().count()
}

#[test]
fn a_program_of_a_few_milliseconds_is_recorded_whole() {
    let symbols = Symbols::of(&faults());
    for heap in [Heap::Full, Heap::Sampled(1)] {
        let done = same(heap, &["short"]);
        let region = done.region();
        assert_eq!(region.state(), State::Ended);
        let lifetime = region.summary.end - region.summary.start;
        assert!(lifetime < 1_000_000_000, "it lived {lifetime} ns");
        let found = region.by_name(&symbols, |functions, kind| {
            let name = functions.iter().find(|name| **name == "leak_three");
            (kind == Kind::Heap)
                .then(|| name.map(|name| (*name).to_owned()))
                .flatten()
        });
        let leak = found["leak_three"];
        if heap == Heap::Full {
            assert_eq!((leak.allocs, leak.bytes, leak.frees), (3, 3_000, 0));
        } else {
            // Blocks of 1,000 bytes are all drawn, with weight 1.
            assert_eq!(
                (leak.samples, leak.allocs / COUNT_SCALE, leak.bytes),
                (3, 3, 3_000)
            );
        }
    }
}

#[test]
fn a_thousand_short_programs_have_a_region_each() {
    let count = if shim_support::is_long() { 1_000 } else { 200 };
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    for _ in 0..count {
        let run = Run::shimmed(&faults(), Heap::Full).arg("short");
        let done = run.env("MEMTIDE_DIR", folder.path()).finish();
        assert_eq!(output(&done), "");
    }
    println!("{count} programs in {:?}", started.elapsed());
    let paths = region_paths(folder.path());
    assert_eq!(paths.len(), count);
    for path in paths {
        let region = Region::open(&path);
        assert_eq!(region.state(), State::Ended, "{}", region.name);
        assert!(region.total(Kind::Heap).bytes >= 3_000, "{}", region.name);
    }
}

/// A small file system of its own; unmounted at the end. `None` where that is not allowed.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: mounting a file system needs root and may be forbidden");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn run_in(folder: &Path, heap: Heap, arguments: &[&str]) -> Done {
    let mut run = Run::shimmed(&faults(), heap).env("MEMTIDE_DIR", folder);
    run.command.args(arguments);
    run.finish()
}

#[test]
fn a_full_disk_stops_the_recording_and_not_the_program() {
    let plain = Run::plain(&faults()).arg("stacks").arg("15").finish();
    // Even a single page has room for a header that says it.
    for options in ["size=4k", "size=64k", "size=1m", "size=3m"] {
        for heap in [Heap::Full, Heap::Sampled(1)] {
            let Some(disk) = Disk::mount(options) else {
                return;
            };
            let started = Instant::now();
            let done = run_in(disk.0.path(), heap, &["stacks", "15"]);
            assert_eq!(output(&done), output(&plain), "{options} {heap:?}");
            let taken = started.elapsed();
            assert!(taken < Duration::from_secs(20), "{options}: {taken:?}");
            let paths = region_paths(disk.0.path());
            assert_eq!(paths.len(), 1, "{options}");
            let region = Region::open(&paths[0]);
            assert_eq!(region.state(), State::Full, "{options} {heap:?}");
            region.assert_no_free_is_unknown();
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_no_harm() {
    let plain = Run::plain(&faults()).arg("stacks").arg("10").finish();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let long = "x".repeat(5_000);
    let read_only = Disk::mount("ro");
    let mut folders = vec![
        folder.path().join("missing"),
        file,
        PathBuf::from("/proc"),
        PathBuf::from(long),
    ];
    folders.extend(read_only.as_ref().map(|disk| disk.0.path().to_path_buf()));
    for folder in folders {
        for heap in BOTH {
            let done = run_in(&folder, heap, &["stacks", "10"]);
            assert_eq!(output(&done), output(&plain), "{}", folder.display());
        }
    }
}

#[test]
fn limited_memory_is_left_to_the_program() {
    // RLIMIT_DATA and RLIMIT_AS.
    for (heap, resource) in [(BOTH[0], "2"), (BOTH[0], "9"), (BOTH[1], "9")] {
        let done = same(heap, &["limited", resource]);
        let states: Vec<_> = done.regions.iter().map(Region::state).collect();
        // Before it started itself again, and after.
        assert_eq!(states, [State::Recording, State::RefusedLimit]);
        assert!(done.regions[1].stacks.is_empty());
    }
}

/// How the kernel overcommits is a setting of the whole machine, which no test may change: so what /proc says
/// of it is replaced, in a mount namespace of the program's own. What is held is that the shim leaves all memory to the
/// program then, which is what the setting asks of it.
#[test]
fn a_kernel_that_does_not_overcommit_is_left_to_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let setting = folder.path().join("setting");
    fs::write(&setting, "2\n").unwrap();
    let script = "mount --bind \"$1\" /proc/sys/vm/overcommit_memory && shift && exec \"$@\"";
    let inside = |run: &mut Run, words: &[&std::ffi::OsStr]| {
        run.command.args(["--mount", "sh", "-c", script, "sh"]);
        run.command.arg(&setting).args(words);
    };
    let unshare = Path::new("/usr/bin/unshare");
    let mut may = Run::plain(unshare);
    inside(&mut may, &["true".as_ref()]);
    if !may.finish().output.status.success() {
        println!("skipped: a mount namespace of one's own needs root and may be forbidden");
        return;
    }
    for (heap, mode) in BOTH
        .into_iter()
        .zip(["MEMTIDE_HEAP=full", "MEMTIDE_HEAP=sampled"])
    {
        let shimmed = Run::shimmed(&faults(), heap);
        let preload = format!("LD_PRELOAD={}", shimmed.preloaded());
        let directory = format!("MEMTIDE_DIR={}", shimmed.regions_in().display());
        let mut run = Run::plain(unshare);
        let program = faults();
        let words = ["env", &preload, &directory, mode].map(std::ffi::OsStr::new);
        let words = [
            &words[..],
            &[program.as_os_str(), "stacks".as_ref(), "10".as_ref()],
        ];
        inside(&mut run, &words.concat());
        let done = run.finish();
        let plain = Run::plain(&faults()).arg("stacks").arg("10").finish();
        assert_eq!(output(&done), output(&plain), "{heap:?}");
        let paths = region_paths(shimmed.regions_in());
        assert_eq!(paths.len(), 1);
        let region = Region::open(&paths[0]);
        assert_eq!(region.state(), State::RefusedOvercommit);
        assert!(
            region.stacks.is_empty() && region.summary.ranges == 0,
            "no tables"
        );
    }
}

/// A limit that the program sets for itself comes too late to be refused: the shim's share must be small.
#[test]
fn a_program_that_limits_itself_is_recorded() {
    let symbols = Symbols::of(&faults());
    for heap in BOTH {
        let done = same(heap, &["limits_itself"]);
        let kept = done.regions[0].by_name(&symbols, |functions, kind| {
            (kind == Kind::Heap && functions.contains(&"keep_twenty")).then(|| "kept".to_owned())
        });
        // Blocks of 1 MiB are all drawn, with weight 1.
        assert_eq!(kept["kept"].bytes, 20 << 20, "{heap:?}");
    }
}

/// A filter that the program has set for itself holds for the shim, too: it cannot grow any more.
#[test]
fn refused_system_calls_are_no_harm() {
    // With fewer samples it would be chance whether they outgrow the room that there was at the start.
    for heap in [Heap::Full, Heap::Sampled(8)] {
        let done = same(heap, &["sealed"]);
        if output(&done).contains("no seccomp") {
            println!("skipped: there is no seccomp here");
            return;
        }
        let region = done.region();
        assert_eq!(
            region.state(),
            State::Full,
            "{heap:?}: it cannot have had room"
        );
        let lost = region.lost();
        assert!(lost.no_room + lost.nodes > 0, "{heap:?}: {lost:?}");
        region.assert_no_free_is_unknown();
    }
}

#[test]
fn the_smallest_stacks_suffice() {
    let symbols = Symbols::of(&faults());
    for heap in [Heap::Full, Heap::Sampled(1)] {
        let done = same(heap, &["small_stacks"]);
        let found = done.region().by_name(&symbols, |functions, _| {
            functions
                .contains(&"leaf")
                .then(|| functions.last().unwrap().to_string())
        });
        let blocks: u64 = found.values().map(|sum| sum.allocs).sum();
        let frees: u64 = found.values().map(|sum| sum.frees).sum();
        if heap == Heap::Full {
            assert_eq!((blocks, frees), (200, 200), "{:?}", found.keys());
        }
    }
}

#[test]
fn ten_thousand_mappings_are_counted() {
    for (heap, scale) in [(Heap::Full, 1), (Heap::Sampled(1 << 20), COUNT_SCALE)] {
        let done = same(heap, &["mappings", "10000"]);
        let region = done.region();
        let sum = region.total(Kind::Mapping);
        assert_eq!(
            (sum.allocs / scale, sum.bytes),
            (10_000, 10_000 * 4096),
            "{heap:?}"
        );
        assert_eq!(region.lost().mappings, 0);
    }
}

fn resident(done: &Done) -> f64 {
    String::from_utf8_lossy(&done.output.stderr)
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn half_a_million_pairs_of_size_and_stack_take_little_memory() {
    let plain = Run::plain(&faults()).arg("pairs").finish();
    for heap in [Heap::Full, Heap::Sampled(512 << 10)] {
        let done = Run::shimmed(&faults(), heap).arg("pairs").finish();
        assert_eq!(output(&done), output(&plain));
        let (before, after) = (resident(&plain), resident(&done));
        println!(
            "{heap:?}: {before} KiB without, {after} KiB with, {:.2} times",
            after / before
        );
        assert!(
            after <= 1.3 * before,
            "{heap:?}: {after} KiB, without {before}"
        );
        let region = done.region();
        let lost = region.lost();
        assert_eq!((lost.no_room, lost.nodes), (0, 0));
        if heap == Heap::Full {
            assert!(region.total(Kind::Heap).allocs >= 502_048, "all of them");
        }
    }
}

#[test]
fn half_a_million_stacks_are_kept_apart() {
    let plain = Run::plain(&faults()).arg("stacks").arg("19").finish();
    let done = Run::shimmed(&faults(), Heap::Full)
        .arg("stacks")
        .arg("19")
        .finish();
    assert_eq!(output(&done), output(&plain));
    let region = done.region();
    let lost = region.lost();
    assert_eq!((lost.no_room, lost.nodes, lost.truncated), (0, 0, 0));
    let single = region
        .stacks
        .values()
        .filter(|stack| stack.counters.allocs == 1);
    assert!(
        single.count() >= 1 << 19,
        "each of 2^19 stacks made one block"
    );
    println!(
        "{} KiB without, {} KiB with",
        resident(&plain),
        resident(&done)
    );
}

fn kept_by(done: &Done, maker: &str) -> Counters {
    let symbols = Symbols::of(&faults());
    let found = done.region().by_name(&symbols, |functions, _| {
        functions.contains(&maker).then(|| maker.to_owned())
    });
    found[maker]
}

/// A block whose end nobody saw has ended once its place is given out again.
#[test]
fn blocks_that_are_freed_unseen_are_no_leak_for_ever() {
    let done = same(Heap::Full, &["unseen"]);
    let kept = kept_by(&done, "make_unseen");
    // The last round's are there, in the places of those before.
    assert_eq!((kept.allocs, kept.frees), (20_000, 19_000));
    assert_eq!((kept.bytes, kept.freed), (2_000_000, 1_900_000));
    // Every block is drawn, or nearly.
    let done = same(Heap::Sampled(1), &["unseen"]);
    let kept = kept_by(&done, "make_unseen");
    assert_eq!((kept.samples, kept.freed_samples), (20_000, 19_000));
    done.region().assert_no_free_is_unknown();
}

#[test]
fn blocks_that_are_freed_with_flags_are_seen() {
    for allocator in allocators() {
        for heap in [Heap::Full, Heap::Sampled(1)] {
            let run = |run: Run| run.arg("undersized").allocator(&allocator).finish();
            let plain = run(Run::plain(&faults()));
            let done = run(Run::shimmed(&faults(), heap));
            assert_eq!(output(&done), output(&plain), "{}", allocator.name);
            let kept = kept_by(&done, "make_unseen");
            assert_eq!(kept.bytes, kept.freed, "{} {heap:?}", allocator.name);
        }
    }
}

/// Its blocks never come to the shim, which says so instead of counting none.
#[test]
fn an_allocator_of_the_programs_own_is_told() {
    for heap in BOTH {
        let own = shim_support::target("own_malloc.c", "own_malloc", &[]);
        let done = Run::shimmed(&own, heap).finish();
        assert_eq!(output(&done), "");
        let region = done.region();
        assert_eq!(region.state(), State::RefusedAllocator, "{heap:?}");
        assert_eq!(region.total(Kind::Heap).allocs, 0);
    }
    let passes_on = shim_support::target("own_malloc.c", "passing_malloc", &["-DPASSES_ON"]);
    let done = Run::shimmed(&passes_on, Heap::Full).finish();
    assert_eq!(output(&done), "");
    assert_eq!(done.region().state(), State::Ended);
    assert!(done.region().total(Kind::Heap).bytes >= 300_000);
}
