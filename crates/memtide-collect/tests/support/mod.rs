//! Builds region files byte by byte, as the shim writes them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of each test file, not a crate")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_model::{CallStack, CodeModule, StackCounters, StackId, StacksTick};
use memtide_region::Table;
use memtide_region::layout::{
    CounterRow, HEADER_BYTES, Header, LOADED, MAGIC, ModuleEntry, NodeEntry, PAGE_BYTES, PageRow,
    RangeEntry, TableHead, VERSION,
};
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::Path;

/// A region that grows as a shim's does: what was placed never moves.
#[derive(Clone)]
pub struct Region {
    pub bytes: Vec<u8>,
    /// Offset of the page of a thread and a number.
    pages: BTreeMap<(u32, u32), usize>,
    /// The index of a counted node among the stacks.
    stacks: BTreeMap<u32, u32>,
}

/// Counters of a row: allocs, bytes, frees, freed bytes, bytes at the peak, its epoch, samples, freed
/// samples.
pub type Row = [u64; 8];

impl Region {
    /// An empty region in full mode, recording, with the two nodes that every region has.
    pub fn new(pid: u32, start: u64) -> Self {
        let mut region = Self {
            bytes: vec![0; HEADER_BYTES],
            pages: BTreeMap::new(),
            stacks: BTreeMap::new(),
        };
        region.put64(offset_of!(Header, magic), MAGIC);
        region.put32(offset_of!(Header, version), VERSION);
        region.put32(offset_of!(Header, pid), pid);
        region.put64(offset_of!(Header, start), start);
        region.put32(offset_of!(Header, mode), 2);
        region.put32(offset_of!(Header, state), 1);
        region.put64(offset_of!(Header, interval), 1);
        region.node(0, 0, 0);
        region.node(0, 0, 0);
        region
    }

    pub fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn put64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get(&self, at: usize) -> usize {
        usize::try_from(u64::from_le_bytes(*self.bytes[at..].first_chunk().unwrap())).unwrap()
    }

    /// Appends a zeroed entry to the table whose head lies at `head`: its index and its offset.
    fn append(&mut self, head: usize, table: Table) -> (u32, usize) {
        let index = u32::from_le_bytes(*self.bytes[head..].first_chunk().unwrap());
        let (segment, within) = table.place(index);
        let slot = head + offset_of!(TableHead, segments) + 8 * segment;
        if within == 0 {
            self.put64(slot, self.bytes.len() as u64);
            let more = usize::try_from(table.segment_bytes(segment)).unwrap();
            self.bytes.resize(self.bytes.len() + more, 0);
        }
        self.put32(head + offset_of!(TableHead, length), index + 1);
        let at = self.get(slot) + within as usize * table.entry_bytes as usize;
        (index, at)
    }

    /// Adds a node; gives its id.
    pub fn node(&mut self, address: u64, parent: u32, generation: u32) -> u32 {
        let (id, at) = self.append(offset_of!(Header, nodes), Table::NODES);
        self.put64(at + offset_of!(NodeEntry, address), address);
        self.put32(at + offset_of!(NodeEntry, parent), parent);
        self.put32(at + offset_of!(NodeEntry, generation), generation);
        id
    }

    /// Adds the nodes of a stack, outermost first; gives the leaf's id.
    pub fn stack(&mut self, addresses: &[u64]) -> u32 {
        addresses
            .iter()
            .fold(0, |parent, address| self.node(*address, parent, 0))
    }

    /// Adds a module of 0x10000 bytes at `base`, which is also its bias, of generation 0 on; gives
    /// its offset.
    pub fn module(&mut self, path: &str, build_id: &[u8], base: u64) -> usize {
        let (_, at) = self.append(offset_of!(Header, modules), Table::MODULES);
        self.put64(at + offset_of!(ModuleEntry, base), base);
        self.put64(at + offset_of!(ModuleEntry, bytes), 0x10000);
        self.put64(at + offset_of!(ModuleEntry, bias), base);
        self.put32(at + offset_of!(ModuleEntry, unloaded), LOADED);
        let mut text = |length: usize, content: usize, value: &[u8]| {
            let count = u32::try_from(value.len()).unwrap();
            self.put32(at + length, count);
            self.bytes[at + content..][..value.len()].copy_from_slice(value);
        };
        text(
            offset_of!(ModuleEntry, build_id_bytes),
            offset_of!(ModuleEntry, build_id),
            build_id,
        );
        text(
            offset_of!(ModuleEntry, path_bytes),
            offset_of!(ModuleEntry, path),
            path.as_bytes(),
        );
        at
    }

    /// Sets what a thread has counted of the stack with this innermost frame.
    pub fn count(&mut self, thread: u32, node: u32, row: Row) {
        let stack = match self.stacks.get(&node) {
            Some(stack) => *stack,
            None => self.counted(node),
        };
        let number = stack / 256;
        let page = match self.pages.get(&(thread, number)) {
            Some(page) => *page,
            None => self.page(thread, number),
        };
        let at = page + (stack % 256) as usize * size_of::<CounterRow>();
        for (field, value) in row.into_iter().enumerate() {
            self.put64(at + 8 * field, value);
        }
    }

    fn counted(&mut self, node: u32) -> u32 {
        let (stack, at) = self.append(offset_of!(Header, stacks), Table::STACKS);
        self.put32(at, node);
        self.stacks.insert(node, stack);
        stack
    }

    fn page(&mut self, thread: u32, number: u32) -> usize {
        let page = self.bytes.len();
        self.bytes.resize(page + PAGE_BYTES, 0);
        let (_, at) = self.append(offset_of!(Header, pages), Table::PAGES);
        self.put64(at + offset_of!(PageRow, offset), page as u64);
        self.put32(at + offset_of!(PageRow, thread), thread);
        self.put32(at + offset_of!(PageRow, number), number);
        self.pages.insert((thread, number), page);
        page
    }

    pub fn range(&mut self, start: u64, bytes: u64) {
        let (_, at) = self.append(offset_of!(Header, ranges), Table::RANGES);
        self.put64(at + offset_of!(RangeEntry, start), start);
        self.put64(at + offset_of!(RangeEntry, bytes), bytes);
    }

    /// Writes it as the region of that name.
    pub fn save(&self, directory: &Path, name: &str) {
        std::fs::write(directory.join(format!("{name}.region")), &self.bytes).unwrap();
    }
}

/// What a reader of ticks knows: the last counters of every stack.
#[derive(Default)]
pub struct Seen {
    pub modules: Vec<CodeModule>,
    pub stacks: Vec<CallStack>,
    pub counters: BTreeMap<StackId, StackCounters>,
}

impl Seen {
    pub fn take(&mut self, tick: StacksTick) {
        self.modules.extend(tick.new_modules);
        self.stacks.extend(tick.new_stacks);
        self.counters.extend(tick.changed);
        let known = u32::try_from(self.stacks.len()).unwrap();
        let unknown = self.counters.keys().find(|id| id.0 >= known);
        assert_eq!(unknown, None, "every stack is told of before it changes");
        for stack in &self.stacks {
            let modules = stack.frames.iter().filter_map(|frame| frame.module);
            let unknown = modules.filter(|module| module.0 as usize >= self.modules.len());
            assert_eq!(unknown.count(), 0, "every module is told of");
        }
    }

    /// The stack's frames as `path+0xsvma`, innermost first.
    pub fn text(&self, stack: &CallStack) -> String {
        let frames = stack.frames.iter().map(|frame| match frame.module {
            Some(module) => {
                let path = &self.modules[module.0 as usize].path;
                format!("{path}+{:#x}", frame.address)
            }
            None => format!("{:#x}", frame.address),
        });
        frames.collect::<Vec<_>>().join(" ")
    }

    /// The last counters of the only stack with that text for which `which` holds.
    pub fn of(&self, text: &str, which: impl Fn(&CallStack) -> bool) -> StackCounters {
        let found: Vec<usize> = (0..self.stacks.len())
            .filter(|i| which(&self.stacks[*i]) && self.text(&self.stacks[*i]) == text)
            .collect();
        let [index] = found[..] else {
            let all: Vec<_> = self.stacks.iter().map(|stack| self.text(stack)).collect();
            panic!("one stack {text}, not {found:?} of {all:?}");
        };
        let id = StackId(u32::try_from(index).unwrap());
        self.counters.get(&id).copied().unwrap_or_default()
    }
}
