//! The types that lie in the file, shared by writer and reader.
//!
//! All are `repr(C)` and made of atomics and bytes, so that the shim can cast a mapping to them and
//! the reader can find fields by `offset_of!`. A change of any of them raises [`VERSION`].

use crate::table::SEGMENTS;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// `memtide` and an end-of-line, which a transfer as text would damage.
pub const MAGIC: u64 = u64::from_le_bytes(*b"memtide\n");
/// Version of the layout. A reader refuses any other.
pub const VERSION: u32 = 2;
/// Bytes of the header; the first segment may follow it at once.
pub const HEADER_BYTES: usize = 4096;
/// Stacks whose counters share a page; a block of so many entries of any table is never torn.
pub const PAGE_STACKS: u32 = 256;
/// Bytes of a counter page.
pub const PAGE_BYTES: usize = 256 * 64;
/// The longest path of a module that is kept, in bytes.
pub const PATH_BYTES: usize = 952;
/// Estimated block counts of [`Mode::Sampled`] are kept in this part of a block, as weights are not whole.
pub const COUNT_SCALE: u64 = 1 << 16;
/// The parent of the outermost frame.
pub const ROOT: u32 = 0;
/// The stack of what could not be told apart, because the node table is full.
pub const OVERFLOW: u32 = 1;
/// Return addresses below this are marks, not code: see [`Kind`] and [`MARK_TRUNCATED`].
pub const FIRST_ADDRESS: u64 = 4096;
/// Mark of a node above which (towards the root) a generation of addresses begins.
pub const MARK_GENERATION: u64 = 0;
/// Mark of a leaf: the stack mapped memory, and did not allocate from the heap.
pub const MARK_MAPPING: u64 = 1;
/// Mark of a root: the stack was deeper than the shim follows, only its innermost frames are known.
pub const MARK_TRUNCATED: u64 = 2;
/// Mark of a root: the stack pointer was on no stack that may be walked (a fiber, an alternate
/// signal stack); only the caller is known.
pub const MARK_FOREIGN: u64 = 3;
/// Bit of [`Header::misread`]: `MEMTIDE_HEAP` is none of the words that the shim knows.
pub const MISREAD_HEAP: u32 = 1;
/// Bit of [`Header::misread`]: `MEMTIDE_INTERVAL` is not a number of bytes above zero.
pub const MISREAD_INTERVAL: u32 = 2;
/// [`ModuleEntry::unloaded`] of a module that is still loaded.
pub const LOADED: u32 = u32::MAX;

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Blocks drawn by a Poisson process over allocated bytes; counters are estimates, block counts in
    /// parts of [`COUNT_SCALE`].
    Sampled = 1,
    /// Every block; counters are exact.
    Full = 2,
}

impl Mode {
    /// From the number in the header.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Sampled),
            2 => Some(Self::Full),
            _ => None,
        }
    }
}

/// How far the writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// The header is not complete.
    Starting = 0,
    /// Blocks are being recorded, or the process was killed.
    Recording = 1,
    /// The process ended in the ordinary way.
    Ended = 2,
    /// There was no room for more; what is there is true, what came later is missing.
    Full = 3,
    /// Nothing is recorded: the address space is limited (`RLIMIT_AS`), or private memory (`RLIMIT_DATA`), and
    /// the shim's tables could take what the program needs.
    RefusedLimit = 4,
    /// Nothing is recorded: the kernel does not overcommit (`vm.overcommit_memory` 2).
    RefusedOvercommit = 5,
    /// Nothing is recorded: the kernel lacks what the shim needs (`MADV_WIPEONFORK`, Linux 4.14).
    RefusedKernel = 6,
    /// No block is recorded: no allocator was found behind the shim, or one in front of it, to which the
    /// program's calls go. Where that one passes calls on, the first block changes this to
    /// [`State::Recording`].
    RefusedAllocator = 7,
}

impl State {
    /// From the number in the header.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Starting),
            1 => Some(Self::Recording),
            2 => Some(Self::Ended),
            3 => Some(Self::Full),
            4 => Some(Self::RefusedLimit),
            5 => Some(Self::RefusedOvercommit),
            6 => Some(Self::RefusedKernel),
            7 => Some(Self::RefusedAllocator),
            _ => None,
        }
    }
}

/// What a stack asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blocks of the allocator.
    Heap,
    /// Anonymous mappings made by the program itself.
    Mapping,
}

/// One append-only table: its length, and where its segments lie in the file.
#[repr(C)]
#[derive(Debug)]
pub struct TableHead {
    /// Complete entries; stored with release order after the entry.
    pub length: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
    /// File offset of each segment, zero if there is none yet.
    pub segments: [AtomicU64; SEGMENTS],
}

/// What could not be recorded, by reason. Written by any thread, atomically.
#[repr(C)]
#[derive(Debug)]
pub struct Lost {
    /// Blocks made or freed while the same thread was inside the shim (signal handlers).
    pub reentered: AtomicU64,
    /// Blocks of threads that had no recorder slot (ending, or too many).
    pub threadless: AtomicU64,
    /// Blocks for which there was no room: shadow, sample table, counter page.
    pub no_room: AtomicU64,
    /// Stacks for which there was no node.
    pub nodes: AtomicU64,
    /// Frames whose rule is not known, so that the stack ends there.
    pub rules: AtomicU64,
    /// Stacks that were deeper than the shim follows.
    pub truncated: AtomicU64,
    /// Stacks on memory that may not be walked.
    pub foreign: AtomicU64,
    /// Mappings for which the table of ranges had no room.
    pub mappings: AtomicU64,
}

/// The first [`HEADER_BYTES`] of a region.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`], stored last, with release order.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// Size of the region's header in bytes.
    pub header_bytes: AtomicU32,
    /// Says which build of the shim wrote this; equal to that of the memtide that carries it.
    pub build_hash: AtomicU64,
    /// Process id in its own pid namespace.
    pub pid: AtomicU32,
    /// Its parent when the region was made.
    pub parent_pid: AtomicU32,
    /// ``CLOCK_BOOTTIME`` in nanoseconds when the region was made.
    pub start: AtomicU64,
    /// A [`Mode`].
    pub mode: AtomicU32,
    /// A [`State`].
    pub state: AtomicU32,
    /// Mean bytes between samples; 1 in full mode.
    pub interval: AtomicU64,
    /// ``CLOCK_BOOTTIME`` in nanoseconds of the ordinary end, zero before.
    pub end: AtomicU64,
    /// Bytes of the file that are in use.
    pub used: AtomicU64,
    /// Counts how often live bytes began to rise above their maximum and to fall from it: odd while
    /// they are at the maximum, when each row's own counters are its live bytes at the peak.
    pub peak_epoch: AtomicU64,
    /// Live bytes at the latest maximum.
    pub peak_bytes: AtomicU64,
    /// Live bytes now, behind by what threads have not yet added.
    pub live_bytes: AtomicU64,
    /// How often a module took the addresses of another one.
    pub generation: AtomicU32,
    /// Bytes of address per shadow slot, full mode.
    pub granule: AtomicU32,
    /// What could not be recorded.
    pub lost: Lost,
    /// Stack nodes, [`crate::Table::NODES`].
    pub nodes: TableHead,
    /// Modules, [`crate::Table::MODULES`].
    pub modules: TableHead,
    /// Recorder slots, [`crate::Table::THREADS`].
    pub threads: TableHead,
    /// Counter pages, [`crate::Table::PAGES`].
    pub pages: TableHead,
    /// Private memory of the shim, [`crate::Table::RANGES`].
    pub ranges: TableHead,
    /// Stacks, [`crate::Table::STACKS`]: `u32` node ids.
    pub stacks: TableHead,
    /// Inode of the pid namespace that `pid` is a number of (`/proc/self/ns/pid`); zero where the process
    /// could not read it.
    pub pid_namespace: AtomicU64,
    /// 1 where the process holds a lock on the file (`F_OFD_SETLK`) from before the header was complete
    /// until it ends or replaces its program: a sign of life that needs no pid. A child of `fork` holds
    /// it, too, until it begins a region of its own.
    pub is_locked: AtomicU32,
    /// Settings that were given and not understood, so that the usual ones are in force:
    /// [`MISREAD_HEAP`], [`MISREAD_INTERVAL`].
    pub misread: AtomicU32,
}

/// A frame of a stack; its id is its index.
#[repr(C)]
#[derive(Debug)]
pub struct NodeEntry {
    /// Return address, or a mark below [`FIRST_ADDRESS`].
    pub address: AtomicU64,
    /// The node of the caller; always smaller than this one's id.
    pub parent: AtomicU32,
    /// The generation of modules in which the address is to be looked up.
    pub generation: AtomicU32,
}

/// A loaded object.
#[repr(C)]
#[derive(Debug)]
pub struct ModuleEntry {
    /// First mapped address.
    pub base: AtomicU64,
    /// Mapped bytes.
    pub bytes: AtomicU64,
    /// What is added to an address of the file.
    pub bias: AtomicU64,
    /// First generation in which it was seen.
    pub loaded: AtomicU32,
    /// First generation in which its addresses belong to another one; [`LOADED`] until then.
    pub unloaded: AtomicU32,
    /// Bytes of the build-id, 0 to 32.
    pub build_id_bytes: AtomicU32,
    /// Bytes of the path: the loader's name where that is absolute, otherwise the kernel's (the program's
    /// own, and what was loaded by a relative name). [`PATH_BYTES`] where it was cut.
    pub path_bytes: AtomicU32,
    /// The build-id.
    pub build_id: [u8; 32],
    /// The path, in the target's mount namespace.
    pub path: [u8; PATH_BYTES],
}

/// A recorder slot.
#[repr(C)]
#[derive(Debug)]
pub struct ThreadEntry {
    /// The thread that uses it, or used it last.
    pub tid: AtomicU32,
    /// 1 while the thread lives.
    pub alive: AtomicU32,
    /// How many threads have used it.
    pub users: AtomicU64,
    /// Zero.
    pub reserved: [AtomicU64; 2],
}

/// Where a counter page lies.
#[repr(C)]
#[derive(Debug)]
pub struct PageRow {
    /// File offset of the page.
    pub offset: AtomicU64,
    /// Index of the slot that writes it.
    pub thread: AtomicU32,
    /// It holds the stacks from 256 times this on, by their index in [`crate::Table::STACKS`].
    pub number: AtomicU32,
}

/// Counters of a stack, as one thread has seen it: a cache line. Bytes are those asked for.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct CounterRow {
    /// Blocks made.
    pub allocs: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Blocks freed by this thread, whoever made them.
    pub frees: AtomicU64,
    /// Their bytes.
    pub freed: AtomicU64,
    /// Live bytes (bytes less freed, wrapping) at the peak, if `peak_epoch` is the header's; otherwise
    /// nothing happened since the peak and the counters themselves tell.
    pub peak_bytes: AtomicU64,
    /// The epoch of the header in which `peak_bytes` was kept; always even.
    pub peak_epoch: AtomicU64,
    /// Sampled mode: samples taken. Their relative error is about one over the root of this.
    pub samples: AtomicU64,
    /// Sampled mode: samples whose block was freed.
    pub freed_samples: AtomicU64,
}

/// Private memory of the shim in the target: tables that are no growth of the program.
#[repr(C)]
#[derive(Debug)]
pub struct RangeEntry {
    /// First address.
    pub start: AtomicU64,
    /// Bytes of address space.
    pub bytes: AtomicU64,
}

const _: () = {
    assert!(size_of::<Header>() <= HEADER_BYTES);
    assert!(size_of::<NodeEntry>() == crate::Table::NODES.entry_bytes as usize);
    assert!(size_of::<ModuleEntry>() == crate::Table::MODULES.entry_bytes as usize);
    assert!(size_of::<ThreadEntry>() == crate::Table::THREADS.entry_bytes as usize);
    assert!(size_of::<PageRow>() == crate::Table::PAGES.entry_bytes as usize);
    assert!(size_of::<RangeEntry>() == crate::Table::RANGES.entry_bytes as usize);
    assert!(size_of::<CounterRow>() * 256 == PAGE_BYTES);
};
