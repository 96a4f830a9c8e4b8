//! Call stacks that asked for memory: what the preload shim counted, freed from addresses and regions.
//!
//! A stack is a list of places in modules, so it is the same stack in every process that runs the
//! same files: forks, execs and address space randomisation do not tear it apart. Counters are sums
//! over threads since the program started.

use crate::units::{Bytes, Nanos};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A stack's number within a recording, from 0 on without holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StackId(pub u32);

/// A module's number within a recording, from 0 on without holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeModuleId(pub u32);

/// What the shim records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeapMode {
    /// Blocks drawn by bytes; counters are unbiased estimates.
    Sampled,
    /// Every block; counters are exact.
    Full,
}

impl HeapMode {
    /// Its name in recordings, JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::Full => "full",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sampled, Self::Full]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// What a stack asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackKind {
    /// Blocks of the allocator.
    Heap,
    /// Anonymous mappings that the program made itself.
    Mapping,
}

/// Whose memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackOwner {
    /// The process that was started, the one whose RSS the ledger splits.
    Target,
    /// Its descendants, all together, and the programs that the target was before an exec.
    Others,
}

/// Why a stack has no caller beyond its last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackEnd {
    /// It ends where the thread began.
    Root,
    /// It was deeper than the shim follows; the innermost frames are known.
    Truncated,
    /// Its memory may not be walked (a fiber, an alternate signal stack); the innermost frames are known.
    Foreign,
    /// The shim's table of stacks was full, or the recording's: what could not be told apart is
    /// together here.
    Overflow,
}

/// A file whose code is in stacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeModule {
    /// Its path as the process saw it.
    pub path: Arc<str>,
    /// Its build-id in hexadecimal digits; empty if it has none.
    pub build_id: String,
}

/// A place in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodePlace {
    /// Whose code; `None` where no file was mapped (generated code).
    pub module: Option<CodeModuleId>,
    /// The return address as the file's own tables count it (svma); without a module, the address
    /// in the process.
    pub address: u64,
}

/// A stack that asked for memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallStack {
    /// What it asked for.
    pub kind: StackKind,
    /// Who ran it.
    pub owner: StackOwner,
    /// Why it ends where it ends.
    pub end: StackEnd,
    /// Its frames, innermost first: return addresses, the allocator's caller first.
    pub frames: Vec<CodePlace>,
}

/// Sums of one stack since its program started. In sampled mode all but the two counts of samples
/// are estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackCounters {
    /// Blocks made.
    pub allocs: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Blocks freed, by whatever thread.
    pub frees: u64,
    /// Bytes of freed blocks.
    pub freed: u64,
    /// Live bytes of this stack at the moment when all live bytes were highest.
    pub peak_bytes: u64,
    /// Samples behind the estimate; 0 in full mode. Its relative error is about one over the
    /// square root of this.
    pub samples: u64,
    /// Of those, freed.
    pub freed_samples: u64,
}

impl StackCounters {
    /// Bytes not freed.
    pub const fn live_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.freed)
    }

    /// Blocks not freed.
    pub const fn live_blocks(&self) -> u64 {
        self.allocs.saturating_sub(self.frees)
    }
}

/// What the shim could not record, by reason; all zero where all was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Blocks made or freed while the same thread was inside the shim (signal handlers).
    pub reentered: u64,
    /// Blocks of threads without a recorder slot.
    pub threadless: u64,
    /// Blocks for which there was no room.
    pub no_room: u64,
    /// Stacks that have no number of their own, or no row in the recording.
    pub overflow: u64,
    /// Stacks that end at a frame without unwinding rule.
    pub ruleless: u64,
    /// Stacks deeper than the shim follows.
    pub truncated: u64,
    /// Stacks on memory that may not be walked.
    pub foreign: u64,
    /// Processes that were not recorded (no room, no hello, killed too early).
    pub processes: u64,
}

/// Sums over all stacks of the target process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackTotals {
    /// When.
    pub at: Nanos,
    /// Live bytes of the allocator's blocks, as asked for.
    pub live_bytes: Bytes,
    /// Live blocks.
    pub live_blocks: u64,
    /// Live bytes of mappings that the program made itself.
    pub mapping_bytes: Bytes,
    /// The highest `live_bytes + mapping_bytes` so far.
    pub peak_bytes: Bytes,
    /// Blocks made so far.
    pub allocs: u64,
    /// Their bytes.
    pub allocated_bytes: Bytes,
}

/// What the collector saw at one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StacksTick {
    /// Sums.
    pub totals: StackTotals,
    /// Modules with the numbers that follow those of earlier ticks.
    pub new_modules: Vec<CodeModule>,
    /// Stacks with the numbers that follow those of earlier ticks.
    pub new_stacks: Vec<CallStack>,
    /// Every stack whose counters differ from the last tick's.
    pub changed: Vec<(StackId, StackCounters)>,
    /// What was lost so far.
    pub lost: Lost,
    /// True at the last tick of a process that ended: what is live now was never freed.
    pub ended: bool,
}

/// What the names of a place are; an inlined call gives several, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Demangled function; `None` where no table names it.
    pub function: Option<Arc<str>>,
    /// Source file.
    pub file: Option<Arc<str>>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// True for a call that the compiler put into the frame after it.
    pub inlined: bool,
}

/// All that a recording knows of stacks.
#[derive(Clone, Debug, PartialEq)]
pub struct StackObservations {
    /// What was recorded.
    pub mode: HeapMode,
    /// Mean bytes between samples; 1 in full mode.
    pub interval: Bytes,
    /// Sums over time, thinned as the samples are.
    pub totals: Vec<StackTotals>,
    /// The files.
    pub modules: Vec<CodeModule>,
    /// Every stack with its last counters; those that moved most with points over time.
    pub stacks: Vec<StackHistory>,
    /// Names of places, sorted by place; a place that is not here was not looked up.
    pub symbols: Vec<(CodePlace, Vec<Symbol>)>,
    /// What symbols could not be had, and the remedy: sentences.
    pub symbol_warnings: Vec<String>,
    /// What was lost.
    pub lost: Lost,
    /// True if the target's end was seen: what is live was never freed.
    pub ended: bool,
}

/// A stack over time.
#[derive(Clone, Debug, PartialEq)]
pub struct StackHistory {
    /// Which.
    pub stack: CallStack,
    /// Its last counters.
    pub last: StackCounters,
    /// Its counters over time; a value holds until the next point.
    pub points: Vec<StackPoint>,
}

/// A stack at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackPoint {
    /// When.
    pub at: Nanos,
    /// Blocks made so far.
    pub allocs: u64,
    /// Blocks freed so far.
    pub frees: u64,
    /// Live bytes.
    pub live_bytes: Bytes,
}

impl StackObservations {
    /// The names of a place, innermost first; empty where it was not looked up.
    pub fn symbols(&self, place: CodePlace) -> &[Symbol] {
        match self.symbols.binary_search_by_key(&place, |(key, _)| *key) {
            Ok(index) => self.symbols.get(index).map_or(&[], |(_, names)| names),
            Err(_) => &[],
        }
    }
}
