//! What malloc keeps in plain anonymous memory: blocks with a mapping of their own, and the main arena
//! where `brk` is blocked.
//!
//! Both begin on a page: a mapped chunk with no flag but its own, whose size fills whole pages; a piece of the
//! main arena with a chain of chunks. So the first words of all pages that are present are looked at, and
//! what is found is jumped over. The kernel merges mappings, so both may lie in one, among others'
//! memory. When malloc's own count says that all are found, the search ends.

use super::arena::Arena;
use super::heaps::{Origin, Region};
use super::walk::{FLAGS, IS_MAPPED, PREVIOUS_IN_USE, SMALLEST_CHUNK, Walk};
use crate::error::Error;
use crate::memory::{Mapping, PAGE, PageState, Presence, word_at};
use crate::visit::Chunk;

/// What was found of blocks with a mapping of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) resident: u64,
    pub(crate) swapped: u64,
    /// False where the search gave up before the end.
    pub(crate) is_whole: bool,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// How many mapped blocks there are by malloc's count; `None` where that is not known.
    pub(crate) blocks: Option<u64>,
    /// Bytes of a block's mapping that its header does not count.
    pub(crate) rest: u64,
    /// The main arena, if it has memory outside of the heap.
    pub(crate) pieces_of: Option<&'a Arena>,
}

/// Pages that are looked at in one call.
const BLOCK: u64 = 512;

/// Bytes of each that are read: the header, and the first word of what the program keeps.
const HEAD: usize = 24;

/// Pages that are looked at in all: 16 GiB that are present, and 256 GiB that are only mapped, half a
/// second each. What is small is searched first.
const MOST_PAGES: u64 = 4 << 20;
const MOST_STATES: u64 = 64 << 20;

/// A search through plain memory.
struct Search<'s, 'w, 'm> {
    walk: &'s mut Walk<'w, 'm>,
    wanted: Wanted<'s>,
    found: Mapped,
    presence: Presence,
    pages_left: u64,
    states_left: u64,
    bytes: Vec<u8>,
}

/// Searches all plain memory outside of `regions`.
pub(crate) fn search(
    walk: &mut Walk<'_, '_>,
    regions: &[Region],
    wanted: Wanted<'_>,
) -> Result<Mapped, Error> {
    let memory = walk.memory;
    let mut search = Search {
        walk,
        wanted,
        found: Mapped {
            is_whole: true,
            ..Mapped::default()
        },
        presence: Presence::default(),
        pages_left: MOST_PAGES,
        states_left: MOST_STATES,
        bytes: Vec::new(),
    };
    let mut gaps = gaps(memory.mappings(), regions);
    gaps.sort_by_key(|(start, end)| end - start);
    for (start, end) in gaps {
        search.part(start, end)?;
    }
    Ok(search.found)
}

/// Plain memory that is not of the heaps, as ranges that begin and end on pages; what is adjacent is joined.
fn gaps(mappings: &[Mapping], regions: &[Region]) -> Vec<(u64, u64)> {
    let mut taken: Vec<_> = regions.iter().map(|r| (r.from, r.end)).collect();
    taken.sort_unstable();
    let mut gaps: Vec<(u64, u64)> = Vec::new();
    for mapping in mappings.iter().filter(|mapping| mapping.is_plain_memory()) {
        let mut start = mapping.start;
        let first = taken.partition_point(|(_, end)| *end <= start);
        for &(from, end) in taken.get(first..).unwrap_or_default() {
            if from >= mapping.end {
                break;
            }
            push(&mut gaps, start, from);
            start = start.max(end);
        }
        push(&mut gaps, start, mapping.end);
    }
    gaps
}

fn push(gaps: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    if start >= end {
        return;
    }
    match gaps.last_mut() {
        Some(last) if last.1 == start => last.1 = end,
        _ => gaps.push((start, end)),
    }
}

impl Search<'_, '_, '_> {
    fn is_done(&self) -> bool {
        let has_all = self
            .wanted
            .blocks
            .is_some_and(|all| self.found.blocks >= all);
        has_all && self.wanted.pieces_of.is_none()
    }

    fn part(&mut self, start: u64, end: u64) -> Result<(), Error> {
        let mut at = start;
        while at < end && !self.is_done() {
            if self.pages_left == 0 || self.states_left == 0 {
                self.found.is_whole = false;
                return Ok(());
            }
            let block_end = end.min(at + BLOCK * PAGE);
            at = self.block(at, block_end, end)?;
        }
        Ok(())
    }

    /// Looks at the pages from `at` to `block_end`; returns where to go on, which may be far behind.
    fn block(&mut self, at: u64, block_end: u64, end: u64) -> Result<u64, Error> {
        let memory = self.walk.memory;
        let mut states = vec![PageState::Absent; ((block_end - at) / PAGE) as usize];
        memory.pages(at / PAGE, &mut states)?;
        let pages: Vec<u64> = (at..block_end)
            .step_by(PAGE as usize)
            .zip(&states)
            .filter_map(|(page, state)| (*state == PageState::Present).then_some(page))
            .collect();
        self.pages_left = self.pages_left.saturating_sub(pages.len() as u64);
        self.states_left = self.states_left.saturating_sub(states.len() as u64);
        let mut bytes = std::mem::take(&mut self.bytes);
        memory.gather(&pages, HEAD, &mut bytes)?;
        let mut next = at;
        for (&page, head) in pages.iter().zip(bytes.chunks_exact(HEAD)) {
            if page >= next && !self.is_done() {
                next = self.page(page, head, end)?.unwrap_or(next);
            }
        }
        self.bytes = bytes;
        Ok(next.max(block_end))
    }

    /// Looks at one page; returns the end of what begins there.
    fn page(&mut self, page: u64, head: &[u8], end: u64) -> Result<Option<u64>, Error> {
        let word = |offset| word_at(head, offset).unwrap_or(0);
        let (before, header) = (word(0), word(8));
        let size = header & !FLAGS;
        let rest = self.wanted.rest;
        if is_mapped_chunk(before, header, rest) && size + rest <= end - page {
            self.book(page, size + rest, word(16))?;
            return Ok(Some(page + size + rest));
        }
        let Some(arena) = self.wanted.pieces_of else {
            return Ok(None);
        };
        let is_first = header & FLAGS == PREVIOUS_IN_USE && size >= SMALLEST_CHUNK;
        if !is_first || size > end - page {
            return Ok(None);
        }
        let region = Region {
            from: page,
            start: page,
            end,
            arena: 0,
            origin: Origin::Mapping,
        };
        if !self.walk.begins_chain(region, arena)? {
            return Ok(None);
        }
        let ended = self.walk.region(region, arena)?;
        Ok(Some(ended.next_multiple_of(PAGE)))
    }

    fn book(&mut self, page: u64, size: u64, first_word: u64) -> Result<(), Error> {
        self.presence.reset(page, page + size);
        self.presence.load_all(self.walk.memory)?;
        self.found.blocks += 1;
        self.found.bytes += size;
        self.found.resident += self.presence.between(page, page + size);
        self.found.swapped += self.presence.swapped();
        self.walk.histogram.live(size);
        if let Some(visitor) = &mut self.walk.visitor {
            let address = page;
            visitor.live(Chunk { address, size }, first_word);
        }
        Ok(())
    }
}

/// True for the first two words of a chunk with a mapping of its own: no other flag, and whole pages
/// together with what was left free before it for the sake of alignment.
const fn is_mapped_chunk(before: u64, header: u64, rest: u64) -> bool {
    let size = header & !FLAGS;
    header & FLAGS == IS_MAPPED
        && before.is_multiple_of(16)
        && before < 1 << 32
        && size >= SMALLEST_CHUNK
        && size < 1 << 47
        && (size + before + rest).is_multiple_of(PAGE)
}
