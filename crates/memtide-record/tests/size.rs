//! What recordings cost on disk, by simulated processes at 1 Hz.

mod common;

use common::stacks::Stacks;
use common::{Simulation, start, target};
use memtide_model::{
    Bytes, HeapMode, Mapping, MappingClass, MappingState, Nanos, StartTime, ThreadId, ThreadState,
    Tid,
};
use memtide_record::{Reader, Writer};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MB: u64 = 1_000_000;

/// Records for `seconds` of simulated time; returns the file's size and the longest tick.
fn record(path: &Path, mut simulation: Simulation, seconds: u64) -> (u64, Duration) {
    let mut writer =
        Writer::create(path, &target(), &start(simulation.interval)).expect("a new file");
    let mut longest = Duration::ZERO;
    for _ in 0..seconds * Nanos::SECOND.0 / simulation.interval.0 {
        let tick = simulation.next();
        let begun = Instant::now();
        writer.tick(&tick).expect("there is room");
        longest = longest.max(begun.elapsed());
    }
    writer.finish().expect("there is room");
    (std::fs::metadata(path).expect("it is there").len(), longest)
}

#[test]
fn an_ordinary_process_costs_under_1_mb_an_hour() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let (size, _) = record(&path, Simulation::ordinary(), 3_600);
    println!("ordinary process, 1 h at 1 Hz: {size} bytes");
    assert!(size < MB, "{size}");
}

#[test]
fn any_process_costs_under_10_mb_an_hour() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let (size, _) = record(&path, Simulation::monster(), 3_600);
    println!("10,000 mappings and 1,000 threads in motion, 1 h at 1 Hz: {size} bytes");
    assert!(size < 10 * MB, "{size}");
}

/// New mappings with long names and new threads at every tick, none of which lasts.
#[test]
fn a_process_that_changes_mappings_and_threads_all_the_time_is_bounded_too() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    for second in 0..3_600_u64 {
        let mut tick = common::plain_tick(common::BOOT + Nanos::from_secs(second), 4_096, true);
        let new = second * 100..second * 100 + 100;
        let mappings = new.clone().map(|n| MappingState {
            mapping: Arc::new(Mapping {
                address: 0x1000 * n,
                class: MappingClass::Shared,
                protection: *b"rw-s",
                name: format!("/memfd:{}-{n} (deleted)", "x".repeat(200)).into(),
            }),
            size: Bytes(1 << 20),
            rss: Bytes(4_096 * (n % 50)),
        });
        let threads = new.map(|n| ThreadState {
            id: ThreadId {
                tid: Tid(u32::try_from(n % 30_000).expect("small")),
                start: StartTime(n),
            },
            name: format!("request {n}").into(),
            state: b'R',
            min_flt: 50 + n % 7,
            maj_flt: 0,
            cpu_ticks: 1,
            wchan: None,
        });
        tick.mappings = Some(mappings.collect());
        tick.threads = Some(threads.collect());
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let size = std::fs::metadata(&path).expect("it is there").len();
    println!("100 new mappings and threads a second, 1 h: {size} bytes");
    assert!(size < 10 * MB, "{size}");
}

/// Records an ordinary process with call stacks; returns the file's size, how much of it is there
/// without the stacks, the longest time that stacks took, and the program.
fn record_stacks(path: &Path, mut program: Stacks, seconds: u64) -> (u64, Duration, Stacks) {
    let mut simulation = Simulation::ordinary();
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new");
    writer
        .stacks_start(HeapMode::Full, Bytes(1))
        .expect("there is room");
    let mut longest = Duration::ZERO;
    for _ in 0..seconds {
        writer.tick(&simulation.next()).expect("there is room");
        let seen = program.next();
        let begun = Instant::now();
        writer.stacks(&seen).expect("there is room");
        longest = longest.max(begun.elapsed());
    }
    let begun = Instant::now();
    writer.finish().expect("there is room");
    println!("finished in {:?}", begun.elapsed());
    let size = std::fs::metadata(path).expect("it is there").len();
    (size, longest, program)
}

/// 2,000 stacks of 40 frames, of which a few move at each tick.
#[test]
fn the_stacks_of_an_ordinary_program_cost_under_2_mb_an_hour() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let (size, longest, _) = record_stacks(&path, Stacks::new(2_000, 20, 10, 10_000), 3_600);
    println!("ordinary program with 2,000 stacks, 1 h: {size} bytes, longest tick {longest:?}");
    assert!(size < 2 * MB, "{size}");
}

/// New stacks at every tick, more than there is room for, and thousands that move far.
#[test]
fn the_stacks_of_any_program_cost_under_10_mb_an_hour() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let program = Stacks::new(150_000, 100, 5_000, 8 << 20);
    let (size, longest, program) = record_stacks(&path, program, 3_600);
    let begun = Instant::now();
    let reader = Reader::open(&path).expect("it was finished");
    let seen = reader.observations(2_000).expect("it is sound");
    let elapsed = begun.elapsed();
    let seen = seen.stacks.expect("the shim looked");
    let stacks = seen.stacks.len();
    println!(
        "150,000 stacks, 5,000 in motion, 1 h: {size} bytes, longest tick {longest:?}, {stacks} \
         stacks opened in {elapsed:?}"
    );
    assert!(size < 10 * MB, "{size}");
    assert_eq!(
        stacks as u64 - 1 + seen.lost.overflow,
        program.all.len() as u64
    );
    let live: u64 = seen.stacks.iter().map(|h| h.last.live_bytes()).sum();
    assert_eq!(Some(Bytes(live)), seen.totals.last().map(|t| t.live_bytes));
}

/// A day is thinned while it is written: its size is far from 24 hours', and it opens quickly.
#[test]
fn a_day_of_an_ordinary_process_stays_small_and_opens_quickly() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let (size, longest) = record(&path, Simulation::ordinary(), 86_400);
    let begun = Instant::now();
    let reader = Reader::open(&path).expect("it was finished");
    let observations = reader.observations(2_000).expect("it is sound");
    let elapsed = begun.elapsed();
    println!("a day at 1 Hz: {size} bytes, longest tick {longest:?}, opened in {elapsed:?}");
    assert!(size < 6 * MB, "{size}");
    assert_eq!(observations.recording.samples, 86_400);
    let samples = observations.samples.len();
    assert!((1_900..=2_000).contains(&samples), "{samples}");
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    let merged: u64 = observations
        .samples
        .iter()
        .map(|sample| u64::from(sample.merged.samples))
        .sum();
    assert_eq!(merged, 86_400, "every tick is in some sample");
}

/// Slow: run with `MEMTIDE_LONG=1` and in release mode. The large process is recorded at longer
/// intervals: what a month weighs is what thinning leaves, and that is the same.
#[test]
fn a_month_stays_under_100_mb() {
    if std::env::var_os("MEMTIDE_LONG").is_none() || cfg!(debug_assertions) {
        println!("skipped: a month takes minutes; set MEMTIDE_LONG=1 and use --release");
        return;
    }
    // A checkpoint each ten seconds of a month is a quarter of a million syncs: in memory they cost
    // nothing, and sizes are the same.
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a directory");
    let seconds = 30 * 86_400;
    for (name, mut simulation, interval, most) in [
        ("ordinary", Simulation::ordinary(), 1, 40 * MB),
        ("10,000 mappings", Simulation::monster(), 30, 100 * MB),
    ] {
        simulation.interval = Nanos::from_secs(interval);
        let path = place.path().join(name);
        let (size, longest) = record(&path, simulation, seconds);
        let begun = Instant::now();
        let observations = Reader::open(&path)
            .and_then(|reader| reader.observations(2_000))
            .expect("it was finished");
        println!(
            "{name}, 30 days: {size} bytes, longest tick {longest:?}, opened in {:?}",
            begun.elapsed()
        );
        assert!(size < most, "{name}: {size}");
        assert_eq!(observations.recording.samples, seconds / interval);
    }
}
