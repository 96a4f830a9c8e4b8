//! Processes whose pids say nothing here: their locks tell whether they live.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_collect::Collector;
use memtide_model::{Bytes, CallStack, Nanos, StackOwner};
use memtide_region::layout::Header;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::mem::offset_of;
use std::path::Path;
use support::{Region, Seen};
use tempfile::TempDir;

const NOW: Nanos = Nanos(5_000_000_000);
const SHOP: &str = "/bin/shop+0x100";

fn others(stack: &CallStack) -> bool {
    stack.owner == StackOwner::Others
}

/// The inode of the namespace that this test runs in.
fn own_namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let digits: String = link.to_str().unwrap().matches(char::is_numeric).collect();
    digits.parse().unwrap()
}

/// 10 blocks of 100 bytes, 4 of them freed, by a process `pid` of that namespace.
fn shop(pid: u32, start: u64, namespace: u64, is_locked: bool) -> Region {
    let mut region = Region::new(pid, start);
    region.module("/bin/shop", &[], 0x5_0000);
    let leaf = region.stack(&[0x5_0100]);
    region.count(0, leaf, [10, 1000, 4, 400, 0, 0, 0, 0]);
    region.put64(offset_of!(Header, pid_namespace), namespace);
    region.put32(offset_of!(Header, is_locked), u32::from(is_locked));
    region
}

/// The lock that a shim holds while its process lives: until this is dropped.
fn lock(directory: &Path, name: &str) -> File {
    let path = directory.join(format!("{name}.region"));
    let file = File::options().read(true).write(true).open(path).unwrap();
    let whole = libc::flock {
        l_type: 1,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
    file
}

/// Of all pids here it takes those in `running` for running.
fn collector(directory: &Path, running: &'static [u32]) -> Collector {
    let collector = Collector::open(directory).unwrap().removing();
    collector.with_liveness(move |pid, _| running.contains(&pid))
}

fn is_there(directory: &Path, name: &str) -> bool {
    directory.join(format!("{name}.region")).exists()
}

#[test]
fn a_process_of_another_namespace_lives_as_long_as_its_lock() {
    let dir = TempDir::new().unwrap();
    let other = own_namespace() + 1;
    let mut region = shop(7, 1000, other, true);
    region.save(dir.path(), "7-0");
    let held = lock(dir.path(), "7-0");
    // No process here has its number.
    let mut collector = collector(dir.path(), &[]);
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, Some(70)).unwrap());
    assert_eq!(seen.of(SHOP, others).live_bytes(), 600);
    region.count(0, 2, [20, 2000, 4, 400, 0, 0, 0, 0]);
    std::fs::write(dir.path().join("7-0.region"), &region.bytes).unwrap();
    seen.take(collector.tick(NOW, Some(70)).unwrap());
    assert_eq!(seen.of(SHOP, others).live_bytes(), 1600);
    assert!(is_there(dir.path(), "7-0"), "it is read on");
    drop(held);
    let tick = collector.tick(NOW, Some(70)).unwrap();
    assert_eq!(tick.lost.processes, 0, "it was read to its end");
    seen.take(tick);
    assert_eq!(seen.of(SHOP, others).live_bytes(), 0);
    let left: Vec<_> = collector
        .never_freed()
        .map(|(_, n, bytes)| (n, bytes))
        .collect();
    assert_eq!(left, [(16, Bytes(1600))]);
    assert!(!is_there(dir.path(), "7-0"));
}

#[test]
fn processes_with_the_same_number_in_several_namespaces_do_not_end_each_other() {
    let dir = TempDir::new().unwrap();
    let own = own_namespace();
    shop(7, 1000, own, true).save(dir.path(), "7-0");
    shop(7, 2000, own + 1, true).save(dir.path(), "7-1");
    shop(7, 3000, own + 2, true).save(dir.path(), "7-2");
    let held = ["7-0", "7-1", "7-2"].map(|name| lock(dir.path(), name));
    let mut collector = collector(dir.path(), &[7]);
    let mut seen = Seen::default();
    for _ in 0..2 {
        let tick = collector.tick(NOW, Some(7)).unwrap();
        assert_eq!(
            tick.totals.live_bytes,
            Bytes(600),
            "the target is the first of that number"
        );
        seen.take(tick);
        assert_eq!(seen.of(SHOP, others).live_bytes(), 1200);
    }
    assert_eq!(collector.hello(7).unwrap().start, Nanos(1000));
    let [_target, second, _third] = held;
    drop(second);
    let tick = collector.tick(NOW, Some(7)).unwrap();
    assert!(!tick.ended);
    seen.take(tick);
    assert_eq!(seen.of(SHOP, others).live_bytes(), 600);
    let left = ["7-0", "7-1", "7-2"].map(|name| is_there(dir.path(), name));
    assert_eq!(left, [true, false, true]);
}

#[test]
fn a_pid_that_runs_without_the_lock_is_somebody_elses() {
    let dir = TempDir::new().unwrap();
    shop(7, 1000, own_namespace(), true).save(dir.path(), "7-0");
    let mut collector = collector(dir.path(), &[7]);
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, None).unwrap());
    let of_others = seen.of(SHOP, others);
    assert_eq!((of_others.allocs, of_others.live_bytes()), (10, 0));
    assert!(!is_there(dir.path(), "7-0"));
}

#[test]
fn a_lock_that_a_child_has_inherited_does_not_keep_its_parent_alive() {
    let dir = TempDir::new().unwrap();
    shop(7, 1000, own_namespace(), true).save(dir.path(), "7-0");
    let _held_by_the_child = lock(dir.path(), "7-0");
    let mut collector = collector(dir.path(), &[]);
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, None).unwrap());
    assert_eq!(seen.of(SHOP, others).live_bytes(), 0);
    assert!(!is_there(dir.path(), "7-0"));
}

#[test]
fn what_shows_no_sign_of_life_or_death_is_kept() {
    let dir = TempDir::new().unwrap();
    let other = own_namespace() + 1;
    shop(7, 1000, other, false).save(dir.path(), "7-0");
    let mut ended = shop(8, 1000, other, false);
    ended.put64(offset_of!(Header, end), NOW.0);
    ended.save(dir.path(), "8-0");
    let mut collector = collector(dir.path(), &[]);
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, None).unwrap());
    assert_eq!(seen.of(SHOP, others).live_bytes(), 1200);
    let later = NOW + Nanos::from_secs(2);
    seen.take(collector.tick(later, None).unwrap());
    assert_eq!(
        seen.of(SHOP, others).live_bytes(),
        600,
        "8 said that it ended"
    );
    let left = ["7-0", "8-0"].map(|name| is_there(dir.path(), name));
    assert_eq!(left, [true, false]);
}

#[test]
fn a_region_that_is_only_begun_is_tried_again() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("7-0.region"), b"").unwrap();
    let mut collector = collector(dir.path(), &[]);
    let lost = |collector: &mut Collector| collector.tick(NOW, None).unwrap().lost.processes;
    assert_eq!(lost(&mut collector), 1, "nobody seems to write it");
    let held = lock(dir.path(), "7-0");
    assert_eq!(lost(&mut collector), 0, "somebody does");
    let bytes = shop(7, 1000, own_namespace() + 1, true).bytes;
    std::fs::write(dir.path().join("7-0.region"), bytes).unwrap();
    let mut seen = Seen::default();
    seen.take(collector.tick(NOW, None).unwrap());
    assert_eq!(seen.of(SHOP, others).live_bytes(), 600);
    drop(held);
}
