//! What a tick costs the recorder and how long a day's file takes to open.
//!
//! `cargo bench -p memtide-record`. Simulated processes, real files; prints a table.

#[path = "../tests/common/mod.rs"]
mod common;

use common::stacks::Stacks;
use common::{Random, Simulation, heap, start, target};
use memtide_model::{Bytes, HeapMode, Nanos};
use memtide_record::{Reader, Writer};
use std::path::Path;
use std::time::{Duration, Instant};

/// Records `ticks` ticks; prints median, 99th percentile and maximum of what one took.
fn record(name: &str, path: &Path, mut simulation: Simulation, ticks: usize) {
    let mut writer =
        Writer::create(path, &target(), &start(simulation.interval)).expect("a new file");
    let mut times = Vec::with_capacity(ticks);
    for _ in 0..ticks {
        let tick = simulation.next();
        let begun = Instant::now();
        writer.tick(&tick).expect("there is room");
        times.push(begun.elapsed());
    }
    writer.finish().expect("there is room");
    times.sort_unstable();
    let at = |part: usize| times.get(ticks * part / 1_000).copied().unwrap_or_default();
    let bytes = std::fs::metadata(path).expect("it is there").len();
    println!(
        "{name:<28} median {:>9.1?}  p99 {:>9.1?}  longest {:>9.1?}  file {bytes} bytes",
        at(500),
        at(990),
        times.last().copied().unwrap_or_default()
    );
}

/// Records the stacks of a program for an hour; prints what a tick of them took and what the end did.
fn record_stacks(name: &str, path: &Path, mut program: Stacks) {
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("a new file");
    writer
        .stacks_start(HeapMode::Full, Bytes(1))
        .expect("there is room");
    let mut times = Vec::with_capacity(3_600);
    for _ in 0..3_600 {
        let seen = program.next();
        let begun = Instant::now();
        writer.stacks(&seen).expect("there is room");
        times.push(begun.elapsed());
    }
    let begun = Instant::now();
    writer.finish().expect("there is room");
    let end = begun.elapsed();
    times.sort_unstable();
    let at = |part: usize| times.get(3_600 * part / 1_000).copied().unwrap_or_default();
    let bytes = std::fs::metadata(path).expect("it is there").len();
    println!(
        "{name:<28} median {:>9.1?}  p99 {:>9.1?}  longest {:>9.1?}  end {end:.1?}  file {bytes} bytes",
        at(500),
        at(990),
        times.last().copied().unwrap_or_default()
    );
}

/// Stores a thousand full snapshots of the heap; prints what one took, and what reading them takes.
fn record_snapshots(name: &str, path: &Path) {
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("a new file");
    let mut random = Random(1);
    let mut times = Vec::with_capacity(1_000);
    for second in 0..1_000 {
        let snapshot = heap::snapshot(&mut random, second, (64, 128, 256));
        let begun = Instant::now();
        writer.heap(&snapshot).expect("there is room");
        times.push(begun.elapsed());
    }
    writer.finish().expect("there is room");
    times.sort_unstable();
    let at = |part: usize| times.get(part).copied().unwrap_or_default();
    let bytes = std::fs::metadata(path).expect("it is there").len();
    let (_, opened) = open(path, 2_000);
    println!(
        "{name:<28} median {:>9.1?}  p99 {:>9.1?}  longest {:>9.1?}  opened in {opened:.1?}  file {bytes} bytes",
        at(500),
        at(990),
        at(999)
    );
}

/// The best of five: what is left is the work, not the neighbours' noise.
fn open(path: &Path, limit: usize) -> (usize, Duration) {
    let once = || {
        let begun = Instant::now();
        let observations = Reader::open(path)
            .and_then(|reader| reader.observations(limit))
            .expect("it was finished");
        (observations.samples.len(), begun.elapsed())
    };
    (0..5)
        .map(|_| once())
        .min_by_key(|(_, time)| *time)
        .unwrap_or_default()
}

/// `VmHWM` of this process in KiB: the recorder's highest RSS so far.
fn peak_rss() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("VmHWM: unknown").to_owned()
}

fn main() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    record_snapshots("1,000 looks into a heap", &path("heap"));
    record(
        "ordinary, an hour",
        &path("hour"),
        Simulation::ordinary(),
        3_600,
    );
    record(
        "ordinary, a day",
        &path("day"),
        Simulation::ordinary(),
        86_400,
    );
    println!("{}", peak_rss());
    for limit in [500, 2_000, usize::MAX] {
        let (samples, time) = open(&path("day"), limit);
        println!("a day opened: {samples} samples in {time:.1?}");
    }
    record(
        "10,000 mappings, an hour",
        &path("monster"),
        Simulation::monster(),
        3_600,
    );
    println!("{}", peak_rss());
    let (samples, time) = open(&path("monster"), 2_000);
    println!("its hour opened: {samples} samples in {time:.1?}");
    let few = Stacks::new(2_000, 20, 10, 10_000);
    record_stacks("2,000 stacks, an hour", &path("few"), few);
    let many = Stacks::new(150_000, 100, 5_000, 8 << 20);
    record_stacks("150,000 stacks, an hour", &path("many"), many);
    println!("{}", peak_rss());
    let (_, time) = open(&path("many"), 2_000);
    println!("its hour opened in {time:.1?}");
}
