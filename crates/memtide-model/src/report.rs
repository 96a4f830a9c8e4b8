//! `memtide.report/1`: the report as data. Keys are stable; additions are allowed, renames are not.
//!
//! What is not known is `null`. Lists of a lens that did not look are `null`; they are empty when it
//! looked and found nothing.

use crate::account::Account;
use crate::event::EventKind;
use crate::trend::Shape;
use crate::verdict::VerdictKind;
use serde::{Deserialize, Serialize};

/// The value of [`Report::schema`].
pub const SCHEMA: &str = "memtide.report/1";

/// Stands where a lens will write that this version does not have: there is no value of it, so the
/// key is always null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoLens {}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The process.
    pub target: Target,
    /// The recording.
    pub recording: Recording,
    /// How the process ended, if it did.
    pub ended: Ended,
    /// The answer.
    pub verdict: Verdict,
    /// Growth of RSS.
    pub growth: Growth,
    /// The accounts that add up to RSS.
    pub ledger: Vec<LedgerRow>,
    /// The accounts beside the sum.
    pub beside: Vec<BesideRow>,
    /// Things that are counted.
    pub counts: Vec<CountRow>,
    /// When it meets a limit.
    pub forecast: Option<Forecast>,
    /// Threads by the pages that they touched.
    pub threads: Option<Vec<ThreadRow>>,
    /// Call stacks (shim).
    pub stacks: Option<Vec<NoLens>>,
    /// Classes (inspect).
    pub classes: Option<Vec<NoLens>>,
    /// Processes.
    pub processes: Option<Vec<NoLens>>,
    /// The malloc heap (inspect).
    pub heap: Option<NoLens>,
    /// Unreachable blocks (inspect).
    pub leaks: Option<NoLens>,
    /// What happened.
    pub events: Vec<EventRow>,
    /// What the reader should know about the numbers.
    pub warnings: Vec<String>,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its pid when it was recorded.
    pub pid: u32,
    /// `comm`.
    pub name: String,
    /// Its executable.
    pub exe: String,
    /// Its arguments.
    pub cmdline: Vec<String>,
    /// Real user id.
    pub uid: u32,
    /// "glibc 2.36", "jemalloc", ….
    pub allocator: String,
    /// "none", "cpython 3.11", ….
    pub runtime: String,
}

/// The recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its path.
    pub file: String,
    /// RFC 3339.
    pub started: String,
    /// From the first sample to the last.
    pub seconds: f64,
    /// Ticks taken.
    pub samples: u64,
    /// Ticks that were due and not taken.
    pub gaps: u64,
    /// Lenses that looked.
    pub lenses: Vec<String>,
    /// CPU time of the recorder.
    pub cost_cpu_seconds: f64,
    /// What each kind of read cost.
    pub reads: Vec<ReadRow>,
}

/// What one kind of read cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadRow {
    /// "smaps", "threads", ….
    pub read: String,
    /// How often it was done.
    pub reads: u64,
    /// How often it was put off to stay within the budget.
    pub skipped: u64,
    /// How often it failed.
    pub failed: u64,
    /// CPU time in all.
    pub cpu_seconds: f64,
    /// The longest single read, wall-clock.
    pub longest_seconds: f64,
}

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Whether and how.
    pub how: How,
    /// Exit code, where known.
    pub code: Option<i32>,
    /// Signal number, where known.
    pub signal: Option<i32>,
    /// Whether the OOM killer did it.
    pub oom: Oom,
}

/// Whether and how the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It ran on when the recording ended.
    Running,
    /// It exited.
    Exit,
    /// A signal ended it.
    Signal,
    /// The OOM killer ended it.
    Oom,
    /// It is gone; how is not known.
    Unknown,
}

/// Evidence of the OOM killer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oom {
    /// The kernel's log or the cgroup's counter says so.
    Proven,
    /// SIGKILL with usage near the limit.
    Likely,
    /// Not known.
    Unknown,
    /// It was not.
    No,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why memory grows.
    pub kind: VerdictKind,
    /// How sure, 0 to 1; for `undetermined`, of the first candidate.
    pub confidence: f64,
    /// One sentence.
    pub summary: String,
    /// What it may be, likeliest first; the kind alone where it was decided.
    pub candidates: Vec<VerdictKind>,
    /// Facts with numbers.
    pub evidence: Vec<Evidence>,
    /// What to do, each a sentence.
    pub advice: Vec<String>,
}

/// A fact behind the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// A sentence.
    pub fact: String,
    /// The account it is about, where it is about one.
    pub account: Option<Account>,
    /// Its number.
    pub value: Option<f64>,
    /// The number's unit: "bytes/s", "threads/s", ….
    pub unit: Option<String>,
}

/// Growth of RSS over the recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Its shape.
    pub shape: Shape,
    /// Bytes from start to end.
    pub rss_bytes: i64,
    /// Its rate; null while the record is too short for one.
    pub rss_bytes_per_second: Option<f64>,
    /// Lower end of the 90 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// One account of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Which.
    pub account: Account,
    /// At the start: at the tick with the median RSS of the first twelfth.
    pub start_bytes: i64,
    /// At the end, likewise of the last twelfth.
    pub end_bytes: i64,
    /// The difference.
    pub growth_bytes: i64,
    /// Its rate; null while the record is too short for one.
    pub bytes_per_second: Option<f64>,
    /// Its shape.
    pub shape: Shape,
}

/// An account beside the sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BesideRow {
    /// Which.
    pub account: Account,
    /// At the start.
    pub start_bytes: u64,
    /// At the end.
    pub end_bytes: u64,
}

/// Something that is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountRow {
    /// "threads", "fds", "mappings", "processes".
    pub count: String,
    /// Which of them: "socket", "zombie"; null for all.
    pub group: Option<String>,
    /// At the start.
    pub start: u64,
    /// At the end.
    pub end: u64,
    /// Its rate; null while the record is too short for one.
    pub per_second: Option<f64>,
}

/// When it meets a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Which limit: "cgroup", "rlimit", "host", "mapping".
    pub limit: String,
    /// Where it is.
    pub limit_bytes: u64,
    /// Earliest, in seconds after the last sample.
    pub seconds_low: f64,
    /// Latest; null where it may never be.
    pub seconds_high: Option<f64>,
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Its number.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// Its last state letter.
    pub state: String,
    /// Minor faults since it started.
    pub min_flt: u64,
    /// Minor faults per second of the recording.
    pub min_flt_per_second: f64,
    /// Where it sleeps in the kernel; null where that is not known.
    pub wchan: Option<String>,
    /// True while it was there at the last sweep.
    pub alive: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Seconds since the recording started.
    pub t_seconds: f64,
    /// What.
    pub kind: EventKind,
    /// To which process.
    pub pid: u32,
    /// A sentence.
    pub text: String,
}
