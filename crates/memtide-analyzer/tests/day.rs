//! A day of one sample a second with 200 mappings: what its analysis takes, in time and memory.
//!
//! Once with all 86,400 samples in hand, and once on the road that a user takes: a recording is opened for 300 samples
//! and analysed. It is one test, because memory is that of the whole process.

#[path = "../../memtide-record/tests/common/mod.rs"]
mod common;

use common::Simulation;
use memtide_analyzer::analyze;
use memtide_model::{Findings, MappingHistory, MappingPoint, Nanos, Observations, Recording, Tick};
use memtide_record::{Reader, Writer};
use std::path::Path;
use std::time::{Duration, Instant};

const DAY: u64 = 86_400;
const MAPPINGS: usize = 200;
/// Mappings that touch new pages each second.
const MOVING: usize = 20;
const MIB: f64 = 1_048_576.0;

/// A size of `/proc/self/status`, in bytes.
fn of_status(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(key));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.expect("a size in KiB") * 1024.0
}

/// What it returns, how long it takes, and by how much resident memory rises at most meanwhile.
fn measured<T>(work: impl FnOnce() -> T) -> (T, Duration, f64) {
    // Resets the high-water mark of this process (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").expect("it is ours");
    let before = of_status("VmRSS:");
    let begun = Instant::now();
    let done = work();
    let took = begun.elapsed();
    (done, took, of_status("VmHWM:") - before)
}

/// Adds what a tick tells to the observations; a mapping has a point where it changed.
fn add(observations: &mut Observations, tick: &Tick) {
    let at = tick.sample.at;
    observations.samples.push(tick.sample);
    for (index, state) in tick.mappings.iter().flatten().enumerate() {
        let point = MappingPoint {
            at,
            size: state.size,
            rss: state.rss,
        };
        match observations.mappings.get_mut(index) {
            None => observations.mappings.push(MappingHistory {
                mapping: state.mapping.clone(),
                points: vec![point],
                gone: false,
            }),
            // The reader keeps as many points as it gives samples.
            Some(history) if at.0 / Nanos::from_secs(288).0 != history.last_slot() => {
                history.points.push(point);
            }
            Some(_) => {}
        }
    }
}

trait Slot {
    fn last_slot(&self) -> u64;
}

impl Slot for MappingHistory {
    fn last_slot(&self) -> u64 {
        (self.points.last()).map_or(0, |point| point.at.0 / Nanos::from_secs(288).0)
    }
}

/// All of a day, recorded in the file as well.
fn day(path: &Path) -> Observations {
    let mut simulation = Simulation::new(Nanos::SECOND, (MAPPINGS, MOVING), (10, 10));
    let mut writer =
        Writer::create(path, &common::target(), &common::start(Nanos::SECOND)).expect("a new file");
    let recording = Recording {
        started: common::BOOT,
        ended: common::BOOT + Nanos::from_secs(DAY),
        interval: Nanos::SECOND,
        samples: DAY,
        complete: true,
        ..Recording::default()
    };
    let samples = Vec::with_capacity(86_400);
    let mut all = Observations::of_samples(common::target(), recording, samples);
    for _ in 0..DAY {
        let tick = simulation.next();
        add(&mut all, &tick);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    all
}

fn judge(what: &str, (findings, took, rose): (Findings, Duration, f64)) {
    println!("{what}: {took:?}, {:.1} MiB more", rose / MIB);
    assert!(findings.report.recording.seconds > 0.99 * DAY as f64);
    assert!(took < Duration::from_secs(1), "{what}: {took:?}");
    assert!(rose < 100.0 * MIB, "{what}: {:.1} MiB", rose / MIB);
}

/// Measured in release builds only: unoptimised statistics say nothing.
#[test]
#[cfg_attr(debug_assertions, ignore = "needs --release")]
fn a_day_at_one_hertz_takes_under_a_second_and_100_mib() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let all = day(&path);
    assert_eq!((all.samples.len(), all.mappings.len()), (86_400, MAPPINGS));
    judge("all samples", measured(|| analyze(&all)));
    drop(all);
    let opened = measured(|| {
        let reader = Reader::open(&path).expect("it was finished");
        analyze(&reader.observations(300).expect("it is sound"))
    });
    judge("a recording, opened", opened);
}
