//! The kinds of answer. The labelled corpus defines what each of them means.

use serde::{Deserialize, Serialize};

/// Why memory grows, or that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Level, or wandering without a trend.
    NoGrowth,
    /// Live allocations grow without bound, lost or only forgotten.
    HeapLeak,
    /// Live bytes level; the allocator holds ever more because of holes.
    Fragmentation,
    /// Many threads' malloc arenas, each keeping its own memory or address space.
    ArenaBloat,
    /// Threads that never end, or ended threads that were never joined.
    ThreadLeak,
    /// Mappings made directly and never unmapped.
    MmapLeak,
    /// Shared memory or tmpfs grows.
    ShmLeak,
    /// Resident pages of mapped files: page cache.
    FileMapping,
    /// Growth that ends: warm-up, bounded cache, pool.
    Plateau,
    /// Collected or periodic memory with a level lower envelope.
    Sawtooth,
    /// Memory follows connections, descriptors or threads.
    LoadGrowth,
    /// Descriptors grow, memory hardly.
    FdLeak,
    /// Zombies, orphans or children accumulate.
    ProcessLeak,
    /// A high-water mark kept after a burst.
    Retention,
    /// Address space grows, resident memory does not.
    VirtualOnly,
    /// Huge pages brought in by sparse touches.
    ThpBloat,
    /// Page tables grow, resident memory does not.
    PageTableGrowth,
    /// Message queues accumulate.
    QueueLeak,
    /// The machine's memory shrinks, this process does not grow.
    HostGrowth,
    /// It cannot be known from what was seen; the candidates say what it may be.
    Undetermined,
}

impl VerdictKind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::NoGrowth,
        Self::HeapLeak,
        Self::Fragmentation,
        Self::ArenaBloat,
        Self::ThreadLeak,
        Self::MmapLeak,
        Self::ShmLeak,
        Self::FileMapping,
        Self::Plateau,
        Self::Sawtooth,
        Self::LoadGrowth,
        Self::FdLeak,
        Self::ProcessLeak,
        Self::Retention,
        Self::VirtualOnly,
        Self::ThpBloat,
        Self::PageTableGrowth,
        Self::QueueLeak,
        Self::HostGrowth,
        Self::Undetermined,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoGrowth => "no_growth",
            Self::HeapLeak => "heap_leak",
            Self::Fragmentation => "fragmentation",
            Self::ArenaBloat => "arena_bloat",
            Self::ThreadLeak => "thread_leak",
            Self::MmapLeak => "mmap_leak",
            Self::ShmLeak => "shm_leak",
            Self::FileMapping => "file_mapping",
            Self::Plateau => "plateau",
            Self::Sawtooth => "sawtooth",
            Self::LoadGrowth => "load_growth",
            Self::FdLeak => "fd_leak",
            Self::ProcessLeak => "process_leak",
            Self::Retention => "retention",
            Self::VirtualOnly => "virtual_only",
            Self::ThpBloat => "thp_bloat",
            Self::PageTableGrowth => "page_table_growth",
            Self::QueueLeak => "queue_leak",
            Self::HostGrowth => "host_growth",
            Self::Undetermined => "undetermined",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// As a person would call it in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoGrowth => "no growth",
            Self::HeapLeak => "heap leak",
            Self::Fragmentation => "heap fragmentation",
            Self::ArenaBloat => "malloc arena bloat",
            Self::ThreadLeak => "thread leak",
            Self::MmapLeak => "leak of mappings",
            Self::ShmLeak => "growth of shared memory",
            Self::FileMapping => "growth of mapped files",
            Self::Plateau => "growth that ends (warm-up, cache or pool)",
            Self::Sawtooth => "sawtooth (collected or periodic memory)",
            Self::LoadGrowth => "growth with load",
            Self::FdLeak => "descriptor leak",
            Self::ProcessLeak => "process leak",
            Self::Retention => "memory kept after a burst",
            Self::VirtualOnly => "growth of address space only",
            Self::ThpBloat => "huge-page bloat",
            Self::PageTableGrowth => "growth of page tables",
            Self::QueueLeak => "queue leak",
            Self::HostGrowth => "growth outside this process",
            Self::Undetermined => "undetermined",
        }
    }
}
