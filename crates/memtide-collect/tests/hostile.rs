//! Regions with any bytes in them: no panic, no endless loop, no number that cannot be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_collect::Collector;
use memtide_model::Nanos;
use memtide_region::layout::Header;
use std::mem::offset_of;
use std::path::Path;
use support::{Region, Seen};
use tempfile::TempDir;

fn sample() -> Region {
    let mut region = Region::new(7, 1000);
    region.module("/bin/shop", &[1; 20], 0x5_0000);
    region.module("/lib/libc.so.6", &[2; 20], 0x8_0000);
    for i in 0..300_u32 {
        let leaf = region.stack(&[0x5_0100, 0x8_0000 + u64::from(i) * 16, 0x8_1000]);
        region.count(i % 3, leaf, [2, 200, 1, 100, 150, 4, 1, 0]);
    }
    region.put64(offset_of!(Header, peak_epoch), 4);
    region.range(0x7000_0000, 4096);
    region
}

/// Two ticks over these bytes, as of a process that runs and then of one that ended.
fn collect(directory: &Path, bytes: &[u8]) {
    std::fs::write(directory.join("7-0.region"), bytes).unwrap();
    let mut runs = true;
    let is_running = move |_, _| std::mem::replace(&mut runs, false);
    let collector = Collector::open(directory).unwrap();
    let mut collector = collector.with_liveness(is_running);
    let mut seen = Seen::default();
    for target in [Some(7), None] {
        let tick = collector.tick(Nanos(1), target).unwrap();
        for (id, counters) in &tick.changed {
            assert!(counters.freed <= counters.bytes, "{id:?} {counters:?}");
            assert!(counters.frees <= counters.allocs, "{id:?} {counters:?}");
        }
        seen.take(tick);
    }
    for stack in &seen.stacks {
        assert!(stack.frames.len() <= 4096);
    }
    let _ = (collector.hello(7), collector.processes().unwrap());
}

#[test]
fn a_region_that_was_cut_off_anywhere() {
    let dir = TempDir::new().unwrap();
    let whole = sample().bytes;
    for length in (0..whole.len()).step_by(1777) {
        collect(dir.path(), &whole[..length]);
    }
}

#[test]
fn a_region_with_damaged_words() {
    let dir = TempDir::new().unwrap();
    let whole = sample().bytes;
    let mut random = 1_u64;
    for _ in 0..1500 {
        let mut bytes = whole.clone();
        for _ in 0..6 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Half of the damage goes where lengths and offsets are.
            let span = if random & 1 == 0 { 1100 } else { bytes.len() };
            let at = usize::try_from(random >> 8).unwrap() % (span - 8) / 4 * 4;
            let values = [0, u64::MAX, 1 << 63, random, 4];
            let value = values[usize::try_from(random >> 3).unwrap() % 5];
            if at >= 16 {
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        collect(dir.path(), &bytes);
    }
}

#[test]
fn callers_that_call_each_other_end_the_stack() {
    let dir = TempDir::new().unwrap();
    let mut region = Region::new(7, 1000);
    let first = region.node(0x5_0100, 3, 0);
    let second = region.node(0x5_0200, first, 0);
    region.node(0x5_0300, 99, 0);
    region.count(0, second, [1, 1, 0, 0, 0, 0, 0, 0]);
    collect(dir.path(), &region.bytes);
}

#[test]
fn tables_that_claim_more_than_the_file_holds_are_read_as_far_as_it_goes() {
    let dir = TempDir::new().unwrap();
    let mut region = sample();
    for head in [
        offset_of!(Header, nodes),
        offset_of!(Header, modules),
        offset_of!(Header, pages),
        offset_of!(Header, ranges),
        offset_of!(Header, stacks),
    ] {
        region.put32(head, u32::MAX);
    }
    let started = std::time::Instant::now();
    collect(dir.path(), &region.bytes);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    let collector = Collector::open(dir.path()).unwrap();
    let mut collector = collector.with_liveness(|_, _| false);
    let tick = collector.tick(Nanos(1), Some(7)).unwrap();
    assert_eq!(tick.lost.processes, 1, "it is damaged, and that is said");
}
