//! One process's region over time: what was read of it, so that the next look reads only what is new.
//!
//! Frees and allocations of a stack that one thread makes lie in one cache line and are copied
//! together. Those of other threads lie in other pages; all pages of the same stacks are read one
//! right after another, so that a free can be ahead of its allocation by microseconds only. Reading
//! all frees first would never be ahead, but would count as live whatever came and went in between.

use crate::frames::FrameId;
use crate::modules::RegionModules;
use crate::source::RegionFile;
use crate::stacks::{Key, Stacks};
use crate::sums::Sums;
use memtide_model::{StackKind, StackOwner};
use memtide_region::layout::{
    FIRST_ADDRESS, MARK_FOREIGN, MARK_MAPPING, MARK_TRUNCATED, OVERFLOW, PAGE_BYTES, PAGE_STACKS,
    ROOT,
};
use memtide_region::reader::Summary;
use memtide_region::{Counters, Error, Mode, Node, PageEntry, Reader, Table};

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
    /// Its place in the page.
    index: u8,
    /// Its number in [`Stacks`].
    stack: u32,
    last: Sums,
    /// What [`Stacks`] was told of its bytes at the peak, and what was read after that.
    peak: u64,
    peak_read: u64,
}

/// The pages of all threads that hold the same stacks.
#[derive(Debug)]
struct Group {
    number: u32,
    /// Their offsets in the file.
    pages: Vec<u64>,
    /// By index.
    rows: Vec<Row>,
}

/// What was read of a region.
#[derive(Debug)]
pub(crate) struct Region {
    owner: StackOwner,
    modules: RegionModules,
    nodes: Vec<NodeRef>,
    /// Rows of the directory that were read.
    pages: u32,
    /// By number.
    groups: Vec<Group>,
    ranges: Vec<(u64, u64)>,
    /// Whether bytes at the peak were ever read while it stood still.
    peak_known: bool,
    damaged: bool,
    /// The header as it was at the last look.
    pub(crate) summary: Summary,
}

type Source<'a, 'b> = &'a RegionFile<'b>;

impl Region {
    /// A region whose header can be read; nothing else was.
    pub(crate) fn new(file: &RegionFile<'_>, owner: StackOwner) -> Result<Self, Error> {
        Ok(Self {
            owner,
            modules: RegionModules::default(),
            nodes: Vec::new(),
            pages: 0,
            groups: Vec::new(),
            ranges: Vec::new(),
            peak_known: false,
            damaged: false,
            summary: Reader::new(file)?.summary()?,
        })
    }

    /// Reads what is new and tells `stacks`. What cannot be read is left out, see
    /// [`Region::is_damaged`].
    pub(crate) fn read(&mut self, file: &RegionFile<'_>, stacks: &mut Stacks) {
        if let Err(_unreadable) = self.read_tables(file, stacks) {
            self.damaged = true;
        }
        if let Err(_unreadable) = self.read_counters(file, stacks) {
            self.damaged = true;
        }
    }

    /// Whether something in it lies where nothing is.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Private memory of the shim in the process, as (first address, bytes).
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    fn read_tables(&mut self, file: Source<'_, '_>, stacks: &mut Stacks) -> Result<(), Error> {
        let reader = Reader::new(file)?;
        self.summary = reader.summary()?;
        let (count, generation) = (self.summary.modules, self.summary.generation);
        let fit = |count: u32, bytes: usize| {
            let room = file.bytes() / bytes as u64;
            count.min(u32::try_from(room).unwrap_or(u32::MAX))
        };
        let modules = fit(count, Table::MODULES.entry_bytes as usize);
        self.modules
            .update(&reader, modules, generation, &mut stacks.modules)?;
        self.read_nodes(
            &reader,
            fit(self.summary.nodes, Table::NODES.entry_bytes as usize),
            stacks,
        )?;
        // Each page lies somewhere in the file, so there are no more of them than fit.
        self.read_directory(&reader, fit(self.summary.pages, PAGE_BYTES))?;
        let ranges = fit(self.summary.ranges, Table::RANGES.entry_bytes as usize);
        for index in u32::try_from(self.ranges.len()).unwrap_or(u32::MAX)..ranges {
            self.ranges.push(reader.range(index)?);
        }
        Ok(())
    }

    fn read_nodes(
        &mut self,
        reader: &Reader<Source<'_, '_>>,
        count: u32,
        stacks: &mut Stacks,
    ) -> Result<(), Error> {
        for id in u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)..count {
            let node = reader.node(id)?;
            if node.generation > self.modules.generation() {
                // The header was read before modules changed places. Nothing else is made of it:
                // from here on, nodes wait for the next look.
                let now = reader.summary()?;
                if now.generation >= node.generation {
                    return Ok(());
                }
            }
            let known = self.node_ref(id, &node, stacks);
            self.nodes.push(known);
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

    fn read_directory(&mut self, reader: &Reader<Source<'_, '_>>, count: u32) -> Result<(), Error> {
        for index in self.pages..count {
            let page = reader.page(index)?;
            self.pages = index + 1;
            if page.number >= Table::NODES.most / PAGE_STACKS {
                self.damaged = true;
                continue;
            }
            match self
                .groups
                .binary_search_by_key(&page.number, |group| group.number)
            {
                Ok(at) => {
                    if let Some(group) = self.groups.get_mut(at) {
                        group.pages.push(page.offset);
                    }
                }
                Err(at) => self.groups.insert(
                    at,
                    Group {
                        number: page.number,
                        pages: vec![page.offset],
                        rows: Vec::new(),
                    },
                ),
            }
        }
        Ok(())
    }

    /// Reads all counters, and again if the peak moved on while they were read: bytes at the peak
    /// are then of two peaks. If it never stands still, those of the last look stay.
    fn read_counters(&mut self, file: Source<'_, '_>, stacks: &mut Stacks) -> Result<(), Error> {
        let reader = Reader::new(file)?;
        for _ in 0..PEAK_TRIES {
            let before = reader.summary()?;
            let mut outcome = Ok(());
            for group in &mut self.groups {
                let sums = group.sums(&reader, before.peak_epoch);
                outcome = outcome.and(sums.map(|sums| {
                    group.take(&sums, before.mode, self.owner, &self.nodes, stacks);
                }));
            }
            outcome?;
            self.summary = reader.summary()?;
            if self.summary.peak_epoch == before.peak_epoch {
                self.peak_known = true;
                self.tell_peaks(stacks);
                return Ok(());
            }
        }
        if !self.peak_known {
            self.tell_peaks(stacks);
        }
        Ok(())
    }

    fn tell_peaks(&mut self, stacks: &mut Stacks) {
        for row in self.rows_mut().filter(|row| row.peak != row.peak_read) {
            stacks.advance_peak(row.stack, row.peak, row.peak_read);
            row.peak = row.peak_read;
        }
    }

    /// Moves all that was counted from one owner to the other.
    pub(crate) fn set_owner(&mut self, owner: StackOwner, stacks: &mut Stacks) {
        if self.owner == owner {
            return;
        }
        self.owner = owner;
        let nothing = Sums::default();
        for row in self.rows_mut() {
            stacks.advance(row.stack, &row.last, &nothing);
            stacks.advance_peak(row.stack, row.peak, 0);
            row.stack = stacks.number_for(row.stack, owner);
            stacks.advance(row.stack, &nothing, &row.last);
            stacks.advance_peak(row.stack, 0, row.peak);
        }
    }

    /// The process ended: what is live was never freed.
    pub(crate) fn abandon(mut self, stacks: &mut Stacks) {
        for row in self.rows_mut() {
            stacks.abandon(row.stack, &row.last, row.peak);
        }
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.groups.iter_mut().flat_map(|group| &mut group.rows)
    }
}

/// Sums over threads, by place in the page.
type PageSums = [Counters; PAGE_STACKS as usize];

impl Group {
    fn sums(&self, reader: &Reader<Source<'_, '_>>, peak_epoch: u64) -> Result<PageSums, Error> {
        let mut sums = [Counters::default(); PAGE_STACKS as usize];
        for offset in &self.pages {
            let page = PageEntry {
                offset: *offset,
                thread: 0,
                number: 0,
            };
            reader.counters(&page, peak_epoch, |index, counters| {
                if let Some(sum) = sums.get_mut(index as usize) {
                    sum.add(&counters);
                }
            })?;
        }
        Ok(sums)
    }

    /// Tells `stacks` what came since the last look. Stacks whose node was not yet read wait for the
    /// next one.
    fn take(
        &mut self,
        sums: &PageSums,
        mode: Mode,
        owner: StackOwner,
        nodes: &[NodeRef],
        stacks: &mut Stacks,
    ) {
        let first = self.number as usize * PAGE_STACKS as usize;
        let nodes = nodes.get(first..).unwrap_or_default();
        let mut at = 0;
        for ((index, counters), node) in (0_u8..=u8::MAX).zip(sums).zip(nodes) {
            let is_known = self.rows.get(at).is_some_and(|row| row.index == index);
            if !is_known && *counters == Counters::default() {
                continue;
            }
            if !is_known {
                let key = Key {
                    leaf: node.frame,
                    kind: node.kind,
                    owner,
                };
                let row = Row {
                    index,
                    stack: stacks.number(key),
                    last: Sums::default(),
                    peak: 0,
                    peak_read: 0,
                };
                self.rows.insert(at, row);
            }
            if let Some(row) = self.rows.get_mut(at) {
                row.take(counters, mode, stacks);
            }
            at += 1;
        }
    }
}

impl Row {
    fn take(&mut self, counters: &Counters, mode: Mode, stacks: &mut Stacks) {
        let now = Sums::of_counters(counters, mode);
        if now != self.last {
            stacks.advance(self.stack, &self.last, &now);
            self.last = now;
        }
        self.peak_read = counters.peak_bytes;
    }
}
