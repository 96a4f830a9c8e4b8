//! What comes out of regions that were written by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_collect::{Collector, State};
use memtide_model::{
    Bytes, CallStack, HeapMode, Nanos, StackCounters, StackEnd, StackKind, StackOwner,
};
use memtide_region::layout::{
    COUNT_SCALE, Header, LOADED, MARK_FOREIGN, MARK_GENERATION, MARK_MAPPING, MARK_TRUNCATED,
    ModuleEntry,
};
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::path::Path;
use std::sync::{Arc, Mutex};
use support::{Region, Seen};
use tempfile::TempDir;

const NOW: Nanos = Nanos(77);

/// The pids that do not run, for [`collector`].
type Gone = Arc<Mutex<BTreeSet<u32>>>;

fn collector(directory: &Path) -> (Collector, Gone) {
    let gone = Gone::default();
    let asked = gone.clone();
    let is_running = move |pid, _| !asked.lock().unwrap().contains(&pid);
    let collector = Collector::open(directory).unwrap();
    (collector.with_liveness(is_running), gone)
}

fn target(stack: &CallStack) -> bool {
    stack.owner == StackOwner::Target
}

fn others(stack: &CallStack) -> bool {
    stack.owner == StackOwner::Others
}

/// Main calls leaf, in /bin/shop at `base`; 10 blocks of 100 bytes made, `frees` of them freed.
fn shop(pid: u32, base: u64, frees: u64) -> Region {
    let mut region = Region::new(pid, 1000);
    region.module("/bin/shop", &[0xab, 1], base);
    let leaf = region.stack(&[base + 0x100, base + 0x200]);
    region.count(0, leaf, [10, 1000, frees, frees * 100, 0, 0, 0, 0]);
    region
}

const SHOP: &str = "/bin/shop+0x200 /bin/shop+0x100";

#[test]
fn the_same_stack_of_two_processes_is_one_stack_wherever_their_files_lay() {
    let dir = TempDir::new().unwrap();
    shop(7, 0x5_0000, 4).save(dir.path(), "7-0");
    shop(8, 0x9_0000, 1).save(dir.path(), "8-0");
    shop(9, 0x7fff_0000_0000, 10).save(dir.path(), "9-0");
    let (mut collector, _) = collector(dir.path());
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.modules.len(), 1, "one file, three places");
    assert_eq!(seen.modules[0].build_id, "ab01");
    assert_eq!(seen.stacks.len(), 2, "the target's, and that of the others");
    let of_target = seen.of(SHOP, target);
    assert_eq!((of_target.allocs, of_target.live_bytes()), (10, 600));
    let of_others = seen.of(SHOP, others);
    assert_eq!((of_others.allocs, of_others.live_bytes()), (20, 900));
}

#[test]
fn a_file_with_another_build_id_is_another_module() {
    let dir = TempDir::new().unwrap();
    shop(7, 0x5_0000, 4).save(dir.path(), "7-0");
    let mut rebuilt = shop(8, 0x5_0000, 0);
    let module = rebuilt.module("/bin/x", &[], 0x9_0000) - 1024;
    rebuilt.bytes[module + offset_of!(ModuleEntry, build_id)] = 0xac;
    rebuilt.save(dir.path(), "8-0");
    let (mut collector, _) = collector(dir.path());
    let tick = collector.tick(NOW, None).unwrap();
    let ids: Vec<_> = tick
        .new_modules
        .iter()
        .map(|m| m.build_id.as_str())
        .collect();
    assert_eq!(ids, ["ac01", "", "ab01"], "the youngest pid is read first");
    assert_eq!(tick.new_stacks.len(), 2);
}

#[test]
fn threads_are_summed_and_a_tick_tells_only_what_changed() {
    let dir = TempDir::new().unwrap();
    let mut region = shop(7, 0x5_0000, 4);
    let other = region.stack(&[0x5_0300]);
    region.count(0, other, [1, 8, 0, 0, 0, 0, 0, 0]);
    // Thread 1 has freed two more of the blocks that thread 0 made.
    region.count(1, 3, [0, 0, 2, 200, 0, 0, 0, 0]);
    region.save(dir.path(), "7-0");
    let (mut collector, _) = collector(dir.path());
    let mut seen = Seen::default();
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.totals.at, NOW);
    assert_eq!(tick.totals.live_bytes, Bytes(408));
    assert_eq!((tick.totals.live_blocks, tick.totals.allocs), (5, 11));
    assert_eq!(tick.totals.allocated_bytes, Bytes(1008));
    seen.take(tick);
    assert_eq!(seen.of(SHOP, target).live_bytes(), 400);
    let quiet = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!((quiet.changed.len(), quiet.new_stacks.len()), (0, 0));
    assert_eq!(quiet.totals.live_bytes, Bytes(408));
    region.count(0, other, [2, 16, 0, 0, 0, 0, 0, 0]);
    region.save(dir.path(), "7-0");
    let tick = collector.tick(NOW, Some(7)).unwrap();
    let live: Vec<u64> = tick.changed.iter().map(|(_, c)| c.live_bytes()).collect();
    assert_eq!(live, [16]);
    assert_eq!(tick.totals.live_bytes, Bytes(416));
}

#[test]
fn kinds_and_ends_are_those_of_the_marks() {
    let dir = TempDir::new().unwrap();
    let mut region = Region::new(7, 1000);
    region.module("/bin/shop", &[], 0x5_0000);
    let root = region.stack(&[0x5_0100]);
    let mapping = region.node(MARK_MAPPING, root, 0);
    let generation = region.node(MARK_GENERATION, root, 0);
    let below = region.node(0x5_0200, generation, 0);
    let truncated = region.node(MARK_TRUNCATED, 0, 0);
    let truncated = region.node(0x5_0300, truncated, 0);
    let foreign = region.node(MARK_FOREIGN, 0, 0);
    let foreign = region.node(0x5_0400, foreign, 0);
    let generated = region.node(0xdead_0000, root, 0);
    let counted = [root, mapping, below, truncated, foreign, generated, 1];
    for (stack, bytes) in counted.into_iter().zip(1..) {
        region.count(0, stack, [1, bytes, 0, 0, 0, 0, 0, 0]);
    }
    region.save(dir.path(), "7-0");
    let (mut collector, _) = collector(dir.path());
    let mut seen = Seen::default();
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.totals.mapping_bytes, Bytes(2));
    assert_eq!(tick.totals.live_bytes, Bytes(1 + 3 + 4 + 5 + 6 + 7));
    seen.take(tick);
    let of = |text: &str, kind, end| {
        let counters = seen.of(text, |stack| stack.kind == kind && stack.end == end);
        counters.bytes
    };
    let heap = StackKind::Heap;
    assert_eq!(of("/bin/shop+0x100", heap, StackEnd::Root), 1);
    let of_mapping = of("/bin/shop+0x100", StackKind::Mapping, StackEnd::Root);
    assert_eq!(of_mapping, 2);
    assert_eq!(
        of("/bin/shop+0x200 /bin/shop+0x100", heap, StackEnd::Root),
        3
    );
    assert_eq!(of("/bin/shop+0x300", heap, StackEnd::Truncated), 4);
    assert_eq!(of("/bin/shop+0x400", heap, StackEnd::Foreign), 5);
    assert_eq!(of("0xdead0000 /bin/shop+0x100", heap, StackEnd::Root), 6);
    assert_eq!(of("", heap, StackEnd::Overflow), 7);
}

#[test]
fn a_library_in_the_place_of_another_is_told_apart_by_generation() {
    let dir = TempDir::new().unwrap();
    let mut region = Region::new(7, 1000);
    let first = region.module("/lib/first.so", &[], 0x5_0000);
    let of_first = region.stack(&[0x5_0100]);
    region.count(0, of_first, [1, 10, 0, 0, 0, 0, 0, 0]);
    region.save(dir.path(), "7-0");
    let (mut collector, _) = collector(dir.path());
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    region.put32(first + offset_of!(ModuleEntry, unloaded), 1);
    let second = region.module("/lib/second.so", &[], 0x5_0000);
    region.put32(second + offset_of!(ModuleEntry, loaded), 1);
    region.put32(second + offset_of!(ModuleEntry, unloaded), LOADED);
    region.put32(offset_of!(Header, generation), 1);
    let of_second = region.node(0x5_0100, 0, 1);
    // A node of the old generation that came late.
    let late = region.node(0x5_0200, 0, 0);
    region.count(0, of_second, [2, 20, 0, 0, 0, 0, 0, 0]);
    region.count(0, late, [3, 30, 0, 0, 0, 0, 0, 0]);
    region.save(dir.path(), "7-0");
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.of("/lib/first.so+0x100", target).bytes, 10);
    assert_eq!(seen.of("/lib/second.so+0x100", target).bytes, 20);
    assert_eq!(seen.of("/lib/first.so+0x200", target).bytes, 30);
}

#[test]
fn estimates_are_shown_in_whole_blocks_with_their_samples() {
    let dir = TempDir::new().unwrap();
    let mut region = shop(7, 0x5_0000, 0);
    region.put32(offset_of!(Header, mode), 1);
    region.put64(offset_of!(Header, interval), 524_288);
    let made = 7 * COUNT_SCALE + COUNT_SCALE / 2;
    region.count(0, 3, [made, 5000, 2 * COUNT_SCALE, 1000, 0, 0, 5, 2]);
    region.save(dir.path(), "7-0");
    let (mut collector, _) = collector(dir.path());
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    let counters = seen.of(SHOP, target);
    assert_eq!((counters.allocs, counters.live_blocks()), (8, 6));
    assert_eq!((counters.samples, counters.freed_samples), (5, 2));
    assert_eq!(collector.target_mode(), Some(HeapMode::Sampled));
    let hello = collector.hello(7).unwrap();
    assert_eq!(
        (hello.mode, hello.interval),
        (HeapMode::Sampled, Bytes(524_288))
    );
    assert_eq!(
        (hello.state, hello.program.as_str()),
        (State::Recording, "/bin/shop")
    );
    assert_eq!(collector.hello(8), None);
}

#[test]
fn an_exec_makes_what_came_before_it_another_program() {
    let dir = TempDir::new().unwrap();
    shop(7, 0x5_0000, 4).save(dir.path(), "7-0");
    let (mut collector, gone) = collector(dir.path());
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.of(SHOP, target).live_bytes(), 600);
    let mut after = Region::new(7, 2000);
    after.module("/bin/other", &[], 0x5_0000);
    let leaf = after.stack(&[0x5_0100]);
    after.count(0, leaf, [1, 50, 0, 0, 0, 0, 0, 0]);
    after.range(0x7000_0000, 4096);
    after.save(dir.path(), "7-1");
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.totals.live_bytes, Bytes(50));
    assert!(!tick.ended);
    seen.take(tick);
    assert_eq!(seen.of(SHOP, target), StackCounters::default());
    let before = seen.of(SHOP, others);
    assert_eq!((before.allocs, before.live_bytes()), (10, 0));
    assert_eq!(seen.of("/bin/other+0x100", target).live_bytes(), 50);
    assert_eq!(collector.own_ranges(), [(0x7000_0000, 4096)]);
    let left: Vec<_> = collector
        .never_freed()
        .map(|(_, n, bytes)| (n, bytes))
        .collect();
    assert_eq!(left, [(6, Bytes(600))]);
    gone.lock().unwrap().insert(7);
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert!(tick.ended, "the target ended");
    assert_eq!(tick.totals.live_bytes, Bytes(50), "and never freed this");
    // Its pid is given to a child: that is not the target.
    gone.lock().unwrap().clear();
    shop(7, 0x5_0000, 0).save(dir.path(), "7-2");
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.of(SHOP, others).allocs, 20);
}

#[test]
fn a_thousand_short_processes_leave_their_sums_and_no_files() {
    let dir = TempDir::new().unwrap();
    shop(7, 0x5_0000, 4).save(dir.path(), "7-0");
    let (collector, gone) = collector(dir.path());
    let mut collector = collector.removing();
    let mut seen = Seen::default();
    for pid in 1000..2000 {
        shop(pid, u64::from(pid) << 20, 9).save(dir.path(), &format!("{pid}-0"));
        gone.lock().unwrap().insert(pid);
        if pid % 100 == 99 {
            seen.take(collector.tick(NOW, Some(7)).unwrap());
        }
    }
    let counters = seen.of(SHOP, others);
    assert_eq!((counters.allocs, counters.frees), (10_000, 10_000));
    let left: Vec<_> = collector
        .never_freed()
        .map(|(_, n, bytes)| (n, bytes))
        .collect();
    assert_eq!(left, [(1000, Bytes(100_000))]);
    assert_eq!(seen.of(SHOP, target).live_bytes(), 600);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 1, "only the target's region is left");
    assert_eq!(seen.stacks.len(), 2);
}

/// The shim takes the first name that is free: none may become free while the process lives, and all
/// are new ones after that.
#[test]
fn names_of_a_process_that_replaces_its_program_again_and_again_stay_taken() {
    let dir = TempDir::new().unwrap();
    let (collector, gone) = collector(dir.path());
    let mut collector = collector.removing();
    let mut seen = Seen::default();
    for number in 0..5 {
        let name = format!("7-{number}");
        assert!(!dir.path().join(format!("{name}.region")).exists());
        shop(7, 0x5_0000, number).save(dir.path(), &name);
        seen.take(collector.tick(NOW, Some(7)).unwrap());
        for earlier in 0..number {
            assert!(dir.path().join(format!("7-{earlier}.region")).exists());
        }
    }
    assert_eq!(seen.of(SHOP, target).frees, 4);
    // Another pid comes and goes twice, under the same name.
    let allocs = seen.of(SHOP, others).allocs;
    for times in 1..=2 {
        shop(9, 0x6_0000, 0).save(dir.path(), "9-0");
        seen.take(collector.tick(NOW, Some(7)).unwrap());
        gone.lock().unwrap().insert(9);
        seen.take(collector.tick(NOW, Some(7)).unwrap());
        assert!(!dir.path().join("9-0.region").exists());
        gone.lock().unwrap().clear();
        assert_eq!(seen.of(SHOP, others).allocs, allocs + 10 * times);
    }
}

#[test]
fn bytes_at_the_peak_are_those_of_one_peak() {
    let dir = TempDir::new().unwrap();
    let mut region = shop(7, 0x5_0000, 4);
    region.put64(offset_of!(Header, peak_epoch), 8);
    region.put64(offset_of!(Header, peak_bytes), 2500);
    // Kept at this peak; kept at an earlier one, and untouched since.
    region.count(0, 3, [10, 1000, 4, 400, 900, 8, 0, 0]);
    let other = region.stack(&[0x5_0300]);
    region.count(0, other, [2, 1600, 0, 0, 5, 6, 0, 0]);
    region.save(dir.path(), "7-0");
    let (mut collector, gone) = collector(dir.path());
    let mut seen = Seen::default();
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.totals.peak_bytes, Bytes(2500));
    seen.take(tick);
    assert_eq!(seen.of(SHOP, target).peak_bytes, 900);
    assert_eq!(seen.of("/bin/shop+0x300", target).peak_bytes, 1600);
    // A new peak is being made: what is live is what is there at the peak.
    region.put64(offset_of!(Header, peak_epoch), 9);
    region.save(dir.path(), "7-0");
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.of(SHOP, target).peak_bytes, 600);
    // Others: the sum over those that run, or one that ended, whichever is more.
    for pid in 20..23 {
        shop(pid, 0x5_0000, u64::from(pid) - 20).save(dir.path(), &format!("{pid}-0"));
    }
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.of(SHOP, others).peak_bytes, 1000 + 900 + 800);
    gone.lock().unwrap().extend([20, 21]);
    seen.take(collector.tick(NOW, Some(7)).unwrap());
    assert_eq!(seen.of(SHOP, others).peak_bytes, 1000);
}

#[test]
fn regions_that_cannot_be_read_are_counted_once_and_the_others_are_read() {
    let dir = TempDir::new().unwrap();
    shop(7, 0x5_0000, 4).save(dir.path(), "7-0");
    let mut unfinished = shop(8, 0x5_0000, 4);
    unfinished.put64(0, 0);
    unfinished.save(dir.path(), "8-0");
    std::fs::write(dir.path().join("9-0.region"), b"").unwrap();
    let mut newer = shop(10, 0x5_0000, 4);
    newer.put32(offset_of!(Header, version), 99);
    newer.save(dir.path(), "10-0");
    std::fs::write(dir.path().join("notes.txt"), b"not a region").unwrap();
    let (mut collector, gone) = collector(dir.path());
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.lost.processes, 1, "another version; two may come yet");
    assert_eq!(tick.totals.live_bytes, Bytes(600));
    shop(8, 0x5_0000, 5).save(dir.path(), "8-0");
    gone.lock().unwrap().insert(9);
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.lost.processes, 2, "9 ended before it was complete");
    assert_eq!(tick.changed.len(), 1, "8 has become complete");
    for _ in 0..3 {
        let tick = collector.tick(NOW, Some(7)).unwrap();
        assert_eq!(tick.lost.processes, 2);
    }
    let names: Vec<u32> = collector
        .processes()
        .unwrap()
        .iter()
        .map(|p| p.pid)
        .collect();
    assert_eq!(names, [7, 8]);
}

#[test]
fn what_was_lost_is_summed_and_stays() {
    let dir = TempDir::new().unwrap();
    for (pid, lost) in [(7, 1), (8, 10)] {
        let mut region = shop(pid, 0x5_0000, 4);
        for field in 0..8 {
            let at = offset_of!(Header, lost) + 8 * field;
            region.put64(at, lost * (field as u64 + 1));
        }
        region.save(dir.path(), &format!("{pid}-0"));
    }
    let (mut collector, gone) = collector(dir.path());
    let lost = collector.tick(NOW, Some(7)).unwrap().lost;
    assert_eq!((lost.reentered, lost.threadless), (11, 22));
    assert_eq!(lost.no_room, 33 + 88, "blocks and mappings");
    assert_eq!((lost.overflow, lost.ruleless), (44, 55));
    assert_eq!((lost.truncated, lost.foreign), (66, 77));
    gone.lock().unwrap().insert(8);
    let after = collector.tick(NOW, Some(7)).unwrap().lost;
    assert_eq!(after, lost, "the end of a process takes nothing away");
    let again = collector.tick(NOW, Some(7)).unwrap().lost;
    assert_eq!(again, lost);
}

#[test]
fn a_shim_that_refused_says_why_and_its_process_is_counted() {
    let dir = TempDir::new().unwrap();
    let mut region = shop(7, 0x5_0000, 4);
    region.put32(offset_of!(Header, state), 4);
    region.save(dir.path(), "7-0");
    let (mut collector, _) = collector(dir.path());
    let refusal = collector.hello(7).unwrap().refusal();
    assert_eq!(refusal, Some("its memory is limited (ulimit -v or -d)"));
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert_eq!(tick.lost.processes, 1);
    region.put32(offset_of!(Header, state), 2);
    region.save(dir.path(), "7-0");
    assert_eq!(collector.hello(7).unwrap().refusal(), None);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = Collector::open("/nowhere/regions".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "listing the regions in /nowhere/regions");
    assert!(std::error::Error::source(&error).is_some());
}
