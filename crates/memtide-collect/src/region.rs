//! One process's region over time: what was read of it, so that the next look reads only what is new.
//!
//! Frees and allocations of a stack that one thread makes lie in one cache line and are copied
//! together. Those of other threads lie in other pages; all pages of the same stacks are read one
//! right after another, so that a free can be ahead of its allocation by microseconds only. Reading
//! all frees first would never be ahead, but would count as live whatever came and went in between.

use crate::frames::FrameId;
use crate::modules::RegionModules;
use crate::namespace::Namespace;
use crate::source::RegionFile;
use crate::stacks::{Key, Stacks};
use crate::sums::Sums;
use memtide_model::{Pid, StackKind, StackOwner};
use memtide_region::layout::{
    FIRST_ADDRESS, MARK_FOREIGN, MARK_MAPPING, MARK_TRUNCATED, OVERFLOW, PAGE_BYTES, ROOT,
};
use memtide_region::reader::Summary;
use memtide_region::{Counters, Error, Mode, Node, PageEntry, Reader, State, Table};

/// How often the counters are read anew when the peak moved on meanwhile.
const PEAK_TRIES: usize = 3;

/// What a node of the region is for all regions.
#[derive(Clone, Copy, Debug)]
struct NodeRef {
    frame: FrameId,
    kind: StackKind,
}

/// A counted stack of the region.
#[derive(Debug)]
struct Row {
    /// Its number in [`Stacks`].
    stack: u32,
    /// What [`Stacks`] was told.
    last: Sums,
    /// The sum over threads that is being read.
    now: Counters,
    /// What [`Stacks`] was told of its bytes at the peak.
    peak: u64,
}

/// What was read of a region.
#[derive(Debug)]
pub(crate) struct Region {
    owner: StackOwner,
    /// Its process's number here, once it was looked for and found.
    process: Option<Pid>,
    modules: RegionModules,
    nodes: Vec<NodeRef>,
    /// The row of a node that is a counted stack, or [`NO_ROW`]; as long as `nodes`.
    row_of_node: Vec<u32>,
    rows: Vec<Row>,
    /// Rows of the directory that were read.
    directory: u32,
    /// By number, so that the pages of the same stacks follow each other.
    pages: Vec<PageEntry>,
    ranges: Vec<(u64, u64)>,
    /// Whether bytes at the peak were ever read while it stood still.
    peak_known: bool,
    damaged: bool,
    /// The header as it was at the last look.
    pub(crate) summary: Summary,
}

const NO_ROW: u32 = u32::MAX;

type FileReader<'a, 'b> = Reader<&'a RegionFile<'b>>;

impl Region {
    /// A region whose header can be read; nothing else was. It is not the target's until
    /// [`Region::set_owner`] says so.
    pub(crate) fn new(file: &RegionFile<'_>) -> Result<Self, Error> {
        Ok(Self {
            owner: StackOwner::Others,
            process: None,
            modules: RegionModules::default(),
            nodes: Vec::new(),
            row_of_node: Vec::new(),
            rows: Vec::new(),
            directory: 0,
            pages: Vec::new(),
            ranges: Vec::new(),
            peak_known: false,
            damaged: false,
            summary: Reader::new(file)?.summary()?,
        })
    }

    /// Reads what is new and tells `stacks`. What cannot be read is left out, see
    /// [`Region::is_incomplete`].
    pub(crate) fn read(&mut self, file: &RegionFile<'_>, stacks: &mut Stacks) {
        let tables = self.read_tables(file, stacks);
        let counters = self.read_counters(file, stacks);
        self.damaged |= tables.is_err() || counters.is_err();
    }

    /// Whether something in it lies where nothing is, or the shim has refused to record.
    pub(crate) fn is_incomplete(&self) -> bool {
        let refused = matches!(
            self.summary.state,
            State::RefusedLimit
                | State::RefusedOvercommit
                | State::RefusedKernel
                | State::RefusedAllocator
        );
        self.damaged || refused
    }

    /// Its process's number here; `None` where it cannot be seen.
    pub(crate) fn process(&mut self) -> Option<Pid> {
        let summary = &self.summary;
        if self.process.is_none() {
            self.process = Namespace::of(summary.pid_namespace).process(summary.pid);
        }
        self.process
    }

    /// Private memory of the shim in the process, as (first address, bytes).
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    fn read_tables(&mut self, file: &RegionFile<'_>, stacks: &mut Stacks) -> Result<(), Error> {
        let reader = Reader::new(file)?;
        self.summary = reader.summary()?;
        let summary = self.summary;
        // No table holds more entries than fit into the file.
        let bytes = file.bytes();
        let fit = |count: u32, entry_bytes: usize| {
            let room = bytes / entry_bytes as u64;
            count.min(u32::try_from(room).unwrap_or(u32::MAX))
        };
        let modules = fit(summary.modules, Table::MODULES.entry_bytes as usize);
        self.modules
            .update(&reader, modules, summary.generation, &mut stacks.modules)?;
        let nodes = fit(summary.nodes, Table::NODES.entry_bytes as usize);
        self.read_nodes(&reader, nodes, stacks)?;
        // Neither are there more pages than fit.
        self.read_directory(&reader, fit(summary.pages, PAGE_BYTES))?;
        let ranges = fit(summary.ranges, Table::RANGES.entry_bytes as usize);
        for index in count_of(&self.ranges)..ranges {
            self.ranges.push(reader.range(index)?);
        }
        Ok(())
    }

    fn read_nodes(
        &mut self,
        reader: &FileReader<'_, '_>,
        count: u32,
        stacks: &mut Stacks,
    ) -> Result<(), Error> {
        for id in count_of(&self.nodes)..count {
            let node = reader.node(id)?;
            // Modules have changed places since the header was read, so whose the address is will be
            // known at the next look. A node that is ahead of the header itself is damaged.
            if node.generation > self.modules.generation()
                && node.generation <= reader.summary()?.generation
            {
                return Ok(());
            }
            let known = self.node_ref(id, &node, stacks);
            self.nodes.push(known);
            self.row_of_node.push(NO_ROW);
        }
        Ok(())
    }

    fn node_ref(&mut self, id: u32, node: &Node, stacks: &mut Stacks) -> NodeRef {
        let heap = |frame| NodeRef {
            frame,
            kind: StackKind::Heap,
        };
        // Callers are older; of a node that says otherwise nothing is above.
        let caller = self
            .nodes
            .get(node.parent as usize)
            .map_or(FrameId::ROOT, |caller| caller.frame);
        match (id, node.address) {
            (ROOT, _) => heap(FrameId::ROOT),
            (OVERFLOW, _) => heap(FrameId::OVERFLOW),
            (_, MARK_MAPPING) => NodeRef {
                frame: caller,
                kind: StackKind::Mapping,
            },
            (_, MARK_TRUNCATED) => heap(FrameId::TRUNCATED),
            (_, MARK_FOREIGN) => heap(FrameId::FOREIGN),
            (_, address) if address < FIRST_ADDRESS => heap(caller),
            (_, address) => {
                let place = self.modules.place(address, node.generation);
                heap(stacks.frames.child(caller, place))
            }
        }
    }

    fn read_directory(&mut self, reader: &FileReader<'_, '_>, count: u32) -> Result<(), Error> {
        if self.directory >= count {
            return Ok(());
        }
        while self.directory < count {
            let page = reader.page(self.directory)?;
            self.directory += 1;
            self.pages.push(page);
        }
        self.pages.sort_by_key(|page| page.number);
        Ok(())
    }

    /// Reads all counters, and again if the peak moved on while they were read: bytes at the peak
    /// are then of two peaks. If it never stands still, those of the last look stay.
    fn read_counters(&mut self, file: &RegionFile<'_>, stacks: &mut Stacks) -> Result<(), Error> {
        let reader = Reader::new(file)?;
        let mut outcome = Ok(());
        let mut stood_still = false;
        for _ in 0..PEAK_TRIES {
            let before = reader.summary()?;
            outcome = self.sum_threads(&reader, before.peak_epoch, stacks);
            for row in &mut self.rows {
                row.tell(before.mode, stacks);
            }
            self.summary = reader.summary()?;
            stood_still = self.summary.peak_epoch == before.peak_epoch;
            if stood_still {
                break;
            }
        }
        if stood_still || !self.peak_known {
            self.peak_known |= stood_still;
            for row in &mut self.rows {
                row.tell_peak(stacks);
            }
        }
        outcome
    }

    /// Leaves out pages that cannot be read, and stacks whose node was not yet read.
    fn sum_threads(
        &mut self,
        reader: &FileReader<'_, '_>,
        peak_epoch: u64,
        stacks: &mut Stacks,
    ) -> Result<(), Error> {
        for row in &mut self.rows {
            row.now = Counters::default();
        }
        let (owner, nodes, rows) = (self.owner, &self.nodes, &mut self.rows);
        let mut outcome = Ok(());
        for page in &self.pages {
            let read = reader.counters(page, peak_epoch, |node, counters| {
                let id = node as usize;
                let (Some(number), Some(node)) = (self.row_of_node.get_mut(id), nodes.get(id))
                else {
                    return;
                };
                if *number == NO_ROW {
                    *number = count_of(rows);
                    rows.push(Row::new(*node, owner, stacks));
                }
                if let Some(row) = rows.get_mut(*number as usize) {
                    row.now.add(&counters);
                }
            });
            outcome = outcome.and(read);
        }
        outcome
    }

    /// Moves all that was counted from one owner to the other.
    pub(crate) fn set_owner(&mut self, owner: StackOwner, stacks: &mut Stacks) {
        if self.owner == owner {
            return;
        }
        self.owner = owner;
        let nothing = Sums::default();
        for row in &mut self.rows {
            stacks.advance(row.stack, &row.last, &nothing);
            stacks.advance_peak(row.stack, row.peak, 0);
            row.stack = stacks.number_for(row.stack, owner);
            stacks.advance(row.stack, &nothing, &row.last);
            stacks.advance_peak(row.stack, 0, row.peak);
        }
    }

    /// The process ended: what is live was never freed.
    pub(crate) fn abandon(self, stacks: &mut Stacks) {
        for row in self.rows {
            stacks.abandon(row.stack, &row.last, row.peak);
        }
    }
}

impl Row {
    fn new(node: NodeRef, owner: StackOwner, stacks: &mut Stacks) -> Self {
        let key = Key {
            leaf: node.frame,
            kind: node.kind,
            owner,
        };
        Self {
            stack: stacks.number(key),
            last: Sums::default(),
            now: Counters::default(),
            peak: 0,
        }
    }

    fn tell(&mut self, mode: Mode, stacks: &mut Stacks) {
        let now = Sums::of_counters(&self.now, mode);
        if now != self.last {
            stacks.advance(self.stack, &self.last, &now);
            self.last = now;
        }
    }

    fn tell_peak(&mut self, stacks: &mut Stacks) {
        if self.now.peak_bytes != self.peak {
            stacks.advance_peak(self.stack, self.peak, self.now.peak_bytes);
            self.peak = self.now.peak_bytes;
        }
    }
}

/// Entries of a table that was read; no table has more than 2^24.
fn count_of<T>(entries: &[T]) -> u32 {
    u32::try_from(entries.len()).unwrap_or(u32::MAX)
}
