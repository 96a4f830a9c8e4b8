//! Three days of a process with a daily wave and noise, with a leak of 3 % of its size an hour, and the
//! same without the leak.
//!
//! A sample is taken every second and kept as a recording keeps it: older than a day one a minute, older
//! than an hour one in ten seconds, and of all these 300 for the analysis. What stands for a span of
//! time is its row with the median RSS.

use super::Simulated;
use super::kinds::autoregressive;
use super::process::{judge as judged, sample};
use crate::random::Random;
use memtide_model::{Merged, Sample};

const DAY: usize = 86_400;
const SECONDS: usize = 3 * DAY;
const HOUR: usize = 3_600;
/// Rows that the reader gives.
const ROWS: usize = 300;
/// Share of the size at the start that leaks in an hour.
const LEAK: f64 = 0.03;

/// A second, and the bytes then.
type Point = (f64, f64);

/// A process of a seed; with the leak as well.
fn curves(seed: u64) -> [Vec<Point>; 2] {
    let mut random = Random::new(seed);
    let resident = random.scale(100.0, 2_000.0) * 1_048_576.0;
    let (wave, phase) = (random.scale(0.05, 0.4), random.uniform());
    let size = random.scale(0.01, 0.08);
    let tau = random.scale(10.0, HOUR as f64) / SECONDS as f64;
    let noise = autoregressive(&mut random, SECONDS, tau);
    let curve = |leak: f64| -> Vec<Point> {
        (noise.iter().enumerate())
            .map(|(second, noise)| {
                let t = second as f64;
                let turn = core::f64::consts::TAU * (t / DAY as f64 + phase);
                let height = 1.0 + wave * turn.sin() + size * noise + leak * t / HOUR as f64;
                (t, resident * height)
            })
            .collect()
    };
    [curve(0.0), curve(LEAK)]
}

/// The point with the median value of each group of so many.
fn fold(points: &[Point], width: usize) -> Vec<Point> {
    (points.chunks(width.max(1)))
        .filter_map(|group| {
            let mut sorted = group.to_vec();
            let middle = (sorted.len() - 1) / 2;
            let (_, median, _) = sorted.select_nth_unstable_by(middle, |a, b| a.1.total_cmp(&b.1));
            (!group.is_empty()).then_some(*median)
        })
        .collect()
}

/// As a recording keeps and gives it.
fn kept(points: &[Point]) -> Vec<Sample> {
    let (old, rest) = points.split_at(points.len().saturating_sub(DAY));
    let (hours, last) = rest.split_at(rest.len().saturating_sub(HOUR));
    let mut rows = fold(old, 60);
    rows.extend(fold(hours, 10));
    rows.extend_from_slice(last);
    let width = points.len() as f64 / ROWS as f64;
    let bucket = |point: &Point| (point.0 / width).floor();
    rows.chunk_by(|a, b| (bucket(a) - bucket(b)).abs() < 0.5)
        .filter_map(|group| {
            let (second, bytes) = *fold(group, group.len()).first()?;
            let mut row = sample(second, bytes);
            let ends = |pick: fn(f64, f64) -> f64, from: f64| {
                let value = group
                    .iter()
                    .fold(from, |so_far, point| pick(so_far, point.1));
                sample(second, value).memory.rss
            };
            row.merged = Merged {
                samples: u32::try_from(group.len()).unwrap_or(u32::MAX),
                rss_min: ends(f64::min, f64::INFINITY),
                rss_max: ends(f64::max, 0.0),
            };
            Some(row)
        })
        .collect()
}

/// What is said of both.
pub(super) fn judge(seed: u64) -> [Simulated; 2] {
    let [without, with] = curves(seed);
    [
        Simulated {
            twin: true,
            ..judged("3 days, daily wave", &kept(&without))
        },
        Simulated {
            leaks: true,
            ..judged("3 days, daily wave, leak of 3 % an hour", &kept(&with))
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_a_recording_keeps() {
        let points: Vec<Point> = (0..SECONDS)
            .map(|t| (t as f64, 1e8 + t as f64 * 4096.0))
            .collect();
        let rows = kept(&points);
        assert_eq!(rows.len(), ROWS);
        let merged: u32 = rows.iter().map(|row| row.merged.samples).sum();
        assert_eq!(merged as usize, 2 * DAY / 60 + (DAY - HOUR) / 10 + HOUR);
        assert!(rows.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert!(
            rows.windows(2)
                .all(|pair| pair[0].memory.rss < pair[1].memory.rss)
        );
        assert_eq!(fold(&[(0.0, 3.0), (1.0, 9.0), (2.0, 5.0)], 3), [(2.0, 5.0)]);
    }

    #[test]
    fn the_leak_is_what_the_twins_differ_in() {
        let [without, with] = curves(11);
        let (first, last) = (without[0].1, without[SECONDS - 1].1);
        assert!((with[0].1 - first).abs() < 1e-6);
        let leaked = with[SECONDS - 1].1 - last;
        let per_hour = leaked / (SECONDS as f64 - 1.0) * HOUR as f64;
        // Of the size without wave and noise, which lies between 100 and 2,000 MiB.
        let resident = per_hour / LEAK / 1_048_576.0;
        assert!((100.0..=2_000.0).contains(&resident), "{resident}");
    }
}
