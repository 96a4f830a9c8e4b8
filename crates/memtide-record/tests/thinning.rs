//! Thinning against a model that knows nothing of it: all ticks are kept in memory and folded with
//! a few lines; the file has to say the same.

mod common;

use common::{BOOT, Random, plain_tick, start, target};
use memtide_model::{Bytes, Mapping, MappingClass, MappingState, Merged, Nanos, Sample, Tick};
use memtide_record::{Reader, Writer};
use std::path::Path;
use std::sync::Arc;

/// A day and four hours, a tick every two seconds, values that repeat and change at random.
fn ticks(seed: u64, seconds: u64, step: u64) -> Vec<Tick> {
    let mut random = Random(seed);
    let (mut rss, mut threads, mut faults) = (1_000_u64, 1, 0);
    let ticks = (0..seconds / step).map(|n| {
        if random.below(3) > 0 {
            rss = 1_000 + random.below(5_000);
        }
        if random.below(40) == 0 {
            threads = random.below(9);
        }
        faults += random.below(2);
        let at = BOOT + Nanos(n * step * 1_000_000_000 + random.below(400_000_000));
        let mut tick = plain_tick(at, rss * 4_096, random.below(5) < 2);
        tick.sample.counts.threads = threads;
        tick.sample.activity.min_flt = faults;
        tick
    });
    ticks.collect()
}

/// What has to be left of these samples when the last tick was taken: `(age, bucket)` per stage,
/// the youngest first.
fn model(samples: &[Sample], stages: &[(u64, u64)]) -> Vec<Sample> {
    let now = samples.last().expect("there are samples").at;
    let mut left = samples.to_vec();
    for (age, bucket) in stages {
        let number = |sample: &Sample| (sample.at - BOOT).0 / (bucket * 1_000_000_000);
        let due = |sample: &Sample| {
            let end = BOOT + Nanos::from_secs((number(sample) + 1) * bucket + age);
            end <= now
        };
        let mut kept = Vec::new();
        for group in left.chunk_by(|a, b| number(a) == number(b)) {
            if due(&group[0]) {
                kept.push(folded(group));
            } else {
                kept.extend_from_slice(group);
            }
        }
        left = kept;
    }
    left
}

fn folded(group: &[Sample]) -> Sample {
    let with_maps: Vec<&Sample> = group.iter().filter(|s| s.maps.is_some()).collect();
    let mut candidates = if with_maps.is_empty() {
        group.iter().collect()
    } else {
        with_maps
    };
    candidates.sort_by_key(|sample| sample.memory.rss);
    let mut kept = *candidates[(candidates.len() - 1) / 2];
    kept.merged = Merged {
        samples: group.iter().map(|sample| sample.merged.samples).sum(),
        rss_min: group
            .iter()
            .map(|sample| sample.merged.rss_min)
            .min()
            .expect("not empty"),
        rss_max: group
            .iter()
            .map(|sample| sample.merged.rss_max)
            .max()
            .expect("not empty"),
    };
    kept
}

fn record(path: &Path, ticks: &[Tick], interval: Nanos) -> Writer {
    let mut writer = Writer::create(path, &target(), &start(interval)).expect("new");
    for tick in ticks {
        writer.tick(tick).expect("there is room");
    }
    writer
}

/// What is in the file, with what thinning would still do: it is allowed to be late by some steps.
fn check(random: u64, seconds: u64, step: u64, stages: &[(u64, u64)]) {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let ticks = ticks(random, seconds, step);
    let writer = record(&path, &ticks, Nanos::from_secs(step));
    let seen = Reader::open(&path).and_then(|reader| reader.observations(usize::MAX));
    let seen = seen.expect("it is being written");
    let samples: Vec<Sample> = ticks.iter().map(|tick| tick.sample).collect();
    let want = model(&samples, stages);
    assert_eq!(seen.samples.len(), want.len(), "of {} ticks", ticks.len());
    for (got, want) in seen.samples.iter().zip(&want) {
        assert_eq!(got, want);
    }
    assert_eq!(seen.recording.samples, ticks.len() as u64);
    writer.finish().expect("there is room");
    let done = Reader::open(&path).and_then(|reader| reader.observations(usize::MAX));
    assert_eq!(done.expect("sound").samples, want);
}

#[test]
fn after_an_hour_ten_seconds_are_one_sample() {
    check(1, 3 * 3_600, 2, &[(3_600, 10)]);
}

#[test]
fn after_a_day_a_minute_is_one_sample() {
    check(2, 26 * 3_600, 4, &[(3_600, 10), (86_400, 60)]);
}

#[test]
fn intervals_longer_than_a_bucket_are_left_alone() {
    check(3, 5 * 3_600, 20, &[]);
}

#[test]
fn short_intervals_are_thinned_to_a_second_after_ten_minutes() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let interval = Nanos(200_000_000);
    let ticks: Vec<Tick> = (0..5 * 1_200)
        .map(|n| plain_tick(BOOT + Nanos(n * interval.0), 4_096 * (n % 7), n % 3 == 0))
        .collect();
    let _writer = record(&path, &ticks, interval);
    let seen = Reader::open(&path).and_then(|reader| reader.observations(usize::MAX));
    let seen = seen.expect("it is being written");
    let samples: Vec<Sample> = ticks.iter().map(|tick| tick.sample).collect();
    assert_eq!(seen.samples, model(&samples, &[(600, 1)]));
}

/// A mapping that grows, one that lives for a minute two hours ago, one that stays.
#[test]
fn old_mappings_keep_their_course_and_short_lived_ones_go() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mapping = |address| {
        Arc::new(Mapping {
            address,
            class: MappingClass::Anon,
            protection: *b"rw-p",
            name: "".into(),
        })
    };
    let (grows, short, stays) = (mapping(0x1000), mapping(0x2000), mapping(0x3000));
    let mut writer = Writer::create(&path, &target(), &start(Nanos::from_secs(2))).expect("new");
    let hours = 30;
    for second in (0..hours * 3_600_u64).step_by(2) {
        let mut tick = plain_tick(BOOT + Nanos::from_secs(second), 4_096, false);
        let state = |mapping: &Arc<Mapping>, rss| MappingState {
            mapping: Arc::clone(mapping),
            size: Bytes(1 << 30),
            rss: Bytes(rss),
        };
        let mut states = vec![state(&grows, second * 4_096), state(&stays, 77)];
        if (7_300..7_360).contains(&second) {
            states.push(state(&short, 4_096));
        }
        tick.mappings = Some(states);
        writer.tick(&tick).expect("there is room");
    }
    writer.finish().expect("there is room");
    let seen = Reader::open(&path).and_then(|reader| reader.observations(usize::MAX));
    let seen = seen.expect("sound");
    assert_eq!(seen.mappings.len(), 2, "the short-lived one is gone");
    let history = seen
        .mappings
        .iter()
        .find(|history| *history.mapping == *grows);
    let points = &history.expect("it moved most").points;
    // Fewer than one a minute and more than one an hour.
    assert!((200..3_000).contains(&points.len()), "{}", points.len());
    for point in points {
        let second = (point.at - BOOT).0 / 1_000_000_000;
        let want = point.rss.0 / 4_096;
        assert!(
            second.abs_diff(want) <= 20,
            "{second} s has the value of {want} s"
        );
    }
    let stays = seen
        .mappings
        .iter()
        .find(|history| *history.mapping == *stays);
    assert_eq!(stays.expect("it is there").points.len(), 1);
}
