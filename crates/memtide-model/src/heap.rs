//! What a look into a process's malloc heap found: counts and sizes, never contents.
//!
//! Bytes of blocks are sizes of chunks as malloc lays them out, header and rounding included, so that
//! they add up to the heap (`mallinfo2` counts the same way). A part that is *resident* is what of it
//! lies on pages that are in memory: the ledger of a process is about these.

use crate::units::{Bytes, Nanos};
use serde::{Deserialize, Serialize};

/// One look at the heap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeapSnapshot {
    /// When the walk began.
    pub at: Nanos,
    /// How long it took, wall-clock.
    pub took: Nanos,
    /// CPU time that it cost memtide.
    pub cpu: Nanos,
    /// For how long the target was held; `None` where it ran on.
    pub held: Option<Nanos>,
    /// RSS (`statm`) at the middle of the walk: the mean of one read just before and one just after.
    pub rss: Bytes,
    /// Which layout fitted: "glibc 2.36 to 2.41".
    pub layout: String,
    /// True if that layout was not tested with this very library, though all checks hold.
    pub is_untested: bool,
    /// Sums over all arenas and mapped chunks.
    pub totals: HeapTotals,
    /// How much of it was understood.
    pub quality: HeapQuality,
    /// By arena, the main arena first.
    pub arenas: Vec<ArenaTotals>,
    /// By size of chunk, ascending.
    pub sizes: Vec<SizeClass>,
    /// By C++ class, most bytes first; empty where nothing has a class or nobody asked.
    pub classes: Vec<HeapClass>,
    /// Threads that ended and were never joined; `None` where glibc's own list of stacks was not found.
    pub ended_threads: Option<EndedThreads>,
}

/// Threads of glibc that ended, are not detached, and were not joined: each keeps its stack until it is.
/// Counted in glibc's own records (`struct pthread`), so that stacks which it keeps for the next thread
/// (`glibc.pthread.stack_cache_size`, 40 MiB) are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedThreads {
    /// How many.
    pub count: u64,
    /// Address space of their stacks, guard pages included.
    pub stack_bytes: Bytes,
    /// Of it resident.
    pub stack_resident: Bytes,
    /// Threads with a stack of glibc's that live, in the same list; the first thread has none.
    pub alive: u64,
}

/// Sums over the heap, in bytes of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapTotals {
    /// Blocks in use: not freed by the program. Chunks with a mapping of their own are among them.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: Bytes,
    /// Of them resident.
    pub live_resident: Bytes,
    /// Chunks with a mapping of their own (`M_MMAP_THRESHOLD`).
    pub mmapped_blocks: u64,
    /// Their bytes.
    pub mmapped_bytes: Bytes,
    /// Of them resident.
    pub mmapped_resident: Bytes,
    /// Freed blocks that a thread's cache or a fastbin holds ready for the same size.
    pub cached_blocks: u64,
    /// Their bytes.
    pub cached_bytes: Bytes,
    /// Of them resident.
    pub cached_resident: Bytes,
    /// Free chunks in the bins.
    pub free_blocks: u64,
    /// Their bytes.
    pub free_bytes: Bytes,
    /// Of them resident: `trimmable` of the bins and `stuck` together.
    pub free_resident: Bytes,
    /// The unused ends of the arenas (`top`).
    pub top_bytes: Bytes,
    /// Of them resident.
    pub top_resident: Bytes,
    /// What `malloc_trim(0)` would give back: resident pages that lie wholly inside a free chunk, and the
    /// main arena's top.
    pub trimmable: Bytes,
    /// Resident bytes of free chunks that share their pages with something else: no trim gives them back.
    pub stuck: Bytes,
    /// Arena structures, fenceposts, and what others took from the heap by `sbrk`.
    pub overhead_bytes: Bytes,
    /// All resident bytes of malloc's own memory, those that were not understood among them.
    pub heap_resident: Bytes,
    /// Bytes of the heap that are swapped out; never read, for reading would bring them back.
    pub swapped: Bytes,
}

impl HeapTotals {
    /// Resident bytes that malloc keeps and the program does not use.
    pub const fn retained_resident(&self) -> Bytes {
        self.heap_resident.saturating_sub(self.live_resident)
    }
}

/// What was parsed and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeapQuality {
    /// Bytes of the arenas whose chunks were understood.
    pub parsed: Bytes,
    /// Bytes between a bad header and the next good one.
    pub skipped: Bytes,
    /// Headers that made no sense, also at a second look.
    pub bad_headers: u64,
    /// Headers that made sense at a second look: the program was at work there.
    pub reread: u64,
    /// Sum of `system_mem` of all arenas, and the bytes of the regions that were walked.
    pub arena_bytes: Option<(Bytes, Bytes)>,
    /// Mapped chunks by malloc's own count (`mp_.n_mmaps`), and those that were found.
    pub mmapped: Option<(u64, u64)>,
    /// Why nothing follows from this snapshot: sentences; empty where all checks hold.
    pub doubts: Vec<String>,
}

impl HeapQuality {
    /// True if a verdict may use the snapshot.
    pub const fn is_conclusive(&self) -> bool {
        self.doubts.is_empty()
    }
}

/// One arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaTotals {
    /// Where its `malloc_state` is.
    pub address: u64,
    /// True for `main_arena`.
    pub is_main: bool,
    /// Threads that use it (`attached_threads`).
    pub threads: u64,
    /// Bytes that it has from the system (`system_mem`).
    pub system_bytes: Bytes,
    /// Blocks in use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: Bytes,
    /// Bytes of cached blocks.
    pub cached_bytes: Bytes,
    /// Bytes of free chunks, `top` included.
    pub free_bytes: Bytes,
    /// All its resident bytes.
    pub resident: Bytes,
}

/// All chunks of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeClass {
    /// Bytes of a chunk; of large ones (over 1,024 bytes) the lower end: eight classes to a doubling.
    pub size: u64,
    /// In use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: Bytes,
    /// Cached or in the bins.
    pub free_blocks: u64,
    /// Their bytes.
    pub free_bytes: Bytes,
}

/// All objects of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapClass {
    /// Its demangled name; "vtable at FILE+0x1234" where the program has no RTTI.
    pub name: String,
    /// "c++".
    pub runtime: String,
    /// Blocks that start with one.
    pub count: u64,
    /// Bytes of these blocks.
    pub bytes: Bytes,
}

/// All that a recording knows of the heap: the snapshots in order of time. The first and the last have
/// their lists; of those between them arenas, sizes and classes may have been left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeapObservations {
    /// The snapshots.
    pub snapshots: Vec<HeapSnapshot>,
    /// Why there are none, or no more: a sentence with the remedy.
    pub unavailable: Option<String>,
}

/// The lower end of the size class of a chunk: exact to 1,024 bytes, then eight classes to a doubling.
pub const fn size_class(chunk: u64) -> u64 {
    if chunk <= 1024 {
        return chunk;
    }
    let step = 1 << (chunk.ilog2() - 3);
    chunk / step * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_exact_below_a_kibibyte_and_eighths_above() {
        for (chunk, class) in [
            (32, 32),
            (1024, 1024),
            (1040, 1024),
            (1151, 1024),
            (1152, 1152),
            (2047, 1920),
            (2048, 2048),
            (1 << 40, 1 << 40),
            (u64::MAX, 15 << 60),
        ] {
            assert_eq!(size_class(chunk), class, "{chunk}");
        }
    }
}
