//! The accounts that a process's resident memory is split into.

use serde::{Deserialize, Serialize};

/// An account of the growth ledger. Those of [`Account::IN_RSS`] add up to RSS; the others stand
/// beside the sum, because they overlap it or lie outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Blocks that the program has not freed, clipped to resident pages.
    HeapLive,
    /// Freed blocks that are still resident, and the heap's own overhead.
    HeapRetained,
    /// The malloc heap where nobody has split it into the two above.
    Heap,
    /// Other anonymous memory.
    Anon,
    /// Stacks of threads, the initial one included.
    Stacks,
    /// Resident pages of mapped files.
    File,
    /// Shared memory, tmpfs, memfd.
    Shared,
    /// memtide's own memory inside the target: tables of the preload shim. It is part of RSS and no
    /// growth of the program.
    Shim,
    /// RSS less all of the above; negative when reads raced.
    Unexplained,
    /// Page tables; not in RSS.
    PageTables,
    /// Swapped out; not in RSS.
    Swap,
    /// Huge pages that sparse touches brought in; part of `anon` or `heap`.
    HugeWaste,
    /// The part of RSS of which memtide cannot say whether it is live.
    Opaque,
}

impl Account {
    /// The accounts that add up to RSS, in the order in which they are shown and stacked.
    pub const IN_RSS: [Self; 9] = [
        Self::HeapLive,
        Self::HeapRetained,
        Self::Heap,
        Self::Anon,
        Self::Stacks,
        Self::File,
        Self::Shared,
        Self::Shim,
        Self::Unexplained,
    ];

    /// The accounts beside the sum.
    pub const BESIDE: [Self; 4] = [Self::PageTables, Self::Swap, Self::HugeWaste, Self::Opaque];

    /// Its name in JSON and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeapLive => "heap_live",
            Self::HeapRetained => "heap_retained",
            Self::Heap => "heap",
            Self::Anon => "anon",
            Self::Stacks => "stacks",
            Self::File => "file",
            Self::Shared => "shared",
            Self::Shim => "shim",
            Self::Unexplained => "unexplained",
            Self::PageTables => "page_tables",
            Self::Swap => "swap",
            Self::HugeWaste => "huge_waste",
            Self::Opaque => "opaque",
        }
    }

    /// One clause that says what it holds.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::HeapLive => "blocks the program has not freed",
            Self::HeapRetained => "freed blocks still resident, and the heap's overhead",
            Self::Heap => "the malloc heap, live and freed blocks together",
            Self::Anon => "other anonymous memory: direct mappings, runtimes' heaps, large blocks",
            Self::Stacks => "thread stacks",
            Self::File => "resident pages of mapped files",
            Self::Shared => "shared memory, tmpfs, memfd",
            Self::Shim => "memtide's own tables inside the process (memtide run --heap)",
            Self::Unexplained => "RSS less the accounts; not 0 when reads raced",
            Self::PageTables => "page tables, outside RSS",
            Self::Swap => "swapped out, outside RSS",
            Self::HugeWaste => "huge pages brought in by sparse touches",
            Self::Opaque => "part of RSS that no lens can call live or free",
        }
    }
}
