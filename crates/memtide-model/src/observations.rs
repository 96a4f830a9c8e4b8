//! What a recording gives back: the only thing that the analyzer ever sees.

use crate::event::Event;
use crate::heap::HeapObservations;
use crate::held::HeldHistory;
use crate::mapping::Mapping;
use crate::sample::Sample;
use crate::stacks::StackObservations;
use crate::target::Target;
use crate::thread::ThreadState;
use crate::tree::TreeObservations;
use crate::units::{Bytes, Nanos};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One recorded process.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// The process.
    pub target: Target,
    /// The recording itself.
    pub recording: Recording,
    /// Its samples in order of time, thinned to what the reader was asked for.
    pub samples: Vec<Sample>,
    /// The mappings that moved most; of the others only what the sums in the samples hold.
    pub mappings: Vec<MappingHistory>,
    /// The threads that were recorded one by one.
    pub threads: Vec<ThreadHistory>,
    /// The groups of descriptors and of kernel objects whose number moved most.
    pub held: Vec<HeldHistory>,
    /// The processes that descend from it, where somebody looked.
    pub tree: Option<TreeObservations>,
    /// What happened.
    pub events: Vec<Event>,
    /// Call stacks, where the preload shim looked.
    pub stacks: Option<StackObservations>,
    /// The malloc heap, where it was looked into, or why it could not be; `None` where nobody tried.
    pub heap: Option<HeapObservations>,
}

impl Observations {
    /// Samples of a process, and nothing else that was seen.
    pub const fn of_samples(target: Target, recording: Recording, samples: Vec<Sample>) -> Self {
        Self {
            target,
            recording,
            samples,
            mappings: Vec::new(),
            threads: Vec::new(),
            held: Vec::new(),
            tree: None,
            events: Vec::new(),
            stacks: None,
            heap: None,
        }
    }
}

/// Among the lenses of a recording that was made of a series which something else recorded: its process is not there to be
/// asked, and may never have been on this machine.
pub const IMPORTED: &str = "import";

/// Facts about the recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// Where it lies; empty while it is only in memory.
    pub file: String,
    /// Wall-clock start, nanoseconds since 1970.
    pub started_wall: i64,
    /// Boot-clock start.
    pub started: Nanos,
    /// Boot-clock time of the last sample.
    pub ended: Nanos,
    /// True after a clean end; false when it is still written or was cut off.
    pub complete: bool,
    /// Ticks taken, before thinning.
    pub samples: u64,
    /// Ticks that were due and not taken.
    pub gaps: u64,
    /// The interval that was asked for.
    pub interval: Nanos,
    /// Lenses that looked: "sampler", "inspect", "shim"; [`IMPORTED`] among them where a series was imported.
    pub lenses: Vec<String>,
    /// CPU time that the recorder spent.
    pub cost_cpu: Nanos,
    /// What each kind of read cost and how often it was put off.
    pub reads: Vec<ReadCost>,
    /// System page size.
    pub page_size: Bytes,
    /// Clock ticks per second of [`ThreadState::cpu_ticks`] and the like.
    pub ticks_per_second: u64,
}

/// The kinds of reads that the sampler's budget tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadKind {
    /// `statm`, `stat`, `status`.
    Basics,
    /// `smaps`.
    Smaps,
    /// `smaps_rollup`.
    SmapsRollup,
    /// `task/*/stat`.
    Threads,
    /// `task/*/wchan`.
    Wchan,
    /// `fd/*`.
    Descriptors,
    /// `task/*/children` and the children's `stat`.
    Children,
    /// `stat` of every process, for the members of the target's session.
    Session,
    /// The memory cgroup's files.
    Cgroup,
    /// meminfo, pressure, `oom_score`.
    Host,
    /// Message queues and segments: `sysvipc`, `/dev/mqueue`.
    Queues,
    /// Files in tmpfs: statfs(2) of each mount, and the status of all files where that moved.
    Tmpfs,
}

impl ReadKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Basics,
        Self::Smaps,
        Self::SmapsRollup,
        Self::Threads,
        Self::Wchan,
        Self::Descriptors,
        Self::Children,
        Self::Session,
        Self::Cgroup,
        Self::Host,
        Self::Queues,
        Self::Tmpfs,
    ];

    /// Its name in recordings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basics => "basics",
            Self::Smaps => "smaps",
            Self::SmapsRollup => "smaps_rollup",
            Self::Threads => "threads",
            Self::Wchan => "wchan",
            Self::Descriptors => "descriptors",
            Self::Children => "children",
            Self::Session => "session",
            Self::Cgroup => "cgroup",
            Self::Host => "host",
            Self::Queues => "queues",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What one kind of read cost over a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadCost {
    /// Which.
    pub kind: ReadKind,
    /// How often it was done.
    pub reads: u64,
    /// How often it was due at a tick and put off to stay within the budget.
    pub skipped: u64,
    /// How often it failed.
    pub failed: u64,
    /// CPU time in all.
    pub cpu: Nanos,
    /// The longest single read, wall-clock.
    pub longest: Nanos,
}

/// A mapping over time.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingHistory {
    /// Which mapping.
    pub mapping: Arc<Mapping>,
    /// Its sizes; a value holds until the next point.
    pub points: Vec<MappingPoint>,
    /// True when it was gone at the last read.
    pub gone: bool,
}

/// A mapping at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingPoint {
    /// When.
    pub at: Nanos,
    /// Its address range's length.
    pub size: Bytes,
    /// Resident bytes.
    pub rss: Bytes,
}

/// A thread over time.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadHistory {
    /// Its last recorded state.
    pub last: ThreadState,
    /// Minor faults at the moments at which they had changed.
    pub points: Vec<ThreadPoint>,
    /// True while it was there at the last sweep.
    pub alive: bool,
}

/// A thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadPoint {
    /// When.
    pub at: Nanos,
    /// Minor faults since it started.
    pub min_flt: u64,
    /// CPU time in clock ticks since it started.
    pub cpu_ticks: u64,
}
