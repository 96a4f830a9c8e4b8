//! The files that a program runs from, as they are mapped: where vtables may be, and what a place in
//! them is called.
//!
//! A module is a file that has an executable mapping; a data file that is mapped has none. Its memory is
//! all its mappings, and the anonymous memory right behind the writable ones: `.bss`, where a program
//! that is not position-independent keeps its copies of vtables of its libraries.

use crate::memory::{Mapping, find};
use std::collections::HashSet;
use std::ops::Range;

/// A mapping of a module, by which it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    start: u64,
    offset: u64,
    inode: u64,
    name: Box<[u8]>,
}

/// All modules of a process.
#[derive(Debug)]
pub(super) struct Modules {
    /// All their mappings, ascending.
    mappings: Vec<Mapping>,
    loaded: Vec<Loaded>,
    /// Where vtables may be, ascending; ranges that touch are one.
    data: Vec<Range<u64>>,
    /// A few that cover `data`: most first words are rejected by these.
    spans: Vec<Range<u64>>,
}

/// More anonymous memory than that behind a file is somebody's block that happens to be there.
const LARGEST_BSS: u64 = 64 << 20;

impl Modules {
    /// From all mappings of the process, ascending.
    pub(super) fn new(all: &[Mapping]) -> Self {
        let code = all.iter().filter(|mapping| mapping.is_executable);
        let run: HashSet<File<'_>> = code.clone().filter_map(file).collect();
        // Code with read-only data in the same mapping: linkers did so before 2018, and still do by
        // `-z noseparate-code`. The file's header lies in front of both.
        let at_start = code.filter(|mapping| mapping.offset == 0);
        let mixed: HashSet<File<'_>> = at_start.filter_map(file).collect();
        let mut mappings: Vec<Mapping> = Vec::new();
        let mut data: Vec<Range<u64>> = Vec::new();
        for mapping in all {
            let is_part = mapping.is_readable && is_in(&run, mapping);
            if !is_part && !is_bss(mappings.last(), mapping) {
                continue;
            }
            if !mapping.is_executable || is_in(&mixed, mapping) {
                join(&mut data, mapping.start..mapping.end, 0);
            }
            mappings.push(mapping.clone());
        }
        let loaded = mappings.iter().filter(|mapping| mapping.is_file());
        Self {
            loaded: loaded.map(Loaded::new).collect(),
            spans: cover(&data),
            data,
            mappings,
        }
    }

    /// True for a word that could be the address of a vtable's first function.
    #[inline]
    pub(super) fn may_hold_vtable(&self, word: u64) -> bool {
        word.is_multiple_of(8)
            && self.spans.iter().any(|span| span.contains(&word))
            && holds(&self.data, word)
    }

    /// The mapping of a module that holds `address`.
    pub(super) fn mapping_of(&self, address: u64) -> Option<&Mapping> {
        find(&self.mappings, address)
    }

    /// True for an address in a module's code.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.mapping_of(address)
            .is_some_and(|mapping| mapping.is_executable)
    }

    /// The mappings by which it can be seen that a module is still the same.
    pub(super) fn loaded(&self) -> &[Loaded] {
        &self.loaded
    }

    /// The start of the file that `address` belongs to, as it is mapped.
    pub(super) fn start_of_file(&self, address: u64) -> Option<&Mapping> {
        let behind = self
            .mappings
            .partition_point(|mapping| mapping.start <= address);
        let mut before = self.mappings.get(..behind)?.iter().rev();
        // What is in `.bss` belongs to the file before it.
        let of_file = before.find(|mapping| mapping.is_file())?;
        if of_file.offset == 0 {
            return Some(of_file);
        }
        before.find(|mapping| mapping.offset == 0 && file(mapping) == file(of_file))
    }
}

impl Loaded {
    fn new(mapping: &Mapping) -> Self {
        Self {
            start: mapping.start,
            offset: mapping.offset,
            inode: mapping.inode,
            name: mapping.name.clone(),
        }
    }
}

/// What tells files apart.
type File<'a> = (u64, &'a [u8]);

fn file(mapping: &Mapping) -> Option<File<'_>> {
    mapping.is_file().then_some((mapping.inode, &*mapping.name))
}

fn is_in(files: &HashSet<File<'_>>, mapping: &Mapping) -> bool {
    file(mapping).is_some_and(|file| files.contains(&file))
}

fn is_bss(before: Option<&Mapping>, mapping: &Mapping) -> bool {
    let follows =
        before.is_some_and(|file| file.is_file() && file.end == mapping.start && file.is_writable);
    follows && mapping.is_plain_memory() && mapping.size() <= LARGEST_BSS
}

/// Adds `range`, which is behind the others, or makes the last one longer where less than `gap` is
/// between.
fn join(ranges: &mut Vec<Range<u64>>, range: Range<u64>, gap: u64) {
    match ranges.last_mut() {
        Some(last) if range.start.saturating_sub(last.end) <= gap => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// At most six ranges that cover all of `ranges`, over gaps as small as possible.
fn cover(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut gap = 1 << 16;
    loop {
        let mut spans = Vec::new();
        for range in ranges {
            join(&mut spans, range.clone(), gap);
        }
        if spans.len() <= 6 {
            return spans;
        }
        gap *= 2;
    }
}

fn holds(ranges: &[Range<u64>], address: u64) -> bool {
    let behind = ranges.partition_point(|range| range.start <= address);
    let before = behind.checked_sub(1).and_then(|index| ranges.get(index));
    before.is_some_and(|range| address < range.end)
}
