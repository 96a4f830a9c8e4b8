//! Reads a region while it is written, and after its writer is gone.
//!
//! The reader keeps nothing but its source and reads what it is asked for, so a region that grew is
//! simply read further. Every offset and length in the file is foreign input: what does not fit
//! is an [`Error`], a node whose parent is not older than itself ends the stack.
//!
//! A counter is read as the file system copies it; on x86-64 aligned words arrive whole. Counters
//! of one stack are read one after another: live bytes may be off by a block in flight, and a
//! free may be seen before the allocation that another thread made. Sums are exact once the
//! target is quiet.

use crate::layout::{
    CounterRow, FIRST_ADDRESS, HEADER_BYTES, Header, Kind, Lost, MAGIC, MARK_MAPPING, Mode,
    ModuleEntry, NodeEntry, PAGE_BYTES, PAGE_STACKS, PATH_BYTES, PageRow, ROOT, RangeEntry, State,
    TableHead, ThreadEntry, VERSION,
};
use crate::table::{SEGMENTS, Table};
use core::fmt;
use core::mem::offset_of;

/// Where the bytes of a region come from: a file, a memfd, a buffer.
pub trait Source {
    /// Fills `buffer` from `offset` on and says whether all of it could be filled.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool;
}

impl Source for [u8] {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let Ok(start) = usize::try_from(offset) else {
            return false;
        };
        let bytes = start
            .checked_add(buffer.len())
            .and_then(|end| self.get(start..end));
        bytes.is_some_and(|bytes| {
            buffer.copy_from_slice(bytes);
            true
        })
    }
}

/// Why a region, or a part of it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The file is shorter than a header.
    Short,
    /// It does not begin with [`MAGIC`]; a region that is being made does not yet.
    Magic,
    /// It has another version of the layout.
    Version(u32),
    /// A field of the header has an impossible value; its name is given.
    Header(&'static str),
    /// An entry lies outside of the file, or in a segment that does not exist.
    Entry(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => out.write_str("region is shorter than its header"),
            Self::Magic => out.write_str("not a region, or not yet complete"),
            Self::Version(found) => {
                write!(out, "region has layout {found}, this build reads {VERSION}")
            }
            Self::Header(field) => write!(out, "region header: impossible {field}"),
            Self::Entry(index) => write!(out, "entry {index} lies outside of the region"),
        }
    }
}

impl core::error::Error for Error {}

/// The header as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which build of the shim wrote this.
    pub build_hash: u64,
    /// Process id in its own pid namespace.
    pub pid: u32,
    /// Its parent at the start.
    pub parent_pid: u32,
    /// ``CLOCK_BOOTTIME`` in nanoseconds when recording began.
    pub start: u64,
    /// The same of the ordinary end, zero before.
    pub end: u64,
    /// What was recorded.
    pub mode: Mode,
    /// How far the writer is.
    pub state: State,
    /// Mean bytes between samples.
    pub interval: u64,
    /// Counts how often live bytes reached a new maximum.
    pub peak_epoch: u64,
    /// Live bytes at the latest maximum.
    pub peak_bytes: u64,
    /// Live bytes, behind by what threads have not yet added.
    pub live_bytes: u64,
    /// The youngest generation of modules.
    pub generation: u32,
    /// Nodes, that is ids of stacks below this exist.
    pub nodes: u32,
    /// Modules.
    pub modules: u32,
    /// Recorder slots.
    pub threads: u32,
    /// Counter pages.
    pub pages: u32,
    /// Ranges of the shim's private memory.
    pub ranges: u32,
    /// Stacks, each with the node of its innermost frame.
    pub stacks: u32,
    /// What could not be recorded.
    pub lost: LostCounts,
    /// The pid namespace that `pid` is a number of; zero where that is not known.
    pub pid_namespace: u64,
    /// Whether its process holds a lock on the file while it lives, see [`Header::is_locked`].
    pub is_locked: bool,
    /// Settings that were not understood: [`MISREAD_HEAP`](crate::layout::MISREAD_HEAP),
    /// [`MISREAD_INTERVAL`](crate::layout::MISREAD_INTERVAL).
    pub misread: u32,
}

/// What could not be recorded, see [`Lost`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostCounts {
    /// See [`Lost::reentered`].
    pub reentered: u64,
    /// See [`Lost::threadless`].
    pub threadless: u64,
    /// See [`Lost::no_room`].
    pub no_room: u64,
    /// See [`Lost::nodes`].
    pub nodes: u64,
    /// See [`Lost::rules`].
    pub rules: u64,
    /// See [`Lost::truncated`].
    pub truncated: u64,
    /// See [`Lost::foreign`].
    pub foreign: u64,
    /// See [`Lost::mappings`].
    pub mappings: u64,
}

/// A frame, see [`NodeEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Return address, or a mark below [`FIRST_ADDRESS`].
    pub address: u64,
    /// The caller's node.
    pub parent: u32,
    /// The generation of modules that the address belongs to.
    pub generation: u32,
}

/// A loaded object, see [`ModuleEntry`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Module {
    /// First mapped address.
    pub base: u64,
    /// Mapped bytes.
    pub bytes: u64,
    /// What is added to an address of the file.
    pub bias: u64,
    /// First generation in which it was seen.
    pub loaded: u32,
    /// First generation in which it was gone.
    pub unloaded: u32,
    build_id: [u8; 32],
    build_id_bytes: usize,
    path: [u8; PATH_BYTES],
    path_bytes: usize,
}

impl Module {
    /// The build-id, empty if there is none.
    pub fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_bytes).unwrap_or_default()
    }

    /// The path in the target's mount namespace; empty for the main program.
    pub fn path(&self) -> &[u8] {
        self.path.get(..self.path_bytes).unwrap_or_default()
    }

    /// Whether a node of `generation` with this address lies in it.
    pub fn contains(&self, address: u64, generation: u32) -> bool {
        address.wrapping_sub(self.base) < self.bytes
            && (self.loaded..self.unloaded).contains(&generation)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = core::str::from_utf8(self.path()).unwrap_or("(not UTF-8)");
        write!(out, "{path} {:#x}+{:#x}", self.base, self.bytes)
    }
}

/// A recorder slot, see [`ThreadEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The thread that uses it, or used it last.
    pub tid: u32,
    /// Whether it lives.
    pub alive: bool,
    /// How many threads have used the slot.
    pub users: u64,
}

/// A row of the directory of counter pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEntry {
    /// File offset of the page.
    pub offset: u64,
    /// Index of the slot that writes it.
    pub thread: u32,
    /// It holds the stacks from 256 times this on, by their index in [`Table::STACKS`].
    pub number: u32,
}

/// Counters of one stack and thread, or sums of such. All wrap, as frees may come from other
/// threads than allocations; sums over threads do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks made; sampled mode: an estimate in parts of [`crate::layout::COUNT_SCALE`].
    pub allocs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Their bytes.
    pub freed: u64,
    /// Live bytes at the latest peak of all live bytes.
    pub peak_bytes: u64,
    /// Samples behind the estimate.
    pub samples: u64,
    /// Of those, freed.
    pub freed_samples: u64,
}

impl Counters {
    /// Live bytes; negative while the allocation of a freed block has not yet been read.
    pub fn live_bytes(&self) -> i64 {
        self.bytes.wrapping_sub(self.freed).cast_signed()
    }

    /// Live blocks, in the unit of `allocs`.
    pub fn live_blocks(&self) -> i64 {
        self.allocs.wrapping_sub(self.frees).cast_signed()
    }

    /// Adds what another thread has seen of the same stack.
    pub fn add(&mut self, other: &Self) {
        self.allocs = self.allocs.wrapping_add(other.allocs);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.frees = self.frees.wrapping_add(other.frees);
        self.freed = self.freed.wrapping_add(other.freed);
        self.peak_bytes = self.peak_bytes.wrapping_add(other.peak_bytes);
        self.samples = self.samples.wrapping_add(other.samples);
        self.freed_samples = self.freed_samples.wrapping_add(other.freed_samples);
    }
}

/// Number at `offset` of `bytes`, 0 past their end (callers ask within fixed sizes).
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let array = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(*array.unwrap_or(&[0; 4]))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let array = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    u64::from_le_bytes(*array.unwrap_or(&[0; 8]))
}

/// The decoder of one region.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
}

impl<S: Source> Reader<S> {
    /// Looks at the header and refuses what is not a region of this layout.
    pub fn new(source: S) -> Result<Self, Error> {
        let reader = Self { source };
        reader.summary().map(|_| reader)
    }

    /// The header as it is now.
    pub fn summary(&self) -> Result<Summary, Error> {
        let mut page = [0; HEADER_BYTES];
        if !self.source.read(0, &mut page) {
            return Err(Error::Short);
        }
        if u64_at(&page, offset_of!(Header, magic)) != MAGIC {
            return Err(Error::Magic);
        }
        let number = |offset| u32_at(&page, offset);
        let long = |offset| u64_at(&page, offset);
        let version = number(offset_of!(Header, version));
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let length = |head: usize, table: Table| {
            number(head + offset_of!(TableHead, length)).min(table.most)
        };
        Ok(Summary {
            build_hash: long(offset_of!(Header, build_hash)),
            pid: number(offset_of!(Header, pid)),
            parent_pid: number(offset_of!(Header, parent_pid)),
            start: long(offset_of!(Header, start)),
            end: long(offset_of!(Header, end)),
            mode: Mode::from_number(number(offset_of!(Header, mode)))
                .ok_or(Error::Header("mode"))?,
            state: State::from_number(number(offset_of!(Header, state)))
                .ok_or(Error::Header("state"))?,
            interval: long(offset_of!(Header, interval)),
            peak_epoch: long(offset_of!(Header, peak_epoch)),
            peak_bytes: long(offset_of!(Header, peak_bytes)),
            live_bytes: long(offset_of!(Header, live_bytes)),
            generation: number(offset_of!(Header, generation)),
            nodes: length(offset_of!(Header, nodes), Table::NODES),
            modules: length(offset_of!(Header, modules), Table::MODULES),
            threads: length(offset_of!(Header, threads), Table::THREADS),
            pages: length(offset_of!(Header, pages), Table::PAGES),
            ranges: length(offset_of!(Header, ranges), Table::RANGES),
            stacks: length(offset_of!(Header, stacks), Table::STACKS),
            lost: lost_counts(&page),
            pid_namespace: long(offset_of!(Header, pid_namespace)),
            is_locked: number(offset_of!(Header, is_locked)) == 1,
            misread: number(offset_of!(Header, misread)),
        })
    }

    /// Reads entry `index` of the table whose head lies at `head` of the header.
    fn entry(&self, head: usize, table: Table, index: u32, into: &mut [u8]) -> Result<(), Error> {
        let (segment, within) = table.place(index);
        let mut word = [0; 8];
        let place = head + offset_of!(TableHead, segments) + 8 * segment;
        if segment >= SEGMENTS || !self.source.read(place as u64, &mut word) {
            return Err(Error::Entry(index));
        }
        let start = u64::from_le_bytes(word);
        let offset = start.checked_add(u64::from(within) * u64::from(table.entry_bytes));
        match offset {
            Some(offset) if start >= HEADER_BYTES as u64 && self.source.read(offset, into) => {
                Ok(())
            }
            _ => Err(Error::Entry(index)),
        }
    }

    /// Node `id`, which must be below [`Summary::nodes`].
    pub fn node(&self, id: u32) -> Result<Node, Error> {
        let mut entry = [0; size_of::<NodeEntry>()];
        self.entry(offset_of!(Header, nodes), Table::NODES, id, &mut entry)?;
        Ok(Node {
            address: u64_at(&entry, offset_of!(NodeEntry, address)),
            parent: u32_at(&entry, offset_of!(NodeEntry, parent)),
            generation: u32_at(&entry, offset_of!(NodeEntry, generation)),
        })
    }

    /// The frames of stack `id`, innermost first; marks are left out. Ends at the root, and at a
    /// node whose parent is not older, which no writer makes.
    pub fn frames(&self, id: u32) -> Frames<'_, S> {
        Frames { reader: self, id }
    }

    /// What stack `id` asked for: its own node tells.
    pub fn kind(&self, id: u32) -> Result<Kind, Error> {
        let mapping = self.node(id)?.address == MARK_MAPPING;
        Ok(if mapping { Kind::Mapping } else { Kind::Heap })
    }

    /// Module `index`, which must be below [`Summary::modules`].
    pub fn module(&self, index: u32) -> Result<Module, Error> {
        let mut entry = [0; size_of::<ModuleEntry>()];
        self.entry(
            offset_of!(Header, modules),
            Table::MODULES,
            index,
            &mut entry,
        )?;
        let mut module = Module {
            base: u64_at(&entry, offset_of!(ModuleEntry, base)),
            bytes: u64_at(&entry, offset_of!(ModuleEntry, bytes)),
            bias: u64_at(&entry, offset_of!(ModuleEntry, bias)),
            loaded: u32_at(&entry, offset_of!(ModuleEntry, loaded)),
            unloaded: u32_at(&entry, offset_of!(ModuleEntry, unloaded)),
            build_id: [0; 32],
            build_id_bytes: u32_at(&entry, offset_of!(ModuleEntry, build_id_bytes)).min(32)
                as usize,
            path: [0; PATH_BYTES],
            path_bytes: (u32_at(&entry, offset_of!(ModuleEntry, path_bytes)) as usize)
                .min(PATH_BYTES),
        };
        let at = |offset: usize| entry.get(offset..).unwrap_or_default();
        if let Some(bytes) = at(offset_of!(ModuleEntry, build_id)).first_chunk() {
            module.build_id = *bytes;
        }
        if let Some(bytes) = at(offset_of!(ModuleEntry, path)).first_chunk() {
            module.path = *bytes;
        }
        Ok(module)
    }

    /// Recorder slot `index`, which must be below [`Summary::threads`].
    pub fn thread(&self, index: u32) -> Result<Thread, Error> {
        let mut entry = [0; size_of::<ThreadEntry>()];
        self.entry(
            offset_of!(Header, threads),
            Table::THREADS,
            index,
            &mut entry,
        )?;
        Ok(Thread {
            tid: u32_at(&entry, offset_of!(ThreadEntry, tid)),
            alive: u32_at(&entry, offset_of!(ThreadEntry, alive)) == 1,
            users: u64_at(&entry, offset_of!(ThreadEntry, users)),
        })
    }

    /// Row `index` of the directory of counter pages, below [`Summary::pages`].
    pub fn page(&self, index: u32) -> Result<PageEntry, Error> {
        let mut entry = [0; size_of::<PageRow>()];
        self.entry(offset_of!(Header, pages), Table::PAGES, index, &mut entry)?;
        Ok(PageEntry {
            offset: u64_at(&entry, offset_of!(PageRow, offset)),
            thread: u32_at(&entry, offset_of!(PageRow, thread)),
            number: u32_at(&entry, offset_of!(PageRow, number)),
        })
    }

    /// Range `index` of the shim's private memory as (first address, bytes), below [`Summary::ranges`].
    pub fn range(&self, index: u32) -> Result<(u64, u64), Error> {
        let mut entry = [0; size_of::<RangeEntry>()];
        self.entry(offset_of!(Header, ranges), Table::RANGES, index, &mut entry)?;
        Ok((
            u64_at(&entry, offset_of!(RangeEntry, start)),
            u64_at(&entry, offset_of!(RangeEntry, bytes)),
        ))
    }

    /// Calls `each` with the node of the innermost frame and the counters of every stack of `page` that
    /// was ever counted.
    /// `peak_epoch` is the header's.
    pub fn counters(
        &self,
        page: &PageEntry,
        peak_epoch: u64,
        mut each: impl FnMut(u32, Counters),
    ) -> Result<(), Error> {
        let mut bytes = [0; PAGE_BYTES];
        if page.offset < HEADER_BYTES as u64 || !self.source.read(page.offset, &mut bytes) {
            return Err(Error::Entry(page.number));
        }
        let mut nodes = [0; 4 * PAGE_STACKS as usize];
        let first = page.number.checked_mul(PAGE_STACKS);
        let first = first.ok_or(Error::Entry(page.number))?;
        self.entry(offset_of!(Header, stacks), Table::STACKS, first, &mut nodes)?;
        let rows = bytes.chunks_exact(size_of::<CounterRow>());
        for (index, row) in rows.enumerate() {
            let counters = row_counters(row, peak_epoch);
            let node = u32_at(&nodes, 4 * index);
            if node != ROOT && counters != Counters::default() {
                each(node, counters);
            }
        }
        Ok(())
    }
}

fn row_counters(row: &[u8], peak_epoch: u64) -> Counters {
    let bytes = u64_at(row, offset_of!(CounterRow, bytes));
    let freed = u64_at(row, offset_of!(CounterRow, freed));
    // While live bytes are at their maximum the epoch is odd, and that of no row.
    let kept = u64_at(row, offset_of!(CounterRow, peak_epoch)) == peak_epoch;
    Counters {
        allocs: u64_at(row, offset_of!(CounterRow, allocs)),
        bytes,
        frees: u64_at(row, offset_of!(CounterRow, frees)),
        freed,
        peak_bytes: if kept && peak_epoch != 0 {
            u64_at(row, offset_of!(CounterRow, peak_bytes))
        } else {
            bytes.wrapping_sub(freed)
        },
        samples: u64_at(row, offset_of!(CounterRow, samples)),
        freed_samples: u64_at(row, offset_of!(CounterRow, freed_samples)),
    }
}

fn lost_counts(page: &[u8]) -> LostCounts {
    let count = |field| u64_at(page, offset_of!(Header, lost) + field);
    LostCounts {
        reentered: count(offset_of!(Lost, reentered)),
        threadless: count(offset_of!(Lost, threadless)),
        no_room: count(offset_of!(Lost, no_room)),
        nodes: count(offset_of!(Lost, nodes)),
        rules: count(offset_of!(Lost, rules)),
        truncated: count(offset_of!(Lost, truncated)),
        foreign: count(offset_of!(Lost, foreign)),
        mappings: count(offset_of!(Lost, mappings)),
    }
}

/// See [`Reader::frames`].
#[derive(Debug)]
pub struct Frames<'a, S> {
    reader: &'a Reader<S>,
    id: u32,
}

impl<S: Source> Iterator for Frames<'_, S> {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        while self.id != ROOT {
            let node = self.reader.node(self.id).ok()?;
            self.id = if node.parent < self.id {
                node.parent
            } else {
                ROOT
            };
            if node.address >= FIRST_ADDRESS {
                return Some(node);
            }
        }
        None
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        (**self).read(offset, buffer)
    }
}

#[cfg(test)]
mod tests;
