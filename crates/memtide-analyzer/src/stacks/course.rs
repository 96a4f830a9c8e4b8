//! A stack's live bytes over the recording: growth, whether it goes on, rate, and leak score.
//!
//! A history holds a point where the counters changed; between two points the earlier one holds. It is
//! looked at at the moments of the totals, so that all stacks have the same moments.
//!
//! **Growth** is the median of the last twelfth less that of the first, as in the ledger: what is
//! allocated while the program starts is not growth, and what is freed at its very end does not hide
//! it. A record shorter than that of the gate has no warm-up to tell apart: there it is the last value
//! less the first, from nothing where the stack came later or there was one look only.
//!
//! A program that has ended was looked at once more, and often twice at once: its destructors may have freed
//! by then what it held for all its life. Such looks are no course of anything and are left out.
//!
//! **Going on**: a quarter of the growth or more came in the second half of the time. A cache that has
//! filled up does not lead the list, however large it is.
//!
//! **Leak score**: `1 - (frees + 1) / (allocs + 2)`, the rule of succession for "an old block is never
//! freed". Old is the older half of the stack's blocks: with A(t) the blocks made until t and m the
//! moment at which half of them had been made, allocs = A(m) and frees = min(all frees, A(m)). Which
//! block was freed is not recorded; it is assumed that the oldest are freed first, so a stack that
//! keeps its oldest blocks and frees the young ones scores too low. In sampled mode blocks are counted
//! in samples, because one sample that stands for a thousand blocks is one observation.

use crate::statistics::quantile::median;
use crate::statistics::{Series, blocks};
use crate::thresholds::{ENDS, GOES_ON_SHARE, SAMPLES_FOR_RATE, SECONDS_FOR_GROWTH};
use memtide_model::{Bytes, HeapMode, Nanos, Slope, StackCounters, StackHistory, StackPoint};

/// With so many looks those at the end can be spared.
const LOOKS_TO_SPARE: usize = 5;
/// At the end of a program there are no more looks than these that are not of the usual distance.
const CROWDED_LOOKS: usize = 3;

/// The moments at which stacks are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    /// In order.
    at: Vec<Nanos>,
    /// The same in seconds after the first.
    seconds: Vec<f64>,
    /// True if looks at the program's end were left out: the last counters are not of these moments.
    is_cut: bool,
}

/// The course of one stack.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Growth of live bytes.
    pub(super) growth: f64,
    /// Growth of live blocks.
    pub(super) blocks: f64,
    /// Greatest less least live bytes.
    pub(super) range: f64,
    /// True if much of the growth is recent.
    pub(super) goes_on: bool,
    /// Live bytes at the moments, where there is a history.
    series: Series,
}

impl Moments {
    /// At most `most` of these, evenly chosen, the first and the last among them; of a program that has
    /// ended those of its life.
    pub(super) fn of(times: impl Iterator<Item = Nanos>, ended: bool, most: usize) -> Self {
        let mut all: Vec<Nanos> = times.collect();
        all.sort_unstable();
        all.dedup();
        let is_cut = ended && leave_out_end(&mut all);
        let n = all.len();
        let at: Vec<Nanos> = if n <= most {
            all
        } else {
            (0..most).map(|k| all[k * (n - 1) / (most - 1)]).collect()
        };
        let seconds = (at.iter()).map(|t| t.seconds_since(at[0])).collect();
        Self {
            at,
            seconds,
            is_cut,
        }
    }

    /// The last one.
    pub(super) fn end(&self) -> Option<Nanos> {
        self.at.last().copied()
    }

    /// True if the record is long enough to tell a warm-up from growth.
    pub(super) fn has_warm_up(&self) -> bool {
        self.at.len() >= SAMPLES_FOR_RATE
            && self.seconds.last().copied().unwrap_or(0.0) >= SECONDS_FOR_GROWTH
    }

    /// Growth of values at these moments.
    pub(super) fn growth(&self, values: &[f64]) -> f64 {
        match values {
            [] => 0.0,
            [only] => *only,
            [first, .., last] if !self.has_warm_up() => last - first,
            _ => {
                let end = (values.len() / ENDS).max(3).min(values.len());
                median(&values[values.len() - end..]) - median(&values[..end])
            }
        }
    }

    /// Whether a quarter of the growth or more came in the second half.
    fn goes_on(&self, values: &[f64], growth: f64) -> bool {
        if !self.has_warm_up() {
            return growth > 0.0;
        }
        let middle = values.len() / 2;
        let end = (values.len() / ENDS).max(3).min(values.len());
        let late = median(&values[values.len() - end..]) - median(&values[middle - 1..=middle + 1]);
        growth > 0.0 && late >= GOES_ON_SHARE * growth
    }
}

impl Course {
    /// The course of a stack at these moments; `None` if it has no history.
    pub(super) fn of(history: &StackHistory, moments: &Moments) -> Option<Self> {
        let first = history.points.first()?;
        if moments.at.len() < 2 {
            let live = history.last.live_bytes() as f64;
            return Some(Self {
                growth: live,
                blocks: history.last.live_blocks() as f64,
                range: live,
                goes_on: live > 0.0,
                series: Series::default(),
            });
        }
        let bytes = as_of(history, moments, |point| point.live_bytes.as_f64());
        let blocks = as_of(history, moments, |point| {
            point.allocs.saturating_sub(point.frees) as f64
        });
        let mut growth = moments.growth(&bytes);
        if !moments.has_warm_up() && moments.at[0] < first.at {
            // It came later: it grew from nothing, which as_of has put there.
            growth = bytes.last().copied().unwrap_or_default();
        }
        let series = Series {
            t: moments.seconds.clone(),
            y: bytes,
        };
        Some(Self {
            growth,
            blocks: moments.growth(&blocks),
            range: series.range(),
            goes_on: moments.goes_on(&series.y, growth),
            series,
        })
    }

    /// A stack without history among others that have one: it moved by at most `most` bytes.
    pub(super) fn unknown(last: &StackCounters, most: f64) -> Self {
        let live = last.live_bytes() as f64;
        Self {
            growth: live.min(most),
            blocks: if live <= most {
                last.live_blocks() as f64
            } else {
                0.0
            },
            range: live.min(most),
            goes_on: false,
            series: Series::default(),
        }
    }

    /// Slope of the live bytes; `None` with too few moments.
    pub(super) fn slope(&self) -> Option<Slope> {
        blocks::slope_with_interval(&self.series)
    }
}

/// Leaves out those at the end that follow one another faster than by half of what is usual, and the one
/// before them: all of them may have come after the program's last act. Says whether there were enough
/// to do so.
fn leave_out_end(at: &mut Vec<Nanos>) -> bool {
    if at.len() < LOOKS_TO_SPARE {
        return false;
    }
    let gaps: Vec<f64> = (at.windows(2))
        .map(|pair| pair[1].seconds_since(pair[0]))
        .collect();
    let usual = median(&gaps);
    let crowded = gaps.iter().rev().take_while(|gap| **gap < usual / 2.0);
    let spared = crowded.count().min(CROWDED_LOOKS) + 1;
    at.truncate(at.len() - spared.min(at.len() - 2));
    true
}

/// A value of the history at each moment: zero before the first point, the last counters at the end.
fn as_of(history: &StackHistory, moments: &Moments, value: fn(&StackPoint) -> f64) -> Vec<f64> {
    let points = in_order(&history.points);
    let last = StackPoint {
        at: Nanos(0),
        allocs: history.last.allocs,
        frees: history.last.frees,
        live_bytes: Bytes(history.last.live_bytes()),
    };
    let mut next = 0;
    let mut now = 0.0;
    let mut values = Vec::with_capacity(moments.at.len());
    for (index, &at) in moments.at.iter().enumerate() {
        while let Some(point) = points.get(next).filter(|point| point.at <= at) {
            now = value(point);
            next += 1;
        }
        if index + 1 == moments.at.len() && !moments.is_cut {
            now = value(&last);
        }
        values.push(now);
    }
    values
}

/// The points in order of time, which a recording gives and a hostile file may not.
fn in_order(points: &[StackPoint]) -> std::borrow::Cow<'_, [StackPoint]> {
    if points.is_sorted_by_key(|point| point.at) {
        return points.into();
    }
    let mut sorted = points.to_vec();
    sorted.sort_by_key(|point| point.at);
    sorted.into()
}

/// The leak score; `None` for a stack that made no blocks, or of which no sample was taken. Looks at the
/// program's end that were left out of the moments are left out here, too.
pub(super) fn leak_score(history: &StackHistory, mode: HeapMode, moments: &Moments) -> Option<f64> {
    let points = in_order(&history.points);
    let last = &history.last;
    let end = (points.iter()).rfind(|point| moments.end().is_some_and(|end| point.at <= end));
    let (all, frees) = match end {
        Some(end) if moments.is_cut => (end.allocs, end.frees),
        _ => (last.allocs, last.frees),
    };
    let half = all.div_ceil(2);
    let old = (points.iter().map(|point| point.allocs))
        .find(|&count| count >= half)
        .unwrap_or(half)
        .min(all) as f64;
    let (allocs, frees) = match mode {
        HeapMode::Full => (old, frees as f64),
        // In samples: the same share of them as of the blocks.
        HeapMode::Sampled => (
            last.samples as f64 * old / last.allocs as f64,
            last.freed_samples as f64 * (frees as f64 / last.frees.max(1) as f64),
        ),
    };
    (allocs > 0.0).then(|| 1.0 - (frees.min(allocs) + 1.0) / (allocs + 2.0))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
mod tests {
    use super::*;
    use memtide_model::{CallStack, StackEnd, StackKind, StackOwner};

    /// A stack with points (second, blocks made, blocks freed) of 10 bytes each.
    fn history(points: &[(u64, u64, u64)]) -> StackHistory {
        let (_, allocs, frees) = points.last().copied().unwrap_or_default();
        StackHistory {
            stack: CallStack {
                kind: StackKind::Heap,
                owner: StackOwner::Target,
                end: StackEnd::Root,
                frames: Vec::new(),
            },
            last: StackCounters {
                allocs,
                bytes: allocs * 10,
                frees,
                freed: frees * 10,
                ..StackCounters::default()
            },
            points: (points.iter())
                .map(|&(at, allocs, frees)| StackPoint {
                    at: Nanos::from_secs(at),
                    allocs,
                    frees,
                    live_bytes: Bytes((allocs - frees) * 10),
                })
                .collect(),
        }
    }

    fn every_second(seconds: u64) -> Moments {
        Moments::of((0..=seconds).map(Nanos::from_secs), false, 1000)
    }

    #[test]
    fn a_steady_leak_has_its_growth_and_slope() {
        // 7 blocks of 10 bytes each second, for a minute.
        let points: Vec<_> = (0..=60).map(|k| (k, 7 * k, 0)).collect();
        let course = Course::of(&history(&points), &every_second(60)).expect("a history");
        // Medians of the first and last five: seconds 2 and 58.
        assert_eq!((course.growth, course.blocks), (56.0 * 70.0, 56.0 * 7.0));
        assert!(course.goes_on);
        let slope = course.slope().expect("61 moments");
        assert!((slope.per_second - 70.0).abs() < 1e-9, "{slope:?}");
    }

    #[test]
    fn warm_up_is_no_growth_and_a_filled_cache_does_not_go_on() {
        let tables = Course::of(&history(&[(0, 1, 0), (2, 900, 0)]), &every_second(60));
        let tables = tables.expect("a history");
        assert_eq!(tables.growth, 0.0);
        assert_eq!(tables.range, 8_990.0);
        let cache: Vec<_> = (0..=60).map(|k: u64| (k, (30 * k).min(600), 0)).collect();
        let cache = Course::of(&history(&cache), &every_second(60)).expect("a history");
        assert!(cache.growth > 5_000.0 && !cache.goes_on, "{cache:?}");
    }

    #[test]
    fn short_records_go_from_the_first_look_to_the_last() {
        let moments = every_second(3);
        let there = Course::of(&history(&[(0, 4, 0), (3, 9, 1)]), &moments).expect("a history");
        assert_eq!((there.growth, there.blocks), (40.0, 4.0));
        let later = Course::of(&history(&[(2, 4, 0), (3, 9, 1)]), &moments).expect("a history");
        assert_eq!((later.growth, later.blocks), (80.0, 8.0));
        let once = Course::of(&history(&[(0, 4, 0)]), &every_second(0)).expect("a history");
        assert_eq!((once.growth, once.blocks), (40.0, 4.0));
        assert!(Course::of(&history(&[]), &moments).is_none());
        assert_eq!(once.slope(), None);
    }

    #[test]
    fn what_destructors_free_at_the_end_was_a_leak_all_the_same() {
        // (milliseconds after the last whole second, share of the blocks freed in sevenths)
        let burst = &[(100, 3), (200, 7), (300, 7)][..];
        let once = &[(1000, 7)][..];
        let late_and_at_once_again = &[(900, 7), (901, 7)][..];
        // Seconds of life, looks at the end, the last second that is looked at, growth per 10 bytes and 7 blocks.
        for (seconds, ends, kept, growth) in [
            (5, burst, 4_u64, 4.0),
            (60, burst, 59, 55.0),
            (60, once, 60, 56.0),
            (60, late_and_at_once_again, 60, 56.0),
        ] {
            let mut history = history(&(0..=seconds).map(|k| (k, 7 * k, 0)).collect::<Vec<_>>());
            let mut moments: Vec<Nanos> = (0..=seconds).map(Nanos::from_secs).collect();
            for &(milliseconds, freed) in ends {
                let frees = freed * seconds;
                let at = Nanos((seconds * 1000 + milliseconds) * 1_000_000);
                moments.push(at);
                history.points.push(StackPoint {
                    at,
                    allocs: 7 * seconds,
                    frees,
                    live_bytes: Bytes((7 * seconds - frees) * 10),
                });
                (history.last.frees, history.last.freed) = (frees, frees * 10);
            }
            let moments = Moments::of(moments.into_iter(), true, 1000);
            // All of the older half were kept: (0 + 1) / (A + 2), with A the blocks at half the time.
            let old = 7 * kept.div_ceil(2);
            let score = leak_score(&history, HeapMode::Full, &moments);
            assert_eq!(score, Some(1.0 - 1.0 / (old as f64 + 2.0)));
            let course = Course::of(&history, &moments).expect("a history");
            assert_eq!(course.growth, growth * 70.0);
            assert!(course.goes_on);
            assert_eq!(course.series.y.last(), Some(&(70.0 * kept as f64)));
        }
    }

    #[test]
    fn leak_scores_are_of_the_older_half() {
        // Nothing freed: (0 + 1) / (A + 2).
        let moments = every_second(9);
        let full =
            |points: &[(u64, u64, u64)]| leak_score(&history(points), HeapMode::Full, &moments);
        assert_eq!(full(&[(0, 49, 0), (9, 98, 0)]), Some(1.0 - 1.0 / 51.0));
        // Half made by second 5: of those 50 all are thought freed, though 50 are live.
        assert_eq!(
            full(&[(0, 10, 0), (5, 50, 20), (9, 100, 50)]),
            Some(1.0 - 51.0 / 52.0)
        );
        // All made in one burst: none is older than another.
        assert_eq!(full(&[(0, 100, 0), (9, 100, 60)]), Some(1.0 - 61.0 / 102.0));
        assert_eq!(full(&[]), None);
        let mut without_points = history(&[(0, 10, 2)]);
        without_points.points.clear();
        assert_eq!(
            leak_score(&without_points, HeapMode::Full, &moments),
            Some(1.0 - 3.0 / 7.0)
        );
        // One sample that stands for 10,000 blocks is one observation.
        let mut sampled = history(&[(0, 10_000, 0)]);
        (sampled.last.samples, sampled.last.freed_samples) = (1, 0);
        assert_eq!(
            leak_score(&sampled, HeapMode::Sampled, &moments),
            Some(1.0 - 1.0 / 3.0)
        );
        sampled.last.samples = 0;
        assert_eq!(leak_score(&sampled, HeapMode::Sampled, &moments), None);
    }

    #[test]
    fn points_out_of_order_are_put_in_order() {
        let mut mixed = history(&[(0, 0, 0), (1, 10, 0), (2, 20, 0), (3, 30, 0)]);
        mixed.points.swap(0, 3);
        let course = Course::of(&mixed, &every_second(3)).expect("a history");
        assert_eq!(course.series.y, [0.0, 100.0, 200.0, 300.0]);
    }
}
