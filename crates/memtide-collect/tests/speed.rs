//! What a tick costs. The bounds hold for optimised builds; others are ten times slower.
//!
//! Figures: `cargo test --release -p memtide-collect --test speed -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_collect::Collector;
use memtide_model::Nanos;
use std::time::{Duration, Instant};
use support::Region;
use tempfile::TempDir;

const SLOW: u32 = if cfg!(debug_assertions) { 20 } else { 1 };

/// Stacks of 12 frames that share their outer ones; every leaf is counted by `threads` threads.
fn region(stacks: u64, threads: u32) -> Region {
    let mut region = Region::new(7, 1000);
    for module in 0..50 {
        region.module(&format!("/lib/{module}.so"), &[1; 20], module << 20);
    }
    let address = |i: u64| ((i % 50) << 20) + 0x100 + (i * 0x9e37 % 0xf000);
    let outer = region.stack(&[1, 2, 3, 4, 5, 6, 7, 8].map(address));
    let mut middle = outer;
    for i in 0..stacks {
        if i % 4 == 0 {
            middle = region.node(address(i + 10), outer, 0);
        }
        let leaf = region.node(address(i + 1000), middle, 0);
        for thread in 0..threads {
            region.count(thread, leaf, [i + 2, 64 * (i + 2), 1, 64, 0, 0, 0, 0]);
        }
    }
    region
}

/// The shortest of several ticks, of which each finds all counters as they were.
fn shortest_tick(collector: &mut Collector) -> Duration {
    let tick = |collector: &mut Collector| {
        let started = Instant::now();
        collector.tick(Nanos(1), Some(7)).unwrap();
        started.elapsed()
    };
    (0..20).map(|_| tick(collector)).min().unwrap()
}

#[test]
fn ten_thousand_stacks_cost_under_five_milliseconds_a_tick() {
    let dir = TempDir::new().unwrap();
    for (threads, most) in [(1, 5), (8, 20)] {
        region(10_000, threads).save(dir.path(), "7-0");
        let collector = Collector::open(dir.path()).unwrap();
        let mut collector = collector.with_liveness(|_, _| true);
        let started = Instant::now();
        let tick = collector.tick(Nanos(1), Some(7)).unwrap();
        let first = started.elapsed();
        assert_eq!(tick.changed.len(), 10_000);
        let next = shortest_tick(&mut collector);
        println!("10,000 stacks, {threads} threads: first tick {first:?}, each next {next:?}");
        let bound = Duration::from_millis(most) * SLOW;
        assert!(next < bound, "{next:?} for {threads} threads");
    }
}

#[test]
fn half_a_million_nodes_are_read() {
    let dir = TempDir::new().unwrap();
    region(400_000, 1).save(dir.path(), "7-0");
    let collector = Collector::open(dir.path()).unwrap();
    let mut collector = collector.with_liveness(|_, _| true);
    let started = Instant::now();
    let tick = collector.tick(Nanos(1), Some(7)).unwrap();
    let first = started.elapsed();
    assert_eq!(tick.changed.len(), tick.new_stacks.len());
    let blocks: u64 = tick.changed.iter().map(|(_, c)| c.live_blocks()).sum();
    assert_eq!(blocks, (0..400_000).map(|i| i + 1).sum::<u64>());
    let next = shortest_tick(&mut collector);
    println!("500,010 nodes, 400,000 stacks: first tick {first:?}, each next {next:?}");
    assert!(first < Duration::from_secs(3) * SLOW, "{first:?}");
    assert!(next < Duration::from_millis(250) * SLOW, "{next:?}");
}
