//! Finding the next chunk behind a header that makes no sense, or behind memory of others.
//!
//! A place is believed to be a chunk when several steps from it make sense: sizes that chunks have, flags of
//! this arena, a free chunk's size repeated at its end, and never two free chunks side by side. The number
//! of places that are tried, and of pages that are read for it, is bounded.

use super::arena::Arena;
use super::heaps::Region;
use super::walk::{Cursor, FLAGS, IS_MAPPED, NOT_MAIN, PREVIOUS_IN_USE, SMALLEST_CHUNK, Walk};
use crate::error::Error;
use crate::memory::PAGE;

/// Steps that must make sense before the walk goes on behind a bad header.
pub(super) const STEPS: u32 = 8;

/// The same behind memory that others took from the heap: there anything may lie.
pub(super) const STEPS_BEHIND_FOREIGN: u32 = 16;

/// The size in a fencepost's header.
pub(super) const FENCE: u64 = 16;

impl Walk<'_, '_> {
    /// True if one step from the cursor makes sense now.
    pub(super) fn makes_sense(&mut self, cursor: &Cursor) -> Result<bool, Error> {
        self.peek.forget();
        self.is_chain(cursor, cursor.at, 1)
    }

    /// The next place from which `steps` steps make sense; where there is none, `top` or the end.
    pub(super) fn resync(&mut self, cursor: &Cursor, from: u64, steps: u32) -> Result<u64, Error> {
        self.peek.forget();
        let mut at = from;
        while at < cursor.stop && self.candidates > 0 && !self.peek.is_exhausted() {
            self.presence.load(self.memory, at)?;
            if !self.presence.is_present(at) {
                match self.presence.next_present(at) {
                    Some(present) => at = present,
                    None => at = (at / PAGE + 1) * PAGE,
                }
                continue;
            }
            self.candidates -= 1;
            if self.is_chain(cursor, at, steps)? {
                return Ok(at);
            }
            at += 16;
        }
        Ok(cursor.stop.max(from.min(cursor.region.end)))
    }

    /// True if a free chunk ends at `found` that began before the cursor: both of its ends say so.
    pub(super) fn is_inside_free_chunk(
        &mut self,
        cursor: &Cursor,
        found: u64,
    ) -> Result<bool, Error> {
        if found >= cursor.region.end {
            return Ok(false);
        }
        let header = self.peek.word(found + 8)?.unwrap_or(PREVIOUS_IN_USE);
        let size = self.peek.word(found)?.unwrap_or(0);
        let start = found.wrapping_sub(size);
        let is_before = cursor.region.start <= start && start < cursor.at;
        let is_free = header & PREVIOUS_IN_USE == 0 && is_before && size.is_multiple_of(16);
        Ok(is_free
            && self
                .peek
                .word(start + 8)?
                .is_some_and(|word| word & !FLAGS == size))
    }

    /// True if `steps` steps from `at` make sense, or all to `top` or the end. Two free chunks are never
    /// side by side.
    fn is_chain(&mut self, cursor: &Cursor, at: u64, steps: u32) -> Result<bool, Error> {
        let mut at = at;
        let Some(mut header) = self.peek.word(at + 8)? else {
            return Ok(false);
        };
        let mut was_free = header & PREVIOUS_IN_USE == 0;
        for step in 0..steps {
            if step > 0 && self.is_fence(cursor, at, header)? {
                return Ok(true);
            }
            let size = header & !FLAGS;
            let next = at.wrapping_add(size);
            let is_odd = header & (IS_MAPPED | 8) != 0;
            if size < SMALLEST_CHUNK || is_odd || next < at || next > cursor.stop {
                return Ok(false);
            }
            if next >= cursor.region.end {
                return Ok(true);
            }
            let Some(next_header) = self.peek.word(next + 8)? else {
                return Ok(false);
            };
            let is_free = next_header & PREVIOUS_IN_USE == 0;
            let is_sound = if is_free {
                !was_free && self.peek.word(next)? == Some(size)
            } else {
                header & NOT_MAIN == cursor.arena_flag()
            };
            if !is_sound {
                return Ok(false);
            }
            if next == cursor.stop {
                return Ok(true);
            }
            (at, header, was_free) = (next, next_header, is_free);
        }
        Ok(true)
    }

    /// True for the posts at the end of a stretch of memory.
    fn is_fence(&mut self, cursor: &Cursor, at: u64, header: u64) -> Result<bool, Error> {
        let is_at_end = at + 2 * FENCE >= cursor.region.end;
        let second = FENCE | PREVIOUS_IN_USE;
        Ok(is_post(header) && (is_at_end || self.peek.word(at + FENCE + 8)? == Some(second)))
    }

    /// True if a chain of the arena's chunks begins where the region does.
    pub(super) fn begins_chain(&mut self, region: Region, arena: &Arena) -> Result<bool, Error> {
        self.peek.forget();
        self.is_chain(&Cursor::new(region, arena), region.start, STEPS)
    }
}

/// True for the first of two posts: a size that no chunk has. The chunk before it may be free.
pub(super) const fn is_post(header: u64) -> bool {
    header & !(NOT_MAIN | PREVIOUS_IN_USE) == FENCE
}
