//! The walk over the chunks of a region.
//!
//! A chunk's header holds its size, so the next chunk's place; and the next chunk's header tells whether
//! this one is in use. So each step looks at two headers, and both must agree:
//!
//! ```text
//! p: | size of the one before | size, flags | first word | second word | ...
//! n = p + size: | size of p, if p is free | size, bit 0: p is in use | ...
//! ```
//!
//! [`Walk::run`] does the steps that make sense, in one window, without a look-up. What does not is handed
//! to `recover`: the end of the window, `top`, fenceposts, a process that was at work there, and headers
//! that are smashed.

use super::arena::Arena;
use super::books::{Histogram, Tally};
use super::heaps::{Origin, Region};
use super::layout::ArenaLayout;
use super::marks::Marks;
use super::tcache::is_structure_size;
use crate::error::Error;
use crate::memory::{Head, Memory, PAGE, Peek, Presence, Window};
use crate::visit::{Chunk, Visitor};
use std::collections::BTreeSet;

/// Bits of a size that are flags.
pub(super) const FLAGS: u64 = 7;
/// The chunk before is in use.
pub(super) const PREVIOUS_IN_USE: u64 = 1;
/// It has a mapping of its own.
pub(super) const IS_MAPPED: u64 = 2;
/// It is of another arena than the main one; kept while it is in use only.
pub(super) const NOT_MAIN: u64 = 4;
/// Sizes are multiples of 16, and at least 32.
const MISALIGNED: u64 = 8;
pub(super) const SMALLEST_CHUNK: u64 = 32;

/// Threads' structures that are noted at most.
const MOST_STRUCTURES: usize = 4096;

/// Pages that lists and single headers may cost.
const PEEK_BUDGET: u64 = 200_000;

/// Places that are tried as the start of a chunk behind a bad header, in all.
const CANDIDATES: u64 = 1 << 24;

/// How chunks that look in use are found to be cached.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Words that mark a chunk as a thread's own, ascending.
    pub(crate) keys: Vec<u64>,
    /// Chunks up to this size may have such a mark.
    pub(crate) key_limit: u64,
    /// Chunks in threads' lists, where there are no marks.
    pub(crate) listed: Marks,
    /// Chunks in fastbins.
    pub(crate) fast: Marks,
    /// Chunks up to this size may be in one of the two sets.
    pub(crate) set_limit: u64,
}

/// A walk over several regions of one process.
pub(crate) struct Walk<'w, 'm> {
    pub(super) memory: &'m dyn Memory,
    pub(super) layout: &'static ArenaLayout,
    pub(super) window: Window,
    pub(super) presence: Presence,
    pub(super) peek: Peek<'m>,
    pub(super) rules: &'w mut Rules,
    pub(super) visitor: Option<&'w mut dyn Visitor>,
    /// Places that may still be tried.
    pub(super) candidates: u64,
    /// What `top` is trimmed by.
    pub(super) trim_unit: u64,
    /// By arena.
    pub(crate) tallies: Vec<Tally>,
    /// By size.
    pub(crate) histogram: Histogram,
    /// Chunks of a size that threads' structures have.
    pub(crate) structures: BTreeSet<u64>,
}

/// Where the walk is in a region.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) region: Region,
    /// Where the arena's structure is.
    pub(super) arena: u64,
    /// The chunk, and its header.
    pub(super) at: u64,
    pub(super) head: Head,
    /// Present bytes of the region before it.
    pub(super) before: u64,
    /// `top`, or the end of the region.
    pub(super) stop: u64,
    pub(super) has_top: bool,
    /// Free chunks side by side that a trim would merge.
    pub(super) run: Option<Run>,
    pub(super) page: Page,
    pub(super) tally: Tally,
    /// The chunk that was read a second time.
    pub(super) reread: u64,
    /// How often `top` was.
    pub(super) top_reads: u32,
}

/// Free chunks side by side: one in the bins, and those in fastbins around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u64,
    /// Present bytes of the region before it.
    pub(super) before: u64,
    /// Present bytes in it that are in the bins.
    pub(super) binned: u64,
}

/// The page that was asked for last: most chunks end on the page that they begin on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    number: u64,
    before: u64,
    mask: u64,
}

impl Page {
    pub(super) const NONE: Self = Self {
        number: u64::MAX,
        before: 0,
        mask: 0,
    };
}

/// Why the steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The window must move to this address.
    Window(u64),
    /// At `top`.
    Top,
    /// At the end of a region without `top`.
    End,
    /// The header makes no sense as it was read.
    Trouble,
}

impl<'w, 'm> Walk<'w, 'm> {
    /// A walk with empty books for `arenas` arenas.
    pub(crate) fn new(
        memory: &'m dyn Memory,
        layout: &'static ArenaLayout,
        arenas: usize,
        rules: &'w mut Rules,
        visitor: Option<&'w mut dyn Visitor>,
    ) -> Self {
        Self {
            memory,
            layout,
            window: Window::new(),
            presence: Presence::default(),
            peek: Peek::new(memory, PEEK_BUDGET),
            rules,
            visitor,
            candidates: CANDIDATES,
            trim_unit: PAGE,
            tallies: vec![Tally::default(); arenas],
            histogram: Histogram::new(),
            structures: BTreeSet::new(),
        }
    }

    /// Sets what `top` is trimmed by.
    pub(crate) const fn trim_by(&mut self, unit: u64) {
        self.trim_unit = unit;
    }

    /// Walks one region of `arena`; returns where it ended, which of a plain mapping may be before
    /// its end.
    pub(crate) fn region(&mut self, region: Region, arena: &Arena) -> Result<u64, Error> {
        self.presence.reset(region.from, region.end);
        self.window.forget();
        let mut cursor = Cursor::new(region, arena);
        cursor.tally.overhead = region.start - region.from;
        if region.start < region.end {
            self.jump(&mut cursor, region.start)?;
            self.steps(&mut cursor)?;
        }
        self.finish(&mut cursor)?;
        Ok(cursor.at)
    }

    fn steps(&mut self, cursor: &mut Cursor) -> Result<(), Error> {
        loop {
            let goes_on = match self.run(cursor) {
                Stop::Window(at) => self.load(cursor, at)?,
                Stop::Top => self.top(cursor)?,
                Stop::End => false,
                Stop::Trouble => self.recover(cursor)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Takes all steps that make sense in the window.
    fn run(&mut self, cursor: &mut Cursor) -> Stop {
        let arena_flag = cursor.arena_flag();
        loop {
            if cursor.at >= cursor.stop {
                return if cursor.has_top { Stop::Top } else { Stop::End };
            }
            let size = cursor.head.size & !FLAGS;
            let next_at = cursor.at.wrapping_add(size);
            let is_odd = cursor.head.size & (IS_MAPPED | MISALIGNED) != 0;
            let is_outside = next_at > cursor.stop || next_at < cursor.at;
            if size < SMALLEST_CHUNK || is_odd || is_outside || next_at >= cursor.region.end {
                return Stop::Trouble;
            }
            let Some(next) = self.window.head(next_at) else {
                return Stop::Window(next_at);
            };
            let before = self.before(cursor, next_at);
            if next.size & PREVIOUS_IN_USE == 0 {
                if next.previous_size != size {
                    return Stop::Trouble;
                }
                self.book_free(cursor, size, before);
            } else if cursor.head.size & NOT_MAIN == arena_flag {
                self.book_used(cursor, size, before);
            } else {
                return Stop::Trouble;
            }
            cursor.at = next_at;
            cursor.head = next;
            cursor.before = before;
        }
    }

    /// Present bytes of the region before `address`, which lies in the window.
    #[inline]
    pub(super) fn before(&self, cursor: &mut Cursor, address: u64) -> u64 {
        if address / PAGE != cursor.page.number {
            let is_present = self.presence.is_present(address);
            cursor.page = Page {
                number: address / PAGE,
                before: self.presence.before_page(address),
                mask: if is_present { PAGE - 1 } else { 0 },
            };
        }
        cursor.page.before + (address & cursor.page.mask)
    }

    #[inline]
    fn book_free(&mut self, cursor: &mut Cursor, size: u64, before_next: u64) {
        let resident = before_next.saturating_sub(cursor.before);
        cursor.tally.free_blocks += 1;
        cursor.tally.free_bytes += size;
        cursor.tally.free_resident += resident;
        self.histogram.free(size);
        cursor.extend_run(resident);
    }

    #[inline]
    pub(super) fn book_used(&mut self, cursor: &mut Cursor, size: u64, before_next: u64) {
        let resident = before_next.saturating_sub(cursor.before);
        let is_keyed = size <= self.rules.key_limit && self.rules.is_key(cursor.head.second);
        let mut is_cached = is_keyed;
        if !is_keyed && size <= self.rules.set_limit {
            if self.rules.fast.contains(cursor.at) {
                self.book_cached(cursor, size, resident);
                cursor.extend_run(0);
                return;
            }
            is_cached = self.rules.listed.contains(cursor.at);
        }
        if cursor.run.is_some() {
            self.close_run(cursor);
        }
        if is_cached {
            self.book_cached(cursor, size, resident);
            return;
        }
        cursor.tally.live_blocks += 1;
        cursor.tally.live_bytes += size;
        cursor.tally.live_resident += resident;
        self.histogram.live(size);
        if let Some(visitor) = &mut self.visitor {
            let address = cursor.at;
            visitor.live(Chunk { address, size }, cursor.head.first);
        }
        if is_structure_size(size) && self.structures.len() < MOST_STRUCTURES {
            self.structures.insert(cursor.at);
        }
    }

    fn book_cached(&mut self, cursor: &mut Cursor, size: u64, resident: u64) {
        cursor.tally.cached_blocks += 1;
        cursor.tally.cached_bytes += size;
        cursor.tally.cached_resident += resident;
        self.histogram.free(size);
    }

    /// Ends the run of free chunks before the cursor: what of it a trim gives back.
    pub(super) fn close_run(&mut self, cursor: &mut Cursor) {
        let Some(run) = cursor.run.take() else {
            return;
        };
        // As in `mtrim` of malloc.c: whole pages behind the chunk's own links.
        let from = (run.start + LINKS).next_multiple_of(PAGE);
        let to = cursor.at / PAGE * PAGE;
        let trimmable = if from < to {
            self.presence.between(from, to)
        } else {
            0
        };
        let kept = cursor.before.saturating_sub(run.before + trimmable);
        cursor.tally.trimmable += trimmable;
        cursor.tally.stuck += run.binned.min(kept);
    }
}

/// Bytes at the start of a free chunk that malloc needs (`sizeof (struct malloc_chunk)`).
const LINKS: u64 = 48;

impl Cursor {
    /// Before the first chunk of a region.
    pub(super) fn new(region: Region, arena: &Arena) -> Self {
        let has_top = region.start <= arena.top && arena.top < region.end;
        Self {
            region,
            arena: arena.address,
            at: region.start,
            head: Head::default(),
            before: 0,
            stop: if has_top { arena.top } else { region.end },
            has_top,
            run: None,
            page: Page::NONE,
            tally: Tally::default(),
            reread: 0,
            top_reads: 0,
        }
    }

    /// The flag of chunks in use of this region's arena.
    pub(super) fn arena_flag(&self) -> u64 {
        if self.region.origin == Origin::Heap {
            NOT_MAIN
        } else {
            0
        }
    }

    /// The chunk at the cursor is free, with so many present bytes in the bins.
    #[inline]
    pub(super) fn extend_run(&mut self, binned: u64) {
        match &mut self.run {
            Some(run) => run.binned += binned,
            None => {
                self.run = Some(Run {
                    start: self.at,
                    before: self.before,
                    binned,
                });
            }
        }
    }
}

impl Rules {
    #[inline]
    fn is_key(&self, word: u64) -> bool {
        match self.keys.as_slice() {
            [] => false,
            [key] => *key == word,
            [first, .., last] => {
                (*first..=*last).contains(&word) && self.keys.binary_search(&word).is_ok()
            }
        }
    }
}
