//! `memtide.report/1`: the report as data. Keys are stable; additions are allowed, renames are not.
//!
//! What is not known is `null`. Lists of a lens that did not look are `null`; they are empty when it
//! looked and found nothing.

use crate::account::Account;
use crate::event::EventKind;
use crate::processes::ProcessRow;
use crate::reasoning::Reasoning;
use crate::stacks::{HeapMode, Lost, StackEnd, StackKind, StackOwner};
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
    /// Call stacks, those that grew most first; null where the preload shim did not look.
    pub stacks: Option<Vec<StackRow>>,
    /// What the preload shim saw in all.
    pub allocations: Option<Allocations>,
    /// Classes of objects on the heap, those that grew most first (inspect).
    pub classes: Option<Vec<ClassRow>>,
    /// Processes.
    pub processes: Option<Vec<ProcessRow>>,
    /// The tree below the target, where somebody looked.
    pub tree: Option<TreeTotal>,
    /// The malloc heap (inspect).
    pub heap: Option<Heap>,
    /// Unreachable blocks (inspect).
    pub leaks: Option<NoLens>,
    /// What happened.
    pub events: Vec<EventRow>,
    /// What the reader should know about the numbers.
    pub warnings: Vec<String>,
    /// How the verdict came about; empty in reports of before it was written down.
    #[serde(default)]
    pub reasoning: Reasoning,
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
    /// Lower end of the number's 90 % interval; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// Growth of RSS over the recording, less the preload shim's own memory (account `shim`).
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

/// The limit of the address space (setrlimit(2)).
pub const RLIMIT_AS: &str = "RLIMIT_AS";
/// The limit of data: private writable mappings that are no stack (setrlimit(2)).
pub const RLIMIT_DATA: &str = "RLIMIT_DATA";

/// When it meets a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Which limit: "cgroup", "rlimit", "host", "mapping".
    pub limit: String,
    /// Which resource limit, [`RLIMIT_AS`] or [`RLIMIT_DATA`]; null for the others.
    #[serde(default)]
    pub resource: Option<String>,
    /// Where it is.
    pub limit_bytes: u64,
    /// Earliest, in seconds after the last sample.
    pub seconds_low: f64,
    /// Latest; null where it may never be.
    pub seconds_high: Option<f64>,
}

/// All processes of the target's tree together, the target among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeTotal {
    /// Who told of forks: "side-band", "connector", "ptrace"; "poll": nobody, and short-lived ones are missed.
    pub engine: String,
    /// Processes at the end, zombies included.
    pub processes: u64,
    /// Of them zombies.
    pub zombies: u64,
    /// Of them those that run on though their parent has ended.
    pub orphans: u64,
    /// The most that there were at one look.
    pub most_processes: u64,
    /// Resident bytes at the end: shared pages count in each process.
    pub rss_bytes: u64,
    /// Proportional set sizes at the end, which count shared pages once; null unless known of all.
    pub pss_bytes: Option<u64>,
    /// Growth of the sum, of PSS where it is known at both ends, else of RSS.
    pub growth_bytes: i64,
    /// Processes that began and ended between two looks; null where nobody tells of forks.
    pub short_lived: Option<u64>,
    /// Records of forks, execs and exits that were lost.
    pub lost: u64,
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

/// A call stack that asked for memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackRow {
    /// "heap" for blocks of the allocator, "mapping" for mappings that the program made itself.
    pub kind: StackKind,
    /// "target" or "others": its descendants, or what the target was before an exec.
    pub owner: StackOwner,
    /// Why it ends where it ends.
    pub end: StackEnd,
    /// Bytes not freed at the last look.
    pub live_bytes: u64,
    /// Blocks not freed.
    pub live_blocks: u64,
    /// Live bytes of this stack when all live bytes were highest.
    pub peak_bytes: u64,
    /// Blocks made.
    pub allocs: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Bytes that its live bytes grew by over the recording.
    pub growth_bytes: i64,
    /// Share of the growth of all live bytes; null where that did not grow.
    pub growth_share: Option<f64>,
    /// Slope of its live bytes; null while there are too few points for one.
    pub bytes_per_second: Option<f64>,
    /// Lower end of the slope's 90 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// `1 - (frees + 1) / (allocs + 2)` of the older half of its blocks: near 1 where none of them was
    /// ever freed (rule of succession).
    pub leak_score: Option<f64>,
    /// True if the program ended and these blocks were never freed.
    pub never_freed: bool,
    /// The suppression that names this stack, as it was written.
    pub suppressed: Option<String>,
    /// Samples behind the numbers; null in full mode, where they are exact.
    pub samples: Option<u64>,
    /// Its frames, innermost first.
    pub frames: Vec<FrameRow>,
}

/// A frame of a call stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameRow {
    /// Demangled function; null where no table names it.
    pub function: Option<String>,
    /// The file whose code it is; null for generated code.
    pub module: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// True for a call that the compiler put into the frame after it.
    pub inlined: bool,
    /// `0x` and the return address as the module's own tables count it.
    pub address: String,
}

/// What the preload shim saw in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allocations {
    /// "sampled" or "full".
    pub mode: HeapMode,
    /// Mean bytes between samples; 1 in full mode.
    pub interval_bytes: u64,
    /// Blocks made by the target process.
    pub allocs: u64,
    /// Their bytes.
    pub allocated_bytes: u64,
    /// Live bytes at the last look.
    pub live_bytes: u64,
    /// Live blocks.
    pub live_blocks: u64,
    /// Live bytes of mappings that the program made itself.
    pub mapping_bytes: u64,
    /// The highest live bytes.
    pub peak_bytes: u64,
    /// Stacks seen, of which `stacks` lists the foremost.
    pub stacks: u64,
    /// Blocks never freed, where the program's end was seen.
    pub never_freed_blocks: Option<u64>,
    /// Their bytes.
    pub never_freed_bytes: Option<u64>,
    /// Of those, suppressed bytes.
    pub suppressed_bytes: u64,
    /// What was not seen.
    pub lost: Lost,
}

/// All objects of one class, at the last snapshot of the heap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Its demangled name.
    pub name: String,
    /// "c++".
    pub runtime: String,
    /// Blocks that start with one.
    pub count: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// How many more than at the first snapshot; null where there is one alone.
    pub growth_count: Option<i64>,
    /// How many bytes more.
    pub growth_bytes: Option<i64>,
    /// What holds most of them; null where nobody looked.
    pub holder: Option<String>,
}

/// The malloc heap at the last snapshot. Bytes are of chunks, headers included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heap {
    /// Seconds since the recording started.
    pub t_seconds: f64,
    /// How many snapshots there are.
    pub snapshots: u64,
    /// Which layout fitted: "glibc 2.36 to 2.41".
    pub layout: String,
    /// True if that layout was not tested with this very library.
    pub untested_layout: bool,
    /// For how long the target was held; null where it ran on.
    pub held_seconds: Option<f64>,
    /// CPU time that all snapshots cost.
    pub cost_cpu_seconds: f64,
    /// RSS when it was taken.
    pub rss_bytes: u64,
    /// Blocks in use.
    pub live_bytes: u64,
    /// How many; 0 beside live bytes: not known, as in a log that was imported.
    pub live_blocks: u64,
    /// Resident part of the live blocks.
    pub live_resident_bytes: u64,
    /// Freed blocks that threads' caches and fastbins hold.
    pub cached_bytes: u64,
    /// Free chunks in the bins.
    pub free_bytes: u64,
    /// Of them resident.
    pub free_resident_bytes: u64,
    /// Unused ends of the arenas.
    pub top_bytes: u64,
    /// Of them resident.
    pub top_resident_bytes: u64,
    /// What `malloc_trim(0)` would give back.
    pub trimmable_bytes: u64,
    /// Resident bytes of free chunks that share their pages with live blocks.
    pub stuck_bytes: u64,
    /// Chunks with a mapping of their own; among the live ones.
    pub mmapped_bytes: u64,
    /// How many.
    pub mmapped_blocks: u64,
    /// Arena structures, fenceposts, memory that others took by `sbrk`.
    pub overhead_bytes: u64,
    /// All resident bytes of malloc's memory.
    pub resident_bytes: u64,
    /// Bytes that are swapped out and were not read.
    pub swapped_bytes: u64,
    /// Live resident bytes at the last snapshot less those at the first; null where there is one alone.
    pub live_growth_bytes: Option<i64>,
    /// The same of what malloc keeps and the program does not use.
    pub retained_growth_bytes: Option<i64>,
    /// Blocks in use, likewise.
    pub live_growth_blocks: Option<i64>,
    /// Arenas.
    pub arenas: Vec<ArenaRow>,
    /// Sizes of chunks, those with most bytes in use first.
    pub size_classes: Vec<SizeRow>,
    /// Bytes of the arenas whose chunks were understood.
    pub parsed_bytes: u64,
    /// Bytes that were not.
    pub skipped_bytes: u64,
    /// Headers that made no sense.
    pub bad_headers: u64,
    /// False where a check failed: the verdict does not use it then.
    pub conclusive: bool,
    /// Which checks failed.
    pub doubts: Vec<String>,
}

impl Heap {
    /// True if what a trim would give back is known: a log of malloc's own sums tells how much is free, and
    /// not where.
    pub const fn knows_trim(&self) -> bool {
        let free = self.free_resident_bytes > 0 || self.top_resident_bytes > 0;
        !free || self.trimmable_bytes > 0 || self.stuck_bytes > 0
    }
}

/// One arena.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaRow {
    /// True for the main arena, which grows by `brk`.
    pub main: bool,
    /// Threads that use it.
    pub threads: u64,
    /// Bytes of blocks in use.
    pub live_bytes: u64,
    /// Bytes of free chunks, the unused end included.
    pub free_bytes: u64,
    /// Bytes of cached blocks.
    pub cached_bytes: u64,
    /// All its resident bytes.
    pub resident_bytes: u64,
    /// Growth of `live_bytes` since the first snapshot; null where there is one alone. An arena that is new
    /// grew from nothing.
    pub live_growth_bytes: Option<i64>,
}

/// All chunks of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRow {
    /// Bytes of a chunk; of those over 1,024 the lower end of their class.
    pub size: u64,
    /// In use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Free or cached.
    pub free_blocks: u64,
    /// Their bytes.
    pub free_bytes: u64,
    /// Growth of `live_bytes` since the first snapshot; null where there is one alone.
    pub live_growth_bytes: Option<i64>,
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
