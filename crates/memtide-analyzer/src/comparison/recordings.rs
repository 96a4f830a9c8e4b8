//! Recordings side by side: before and after a fix, release against release.
//!
//! ```text
//! rate   = the slope of RSS with its 90 % interval; zero where the shape has an end (a plateau's slope says nothing)
//! slower ⟺ high < low of the first recording, and the difference is material over the shorter of the two
//! ```
//!
//! The rate of RSS decides; where it shows nothing, that of `heap_live`, where both have that account. Two
//! intervals of 90 % that do not overlap are a test at about 2 % (Schenker and Gentleman 2001), of the two records and
//! not of the programs: one run each has no spread between runs, so levels are shown and not judged.

mod said;

use super::stacks::Listed;
use super::{arms, stacks};
use crate::statistics::quantile::median_of;
use crate::statistics::{Series, blocks};
use crate::thresholds::{MATERIAL_BYTES, MATERIAL_SHARE};
use memtide_model::comparison::{
    Arm, Compared, Comparison, Medians, Overhead, Ratio, SCHEMA, Statistics, Trial,
};
use memtide_model::report::LedgerRow;
use memtide_model::{Account, Findings, Shape, Slope};

/// Points of the chart at most.
const MOST_POINTS: usize = 300;

/// Holds recordings against the first of them, each with the name that it goes by. Never fails.
pub fn recordings(recordings: Vec<(String, Findings)>) -> Comparison {
    let sides: Vec<Side> = recordings.into_iter().map(Side::of).collect();
    let arms: Vec<Arm> = (sides.iter().enumerate())
        .map(|(index, side)| side.arm(index, sides.first()))
        .collect();
    Comparison {
        schema: SCHEMA.to_owned(),
        of: Compared::Recordings,
        baseline: arms.first().map_or_else(String::new, |arm| arm.arm.clone()),
        command: Vec::new(),
        load: None,
        runs: 1,
        seed: 0,
        arms,
        statistics: Statistics {
            tested: sides.len().saturating_sub(1) as u64,
            ..Statistics::default()
        },
        overhead: Overhead::default(),
        verdict: said::verdict(&sides),
        warnings: said::warnings(&sides),
    }
}

/// One recording with what is compared of it.
struct Side {
    name: String,
    findings: Findings,
    rss: Series,
    /// Rate of RSS; `None` where it is too short for one.
    rate: Option<Slope>,
    /// Rate of `heap_live`.
    live: Option<Slope>,
}

/// How a rate stands to that of the first recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Slower,
    Faster,
    Same,
}

/// Which series says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rss,
    Live,
}

impl Side {
    fn of((name, findings): (String, Findings)) -> Self {
        let points = &findings.timeline.points;
        let rss = Series::of(points.iter().map(|p| (p.seconds, p.rss.as_f64())));
        let live = Series::of(points.iter().filter_map(|point| {
            let accounts = point.accounts.iter();
            let live = accounts
                .into_iter()
                .find(|(account, _)| *account == Account::HeapLive)?;
            Some((point.seconds, live.1 as f64))
        }));
        let growth = &findings.report.growth;
        let measured = (growth.rss_bytes_per_second.zip(growth.low).zip(growth.high)).map(
            |((per_second, low), high)| Slope {
                per_second,
                low,
                high,
            },
        );
        let shape = |account| row(&findings, account).map_or(Shape::Unclear, |row| row.shape);
        let (rss_shape, live_shape) = (growth.shape, shape(Account::HeapLive));
        Self {
            rate: measured
                .filter(is_finite)
                .map(|slope| judged(rss_shape, slope)),
            live: blocks::slope_with_interval(&live)
                .filter(is_finite)
                .map(|slope| judged(live_shape, slope)),
            name,
            findings,
            rss,
        }
    }

    fn seconds(&self) -> f64 {
        self.findings.report.recording.seconds
    }

    fn grows(&self) -> Option<bool> {
        let unbounded = self.findings.report.growth.shape.is_unbounded();
        Some(unbounded && self.rate?.low > 0.0)
    }

    /// How its rate stands to that of the first, and by which series; `None` where either has no rate.
    fn direction(&self, first: &Self) -> Option<(Direction, By)> {
        let material = self.material_rate(first);
        let of_rss = direction(self.rate?, first.rate?, material);
        match (of_rss, self.live, first.live) {
            (Direction::Same, Some(live), Some(before)) => {
                Some((direction(live, before, material), By::Live))
            }
            _ => Some((of_rss, By::Rss)),
        }
    }

    /// Least difference of two rates that comes to anything in the time of the shorter recording.
    fn material_rate(&self, first: &Self) -> f64 {
        self.material().max(first.material()) / self.seconds().min(first.seconds())
    }

    /// Least movement that means anything, in bytes, as in the analysis of one recording.
    fn material(&self) -> f64 {
        MATERIAL_BYTES.max(MATERIAL_SHARE * median_of(self.rss.y.clone()))
    }

    fn stacks(&self) -> Option<Listed<'_>> {
        let report = &self.findings.report;
        let (rows, exe) = (report.stacks.as_ref()?, &report.target.exe);
        Some(Listed { rows, exe })
    }

    fn arm(&self, index: usize, first: Option<&Self>) -> Arm {
        let report = &self.findings.report;
        let trial = self.trial(index);
        let first = first.filter(|_| index > 0);
        let listed = |first: &Self| Some(stacks::differences(first.stacks()?, self.stacks()?));
        Arm {
            allocator: report.target.allocator.clone(),
            median: medians(&trial),
            growth_ratio: first.and_then(|first| self.ratio(first)),
            grows: self.grows(),
            ledger: report.ledger.clone(),
            verdict: Some(report.verdict.summary.clone()),
            stacks: first.and_then(listed),
            runs: vec![trial],
            ..arms::bare(self.name.clone())
        }
    }

    fn trial(&self, index: usize) -> Trial {
        let report = &self.findings.report;
        let points = &self.findings.timeline.points;
        let peak = points
            .iter()
            .map(|point| point.rss_range.1.max(point.rss).0);
        let end = bytes(if self.rss.is_empty() {
            0.0
        } else {
            self.rss.end()
        });
        let chart = self.rss.thinned(MOST_POINTS);
        let heap = report.heap.as_ref();
        Trial {
            order: index as u64 + 1,
            recording: Some(report.recording.file.clone()).filter(|file| !file.is_empty()),
            peak_rss: peak.max().unwrap_or(0),
            end_rss: end,
            settled_rss: end,
            mean_rss: bytes(self.rss.mean_over_time().unwrap_or(0.0)),
            bytes_per_second: report.growth.rss_bytes_per_second,
            low: report.growth.low,
            high: report.growth.high,
            shape: Some(report.growth.shape),
            heap_live: heap.map(|heap| heap.live_resident_bytes),
            heap_retained: heap
                .map(|heap| heap.resident_bytes.saturating_sub(heap.live_resident_bytes)),
            wall_seconds: self.seconds(),
            cost_cpu_seconds: report.recording.cost_cpu_seconds,
            work_ended_at: Some(self.seconds()),
            rss: (chart.t.iter().zip(&chart.y))
                .map(|(&t, &y)| (t, bytes(y)))
                .collect(),
            ..Trial::default()
        }
    }

    /// Its rate over that of the first, where that grows: by the ends of both intervals, so at least as wide as 90 %.
    fn ratio(&self, first: &Self) -> Option<Ratio> {
        let (here, there) = (
            self.rate?,
            first.rate.filter(|_| first.grows() == Some(true))?,
        );
        let ends = [
            here.low / there.low,
            here.low / there.high,
            here.high / there.low,
            here.high / there.high,
        ];
        let value = here.per_second / there.per_second;
        let low = ends.into_iter().fold(value, f64::min);
        let high = ends.into_iter().fold(value, f64::max);
        let all_finite = [value, low, high].iter().all(|number| number.is_finite());
        all_finite.then(|| Ratio {
            value,
            low,
            high,
            p: None,
            p_corrected: None,
            differs: self
                .direction(first)
                .is_some_and(|(to, _)| to != Direction::Same),
            detectable: None,
        })
    }
}

fn is_finite(slope: &Slope) -> bool {
    slope.per_second.is_finite() && slope.low.is_finite() && slope.high.is_finite()
}

/// A slope where it describes the whole of a series; zero where the growth has an end.
fn judged(shape: Shape, slope: Slope) -> Slope {
    if shape.has_rate() || shape == Shape::Unclear {
        slope
    } else {
        Slope::default()
    }
}

fn direction(here: Slope, there: Slope, material: f64) -> Direction {
    let matters = (here.per_second - there.per_second).abs() >= material;
    if matters && here.high < there.low {
        Direction::Slower
    } else if matters && here.low > there.high {
        Direction::Faster
    } else {
        Direction::Same
    }
}

fn row(findings: &Findings, account: Account) -> Option<&LedgerRow> {
    (findings.report.ledger.iter()).find(|row| row.account == account)
}

/// The one run's values; what a recording does not hold is null.
fn medians(trial: &Trial) -> Medians {
    let size = |bytes: u64| (bytes > 0).then_some(bytes as f64);
    Medians {
        peak_rss: size(trial.peak_rss),
        end_rss: size(trial.end_rss),
        settled_rss: size(trial.settled_rss),
        mean_rss: size(trial.mean_rss),
        bytes_per_second: trial.bytes_per_second,
        heap_live: trial.heap_live.map(|bytes| bytes as f64),
        heap_retained: trial.heap_retained.map(|bytes| bytes as f64),
        ..Medians::default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are not negative, and the cast saturates"
)]
fn bytes(value: f64) -> u64 {
    value.round() as u64
}
