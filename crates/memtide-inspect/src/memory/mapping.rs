//! One mapping of an address space, and how mappings are told apart.

use memtide_proc::parse::maps::MapEntry;

/// A mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the four letters of a line of maps"
)]
pub(crate) struct Mapping {
    /// First address.
    pub(crate) start: u64,
    /// First address behind it.
    pub(crate) end: u64,
    /// True if it can be read.
    pub(crate) is_readable: bool,
    /// True if it can be written.
    pub(crate) is_writable: bool,
    /// True if it can be executed.
    pub(crate) is_executable: bool,
    /// True if others see what is written to it.
    pub(crate) is_shared: bool,
    /// Where in the file it starts.
    pub(crate) offset: u64,
    /// The file's inode; 0 of anonymous memory.
    pub(crate) inode: u64,
    /// Path or `[name]`, as raw as the kernel prints it; empty of unnamed memory.
    pub(crate) name: Box<[u8]>,
}

/// How the kernel names memory of the huge page pool, which is anonymous though it has an inode.
const HUGE_PAGES: &[u8] = b"/anon_hugepage";

impl Mapping {
    /// From a line of `maps`.
    pub(crate) fn new(entry: &MapEntry<'_>) -> Self {
        let [read, write, execute, _] = entry.protection;
        Self {
            start: entry.start,
            end: entry.end,
            is_readable: read == b'r',
            is_writable: write == b'w',
            is_executable: execute == b'x',
            is_shared: entry.is_shared(),
            offset: entry.offset,
            inode: entry.inode,
            name: entry.name.into(),
        }
    }

    /// Its length in bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// True for an address inside it.
    pub(crate) const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// True for (a part of) the heap that `brk` moves.
    pub(crate) fn is_brk_heap(&self) -> bool {
        *self.name == *b"[heap]"
    }

    /// True for a file's pages; they can be brought in again at any time.
    pub(crate) fn is_file(&self) -> bool {
        self.inode != 0 && !self.name.starts_with(HUGE_PAGES)
    }

    /// True for private writable anonymous memory with no role of its own, where malloc may keep a
    /// heap or a block: no name, a name that somebody gave it, or huge pages.
    pub(crate) fn is_plain_memory(&self) -> bool {
        let has_role = self.name.starts_with(b"[") && !self.name.starts_with(b"[anon");
        self.is_readable && self.is_writable && !self.is_shared && !self.is_file() && !has_role
    }
}

/// The mapping that holds `address`, of ascending mappings.
pub(crate) fn find(mappings: &[Mapping], address: u64) -> Option<&Mapping> {
    let behind = mappings.partition_point(|mapping| mapping.start <= address);
    let mapping = mappings.get(behind.checked_sub(1)?)?;
    mapping.contains(address).then_some(mapping)
}
