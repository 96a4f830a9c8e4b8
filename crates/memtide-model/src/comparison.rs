//! `memtide.compare/1`: the same work under several allocators, or several recordings, side by side. Keys are
//! stable; additions are allowed, renames are not.
//!
//! ```text
//! runs of an arm ─► Trial (what one run measured) ─► Comparison (ratios, intervals, one sentence) ─► report
//! ```
//!
//! An *arm* is one way to run the work: an allocator with its settings, or one recording. Every arm but
//! the baseline has ratios to the baseline; a ratio below 1 is less memory, less CPU, slower growth. What was not
//! measured is `null`.

use crate::report::{FrameRow, LedgerRow};
use crate::stacks::StackKind;
use crate::trend::Shape;
use serde::{Deserialize, Serialize};

/// The value of [`Comparison::schema`].
pub const SCHEMA: &str = "memtide.compare/1";

/// What was compared, run by run, and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// What the arms are.
    pub of: Compared,
    /// Name of the arm that all others are held against: the first that was given.
    pub baseline: String,
    /// The program and its arguments; empty for recordings.
    pub command: Vec<String>,
    /// The command that drove the load, as it was given.
    pub load: Option<String>,
    /// Runs of each arm that were asked for; 1 for recordings.
    pub runs: u64,
    /// Where the order of the runs was drawn from, and the bootstrap and permutations as well.
    pub seed: u64,
    /// The arms, the baseline first.
    pub arms: Vec<Arm>,
    /// How the numbers were judged.
    pub statistics: Statistics,
    /// What watching cost.
    pub overhead: Overhead,
    /// The answer.
    pub verdict: ComparisonVerdict,
    /// What the reader should know about the numbers.
    pub warnings: Vec<String>,
}

/// What the arms of a comparison are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// Allocators and their settings, on the same work.
    Allocators,
    /// Recordings that were made before.
    Recordings,
}

/// One way to run the work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Its name as it was given: `glibc:arena_max=2`, or the file of a recording.
    pub arm: String,
    /// The allocator that was found in the running process: "glibc 2.36", "jemalloc 5.3.0".
    pub allocator: String,
    /// What was set for it, as `NAME=VALUE` lines of an environment; whoever takes this arm sets the same.
    pub environment: Vec<String>,
    /// Why there is nothing to compare, where the whole arm failed.
    pub failed: Option<String>,
    /// What each run measured, in the order in which they were made.
    pub runs: Vec<Trial>,
    /// Medians over its runs.
    pub median: Medians,
    /// RSS after settling, over that of the baseline. This decides.
    pub settled_rss_ratio: Option<Ratio>,
    /// Highest RSS over that of the baseline.
    pub peak_rss_ratio: Option<Ratio>,
    /// Mean RSS over that of the baseline.
    pub mean_rss_ratio: Option<Ratio>,
    /// CPU time of the program over that of the baseline.
    pub cpu_ratio: Option<Ratio>,
    /// Wall-clock time of the load, or of the program where there is no load, over that of the baseline.
    pub wall_ratio: Option<Ratio>,
    /// Growth rate over that of the baseline; null where the baseline does not grow. This decides, too.
    pub growth_ratio: Option<Ratio>,
    /// The load's own metric over that of the baseline (more may be better or worse: memtide does not know).
    pub metric_ratio: Option<Ratio>,
    /// What settling gave back, less what it gave back in the baseline; null where the baseline does not grow, and where
    /// nothing settles.
    pub given_back: Option<Difference>,
    /// Whether its memory still grows.
    pub grows: Option<bool>,
    /// Mean share of one core that memtide used while it watched this arm, in percent; null where nothing was seen.
    pub watching_percent: Option<f64>,
    /// Of a recording: its ledger.
    pub ledger: Vec<LedgerRow>,
    /// Of a recording: what the verdict on it alone is, as `memtide report` says.
    pub verdict: Option<String>,
    /// Of a recording with call stacks, where the baseline has them, too: stacks that differ most first.
    pub stacks: Option<Vec<StackDifference>>,
}

/// What one run measured. Bytes and seconds; times since the program was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// When it was made: the first run of all is 1.
    pub order: u64,
    /// Why its numbers are not used, where they are not.
    pub failed: Option<String>,
    /// Its recording.
    pub recording: Option<String>,
    /// Highest RSS (`VmHWM` of proc(5) status).
    pub peak_rss: u64,
    /// RSS when the work ended: when the load ended, or the last twelfth of a run without one.
    pub end_rss: u64,
    /// RSS after settling; `end_rss` where nothing settles.
    pub settled_rss: u64,
    /// Mean RSS over time, from readiness to the end of the work.
    pub mean_rss: u64,
    /// Growth rate of RSS while the work was done; null while there are too few samples for one.
    pub bytes_per_second: Option<f64>,
    /// Lower end of its 90 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Shape of RSS while the work was done.
    pub shape: Option<Shape>,
    /// Resident part of live blocks at the last look into the heap; null where it could not be read.
    pub heap_live: Option<u64>,
    /// Resident memory that the allocator kept and the program did not use, likewise.
    pub heap_retained: Option<u64>,
    /// Minor faults of the program, reaped children included.
    pub minor_faults: u64,
    /// Major faults, likewise.
    pub major_faults: u64,
    /// CPU time of the program, user and system, reaped children included.
    pub cpu_seconds: f64,
    /// From the start to the end of the work: of the load where there is one, else of the program.
    pub wall_seconds: f64,
    /// What the load said with its exit code; null without a load.
    pub load_exit: Option<i32>,
    /// The number that `--metric` found in the load's output.
    pub metric: Option<f64>,
    /// CPU time that memtide spent watching.
    pub cost_cpu_seconds: f64,
    /// When the service was ready; null where nothing was waited for.
    pub ready_at: Option<f64>,
    /// When the work ended.
    pub work_ended_at: Option<f64>,
    /// Whether it had to be killed because it did not end when it was asked to.
    pub killed: bool,
    /// RSS over time, for the chart: seconds and bytes, at most 300 points.
    pub rss: Vec<(f64, u64)>,
}

/// Medians over the runs of an arm that did not fail; null where none has the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Medians {
    /// Bytes.
    pub peak_rss: Option<f64>,
    /// Bytes.
    pub end_rss: Option<f64>,
    /// Bytes.
    pub settled_rss: Option<f64>,
    /// Lower end of the 90 % bootstrap interval of the median, bytes.
    pub settled_low: Option<f64>,
    /// Upper end.
    pub settled_high: Option<f64>,
    /// The same of the peak, bytes.
    pub peak_low: Option<f64>,
    /// Upper end.
    pub peak_high: Option<f64>,
    /// Bytes.
    pub mean_rss: Option<f64>,
    /// Bytes per second.
    pub bytes_per_second: Option<f64>,
    /// Bytes.
    pub heap_live: Option<f64>,
    /// Bytes.
    pub heap_retained: Option<f64>,
    /// Seconds.
    pub cpu_seconds: Option<f64>,
    /// Lower end of the 90 % bootstrap interval of the median, seconds.
    pub cpu_low: Option<f64>,
    /// Upper end.
    pub cpu_high: Option<f64>,
    /// Seconds.
    pub wall_seconds: Option<f64>,
    /// Minor and major faults.
    pub faults: Option<f64>,
    /// In the load's own unit.
    pub metric: Option<f64>,
}

/// An arm's median over the baseline's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Ratio of the medians.
    pub value: f64,
    /// Lower end of the 90 % bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided p of the permutation test; null with too few runs for one.
    pub p: Option<f64>,
    /// The same after Holm's correction: of what decides for all arms and tests together, of any other measure for the
    /// number of arms.
    pub p_corrected: Option<f64>,
    /// True if a difference is shown: `p_corrected` is at most alpha, and the interval does not hold 1.
    pub differs: bool,
    /// The smallest change that so many runs with this scatter show in four of five comparisons: .05 is 5 %.
    /// Null where it cannot be told.
    pub detectable: Option<f64>,
}

/// An arm's median less the baseline's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Difference of the medians, bytes.
    pub value: f64,
    /// Lower end of the 90 % bootstrap interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// As of a [`Ratio`].
    pub p: Option<f64>,
    /// As of a [`Ratio`].
    pub p_corrected: Option<f64>,
    /// True if a difference is shown: `p_corrected` is at most alpha, and the interval does not hold 0.
    pub differs: bool,
}

/// How the numbers were judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Error of the first kind that is allowed for the whole comparison.
    pub alpha: f64,
    /// Arms that were tested against the baseline.
    pub tested: u64,
    /// Tests of them that decide: of settled RSS, and of growth where the baseline grows.
    #[serde(default)]
    pub tests: u64,
    /// Fewest runs of each arm with which a difference could be shown at all after correction.
    pub runs_needed: u64,
    /// Resamples of the bootstrap.
    pub resamples: u64,
}

/// What watching cost, with the same budget for every arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Share of one core that memtide may use while it watches, in percent.
    pub budget_percent: f64,
    /// Mean share of one core that it did use, in percent.
    pub used_percent: f64,
    /// True if the heap was read where that is possible.
    pub heap_read: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonVerdict {
    /// What to do.
    pub kind: ComparisonKind,
    /// Which arm it is about.
    pub arm: Option<String>,
    /// One sentence.
    pub summary: String,
    /// Facts with numbers, each a sentence.
    pub evidence: Vec<String>,
    /// What to do, each a sentence.
    pub advice: Vec<String>,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonKind {
    /// An arm needs less memory: take it.
    Take,
    /// No difference is shown.
    NoDifference,
    /// The program grows, and it does so in all arms: no allocator cures that.
    NoneHelps,
    /// Of recordings: a later one grows more slowly than the first, or not any more.
    Better,
    /// Of recordings: a later one grows faster.
    Worse,
    /// Too few runs, or too many that failed.
    Undetermined,
}

/// A call stack in two recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackDifference {
    /// "heap" or "mapping".
    pub kind: StackKind,
    /// Live bytes at the end of the baseline; zero where it has no such stack.
    pub baseline_live_bytes: u64,
    /// Live bytes at the end of this recording.
    pub live_bytes: u64,
    /// Rate in the baseline, bytes per second; null where it has none.
    pub baseline_bytes_per_second: Option<f64>,
    /// Rate in this recording.
    pub bytes_per_second: Option<f64>,
    /// Rate here less rate there: by that they are ordered.
    pub difference: f64,
    /// Its frames, innermost first.
    pub frames: Vec<FrameRow>,
}
