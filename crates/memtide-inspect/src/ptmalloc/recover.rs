//! Where the walk cannot simply step on: the window's end, `top`, fenceposts, races and damage.
//!
//! A header that makes no sense is read a second time, for the process may have been at work there. If it
//! still makes none, the walk goes on at the next place from which eight steps make sense, and the bytes
//! between are counted as skipped. All of this is bounded: what is hostile costs bytes, not time.

use super::heaps::Origin;
use super::resync::{FENCE, STEPS, STEPS_BEHIND_FOREIGN, is_post};
use super::walk::{
    Cursor, FLAGS, IS_MAPPED, NOT_MAIN, PREVIOUS_IN_USE, Page, SMALLEST_CHUNK, Walk,
};
use crate::error::Error;

/// So often the walk follows a `top` that moves on.
const TOP_READS: u32 = 16;

impl Walk<'_, '_> {
    /// Moves the window to `at`; false, with the rest skipped, where that is not possible.
    pub(super) fn load(&mut self, cursor: &mut Cursor, at: u64) -> Result<bool, Error> {
        let end = cursor.region.end;
        self.window
            .move_to(self.memory, &mut self.presence, at, end)?;
        if self.window.head(at).is_some() {
            return Ok(true);
        }
        cursor.tally.skipped += end - cursor.at;
        cursor.at = end;
        Ok(false)
    }

    /// Goes to the chunk at `at`.
    pub(super) fn jump(&mut self, cursor: &mut Cursor, at: u64) -> Result<(), Error> {
        if self.window.head(at).is_none() && !self.load(cursor, at)? {
            return Ok(());
        }
        cursor.at = at;
        cursor.head = self.window.head(at).unwrap_or_default();
        cursor.before = self.presence.before(at);
        Ok(())
    }

    /// At `top`: the process may have moved it since. Otherwise it is booked, and the region ends.
    pub(super) fn top(&mut self, cursor: &mut Cursor) -> Result<bool, Error> {
        if cursor.top_reads < TOP_READS {
            cursor.top_reads += 1;
            let top = fresh_top(self.memory.word(cursor.arena + self.layout.top)?, cursor);
            if let Some(top) = top.filter(|top| *top > cursor.at) {
                cursor.stop = top;
                self.read_again(cursor)?;
                return Ok(true);
            }
        }
        let (at, end) = (cursor.at, cursor.region.end);
        let size = (cursor.head.size & !FLAGS).clamp(0, end - at);
        let behind = at + size;
        self.presence.load(self.memory, end)?;
        cursor.tally.top_bytes += size;
        cursor.tally.top_resident += self.presence.between(at, behind);
        self.trim_top(cursor, behind);
        cursor.at = behind;
        if cursor.region.origin == Origin::Brk {
            // Others took memory behind it.
            cursor.tally.overhead += end - behind;
            cursor.tally.foreign += end - behind;
            cursor.at = end;
        }
        Ok(false)
    }

    /// What a trim gives back of the main arena's `top`, and of the free chunks before it, which it
    /// merges. Of other arenas it leaves `top` alone.
    fn trim_top(&mut self, cursor: &mut Cursor, behind: u64) {
        let run = cursor.run.take();
        let from = run.map_or(cursor.at, |run| run.start);
        let mut trimmable = 0;
        if cursor.region.origin == Origin::Brk && behind == cursor.region.end {
            // As in `systrim` of malloc.c.
            let size = (behind - from).saturating_sub(SMALLEST_CHUNK + 1);
            let cut = size / self.trim_unit * self.trim_unit;
            trimmable = self.presence.between(behind - cut, behind);
        }
        cursor.tally.trimmable += trimmable;
        if let Some(run) = run {
            let kept = self
                .presence
                .between(from, behind)
                .saturating_sub(trimmable);
            cursor.tally.stuck += run.binned.min(kept);
        }
    }

    /// A header that makes no sense as it was read. False where the region ends here.
    pub(super) fn recover(&mut self, cursor: &mut Cursor) -> Result<bool, Error> {
        if is_last(cursor) {
            let size = cursor.region.end - cursor.at;
            self.presence.load(self.memory, cursor.region.end)?;
            let before = self.presence.before(cursor.region.end);
            self.book_used(cursor, size, before);
            cursor.at = cursor.region.end;
            return Ok(false);
        }
        if let Some(goes_on) = self.fence(cursor)? {
            return Ok(goes_on);
        }
        if cursor.reread != cursor.at {
            cursor.reread = cursor.at;
            self.read_again(cursor)?;
            if self.refresh_top(cursor)? {
                self.sunk_top(cursor)?;
                return Ok(false);
            }
            cursor.tally.reread += u64::from(self.makes_sense(cursor)?);
            return Ok(true);
        }
        let found = self.resync(cursor, cursor.at + 16, STEPS)?;
        if self.is_inside_free_chunk(cursor, found)? {
            return self.swallowed(cursor, found);
        }
        cursor.tally.bad_headers += 1;
        cursor.tally.skipped += found - cursor.at;
        self.go_on_at(cursor, found)
    }

    /// Books what lies before `found` as free: the process has freed it since the walk came by the start of
    /// the free chunk that it is part of now. That chunk was counted.
    fn swallowed(&mut self, cursor: &mut Cursor, found: u64) -> Result<bool, Error> {
        let resident = self.presence.between(cursor.at, found);
        cursor.tally.free_bytes += found - cursor.at;
        cursor.tally.free_resident += resident;
        cursor.tally.reread += 1;
        cursor.extend_run(resident);
        self.jump(cursor, found)?;
        Ok(true)
    }

    /// Handles the posts that end a stretch of memory; `None` where there is none here.
    fn fence(&mut self, cursor: &mut Cursor) -> Result<Option<bool>, Error> {
        let (at, end) = (cursor.at, cursor.region.end);
        let header = cursor.head.size;
        let left = end - at;
        // At the end of a heap: 16 and 0, or 0 alone.
        if left <= 2 * FENCE && (is_post(header) || header & !FLAGS == 0) {
            self.close_run(cursor);
            cursor.tally.overhead += left;
            cursor.at = end;
            return Ok(Some(false));
        }
        // The old top was too small for posts behind it, and became one itself.
        let is_small_top = cursor.region.origin == Origin::Heap
            && left == SMALLEST_CHUNK + FENCE
            && header & !PREVIOUS_IN_USE == SMALLEST_CHUNK;
        if is_small_top && self.header_at(cursor, at + SMALLEST_CHUNK)? & !FLAGS == 0 {
            self.close_run(cursor);
            cursor.tally.overhead += left;
            cursor.at = end;
            return Ok(Some(false));
        }
        let is_pair = cursor.region.origin != Origin::Heap
            && is_post(header)
            && left > 2 * FENCE
            && self.header_at(cursor, at + FENCE)? == FENCE | PREVIOUS_IN_USE;
        if !is_pair {
            return Ok(None);
        }
        self.close_run(cursor);
        cursor.tally.overhead += 2 * FENCE;
        let behind = at + 2 * FENCE;
        if cursor.region.origin == Origin::Mapping {
            // A top of 16 bytes more leaves a third post.
            cursor.at = behind + behind % (2 * FENCE);
            cursor.tally.overhead += cursor.at - behind;
            return Ok(Some(false));
        }
        let found = self.resync(cursor, behind, STEPS_BEHIND_FOREIGN)?;
        cursor.tally.overhead += found - behind;
        self.go_on_at(cursor, found).map(Some)
    }

    fn header_at(&mut self, cursor: &mut Cursor, at: u64) -> Result<u64, Error> {
        if self.window.head(at).is_none() {
            self.load(cursor, at)?;
        }
        Ok(self.window.head(at).unwrap_or_default().size)
    }

    fn go_on_at(&mut self, cursor: &mut Cursor, at: u64) -> Result<bool, Error> {
        self.close_run(cursor);
        if at >= cursor.region.end {
            cursor.at = cursor.region.end;
            return Ok(false);
        }
        self.jump(cursor, at)?;
        Ok(true)
    }

    /// Reads the pages around the cursor again, their states first.
    fn read_again(&mut self, cursor: &mut Cursor) -> Result<(), Error> {
        let (at, end) = (cursor.at, cursor.region.end);
        self.presence.refresh(self.memory, at)?;
        self.window
            .reload(self.memory, &mut self.presence, at, end)?;
        cursor.page = Page::NONE;
        cursor.head = self.window.head(at).unwrap_or_default();
        cursor.before = self.presence.before(at);
        if let Some(run) = &mut cursor.run {
            run.before = self.presence.before(run.start);
        }
        Ok(())
    }

    /// Looks where `top` is now. True if it has sunk below the cursor: the process has freed what lay here,
    /// and all that follows is `top`.
    fn refresh_top(&mut self, cursor: &mut Cursor) -> Result<bool, Error> {
        let top = self.memory.word(cursor.arena + self.layout.top)?;
        let Some(top) = fresh_top(top, cursor) else {
            return Ok(false);
        };
        if top < cursor.at {
            // A plain mapping may hold other pieces behind the one that `top` ends.
            return Ok(cursor.region.origin != Origin::Mapping);
        }
        cursor.stop = top;
        cursor.has_top = true;
        Ok(false)
    }

    /// Books the rest of the region as `top`; it goes on changing, so no forecast is made of it.
    fn sunk_top(&mut self, cursor: &mut Cursor) -> Result<(), Error> {
        let (at, end) = (cursor.at, cursor.region.end);
        self.presence.load(self.memory, end)?;
        self.close_run(cursor);
        cursor.tally.top_bytes += end - at;
        cursor.tally.top_resident += self.presence.between(at, end);
        cursor.at = end;
        Ok(())
    }

    /// The end of a region: what it comes to is added to its arena.
    pub(super) fn finish(&mut self, cursor: &mut Cursor) -> Result<(), Error> {
        let region = cursor.region;
        self.close_run(cursor);
        let end = if region.origin == Origin::Mapping {
            cursor.at.min(region.end)
        } else {
            region.end
        };
        self.presence.load(self.memory, end)?;
        cursor.tally.walked += end - region.from;
        cursor.tally.resident += self.presence.between(region.from, end);
        cursor.tally.swapped += self.presence.swapped();
        if let Some(tally) = self.tallies.get_mut(region.arena) {
            tally.add(&cursor.tally);
        }
        Ok(())
    }
}

/// True for a chunk in use that ends a region without `top`.
fn is_last(cursor: &Cursor) -> bool {
    let header = cursor.head.size;
    let size = header & !FLAGS;
    let is_sound = size >= SMALLEST_CHUNK && header & (IS_MAPPED | 8) == 0;
    let is_at_end = cursor.at.checked_add(size) == Some(cursor.region.end);
    is_sound && is_at_end && !cursor.has_top && header & NOT_MAIN == cursor.arena_flag()
}

/// Where the arena's `top` is now, if that is in the cursor's region.
fn fresh_top(top: Option<u64>, cursor: &Cursor) -> Option<u64> {
    top.filter(|top| {
        top.is_multiple_of(16) && cursor.region.start <= *top && *top < cursor.region.end
    })
}
