//! What `memtide ps` answers with: findings about the processes of a machine, rows of them, and the file
//! that keeps a census for later.
//!
//! A [`Finding`] is a sentence with the processes it is about and the commands that would end it. All of
//! it is plain data: the analyzer makes it, the reporter prints it, nobody here decides.

use crate::census::{Census, KernelObject, Machine};
use crate::ids::ProcessId;
use crate::report::{
    BesideRow, CountRow, EventRow, LedgerRow, NoLens, Recording, StackRow, ThreadRow,
};
use serde::{Deserialize, Serialize};

/// The value of [`Snapshot::schema`].
pub const SNAPSHOT_SCHEMA: &str = "memtide.census/1";

/// A census that was kept in a file, with what was found in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_SCHEMA`].
    pub schema: String,
    /// All that was read.
    pub census: Census,
    /// What was wrong then.
    pub findings: Vec<Finding>,
}

/// `memtide.report/1` with the parts that a look at all processes knows. The keys of the others are there
/// and null, and their lists empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessesReport {
    /// [`crate::report::SCHEMA`].
    pub schema: String,
    /// Null: it is about no single process.
    pub target: Option<NoLens>,
    /// When and how often was looked; `lenses` is "census".
    pub recording: Recording,
    /// Null.
    pub ended: Option<NoLens>,
    /// Null: findings stand in its place.
    pub verdict: Option<NoLens>,
    /// Null.
    pub growth: Option<NoLens>,
    /// Empty.
    pub ledger: Vec<LedgerRow>,
    /// Empty.
    pub beside: Vec<BesideRow>,
    /// Processes in all and zombies, from the first look to the last.
    pub counts: Vec<CountRow>,
    /// Null.
    pub forecast: Option<NoLens>,
    /// Null.
    pub threads: Option<Vec<ThreadRow>>,
    /// Null.
    pub stacks: Option<Vec<StackRow>>,
    /// Null.
    pub classes: Option<NoLens>,
    /// Every process of the last look, in order of pids; with `--by growth` those that grew most first.
    pub processes: Vec<ProcessRow>,
    /// Null.
    pub heap: Option<NoLens>,
    /// Null.
    pub leaks: Option<NoLens>,
    /// Empty.
    pub events: Vec<EventRow>,
    /// What could not be seen, each a sentence with its remedy.
    pub warnings: Vec<String>,
    /// Everything in one sentence.
    pub summary: String,
    /// What was found, problems before notes.
    pub findings: Vec<Finding>,
    /// The machine's memory, where it was asked for.
    pub machine: Option<Machine>,
    /// Queues, segments and files of tmpfs, largest first, where they were asked for.
    pub objects: Option<Vec<KernelObject>>,
    /// Who holds what was asked for with `--holding`; null where nobody asked.
    pub holders: Option<Vec<HolderRow>>,
    /// Against an earlier snapshot, where one was given.
    pub difference: Option<Difference>,
}

impl ProcessesReport {
    /// True where something was found that is wrong, or what was looked for.
    pub fn has_found(&self) -> bool {
        let held = self.holders.as_ref().is_some_and(|rows| !rows.is_empty());
        let wrong = |finding: &Finding| finding.weight == Weight::Problem;
        held || self.findings.iter().any(wrong)
    }
}

/// A process of the last look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Its number in the namespace of the /proc that was read.
    pub pid: u32,
    /// Its number in its own pid namespace, where that is another.
    pub inner_pid: Option<u32>,
    /// Its start in clock ticks after boot: with the pid its identity.
    pub start_ticks: u64,
    /// Its parent; 0 where that lies outside.
    pub ppid: u32,
    /// Real user; null where it could not be read.
    pub uid: Option<u32>,
    /// The user's name, where one is known.
    pub user: Option<String>,
    /// Process group.
    pub pgid: i64,
    /// Session.
    pub sid: i64,
    /// State letter.
    pub state: String,
    /// `comm`.
    pub name: String,
    /// Its arguments; empty of zombies and threads of the kernel.
    pub cmdline: Vec<String>,
    /// Kernel function that it sleeps in.
    pub wchan: Option<String>,
    /// What it is to the others.
    pub role: Role,
    /// Seconds since its start.
    pub age_seconds: f64,
    /// CPU time since its start.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Proportional set size; null where it was not asked for or may not be read.
    pub pss_bytes: Option<u64>,
    /// Its own memory and that of all its descendants: PSS where it is known, else RSS.
    pub tree_bytes: u64,
    /// Growth of RSS; null where it was not watched for long enough.
    pub bytes_per_second: Option<f64>,
    /// RSS at the last look less that at the first; null where it was looked at once.
    pub growth_bytes: Option<i64>,
}

/// What a process is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It ended, and its parent has not reaped it.
    Zombie,
    /// The process that started it has ended before it.
    Orphan,
    /// Started by its parent.
    Child,
    /// It leads a session.
    Leader,
    /// None of these: threads of the kernel, the first process.
    Other,
}

impl Role {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zombie => "zombie",
            Self::Orphan => "orphan",
            Self::Child => "child",
            Self::Leader => "leader",
            Self::Other => "other",
        }
    }
}

/// What is wrong, or worth a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// Whether it is wrong or may be right.
    pub weight: Weight,
    /// One sentence without its full stop.
    pub summary: String,
    /// Further sentences.
    pub details: Vec<String>,
    /// The processes it is about, in order of pids.
    pub processes: Vec<ProcessId>,
    /// The process that has to act (of zombies), or that died (of orphans), where it is known.
    pub parent: Option<Relative>,
    /// How many things it is about: processes, threads or objects.
    pub count: u64,
    /// Bytes that they hold, where that is known: PSS where it could be read, else RSS.
    pub bytes: Option<u64>,
    /// For how long it has been so at least, in seconds; null where it is no state.
    pub at_least_seconds: Option<f64>,
    /// What would end it.
    pub remedies: Vec<Remedy>,
}

/// Kinds of [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Children that ended and were not reaped.
    Zombies,
    /// Processes whose parent died.
    Orphans,
    /// More or fewer processes than `--expect` allows.
    Expectation,
    /// Processes of one kind that became ever more.
    PilingUp,
    /// Older than `--older`.
    LongRunners,
    /// Uninterruptible waits that last.
    Blocked,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Threads that wait for the same thing and use no CPU.
    Stuck,
    /// Queues, segments and semaphores that nobody uses.
    Unused,
    /// Files without a name that are held open.
    Deleted,
    /// Kernel objects that became ever more.
    ObjectsPilingUp,
    /// The machine's memory shrinks and no process grows.
    Machine,
}

/// Whether a finding is wrong or may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Wrong, or what was asked for: the exit code is 1.
    Problem,
    /// It may be as it should.
    Note,
}

/// A process that a finding names beside those it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Relative {
    /// Its number.
    pub pid: u32,
    /// `comm`.
    pub name: String,
    /// Its arguments, where they were seen.
    pub cmdline: Vec<String>,
}

/// A command that nobody runs but the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// For a shell.
    pub command: String,
    /// What it does.
    pub effect: String,
}

/// Who holds what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRow {
    /// The process.
    pub pid: u32,
    /// Its user; null where it could not be read.
    pub uid: Option<u32>,
    /// The user's name, where one is known.
    pub user: Option<String>,
    /// `comm`.
    pub name: String,
    /// Its arguments.
    pub cmdline: Vec<String>,
    /// Through which descriptor.
    pub descriptor: Option<u32>,
    /// "open", "mapped", "cwd", "root", "program".
    pub how: String,
    /// What it holds.
    pub target: String,
}

/// What changed since a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// When the snapshot was taken: nanoseconds since 1970.
    pub earlier_wall_ns: i64,
    /// Seconds of wall-clock time between.
    pub seconds: f64,
    /// True if the machine was started again in between: then nothing of then is left.
    pub other_boot: bool,
    /// Processes of then that have ended, in order of pids.
    pub gone: Vec<ProcessRow>,
    /// How many of then are still there.
    pub left: u64,
    /// Processes that came since, in order of pids.
    pub new: Vec<ProcessRow>,
    /// What became of what was found then.
    pub followed: Vec<Followed>,
    /// Kernel objects of then that are gone; null where one of the two did not look for them.
    pub objects_gone: Option<Vec<KernelObject>>,
    /// Kernel objects that came since; null likewise.
    pub objects_new: Option<Vec<KernelObject>>,
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// What kind it was.
    pub kind: FindingKind,
    /// What was said of it then.
    pub summary: String,
    /// Processes that it was about and that have ended.
    pub gone: u64,
    /// Those that are still there.
    pub left: Vec<ProcessId>,
}
