//! Anonymous mappings that the program makes itself, as a kind of their own.
//!
//! What the allocator, libc and the loader map is not the program's: arenas and thread stacks are seen
//! otherwise. Nor are reservations without access. Ranges are kept sorted; a call may take away parts of
//! several. All of them are recorded in both modes: they are few, and large.
//!
//! Signal handlers map memory, too. One that comes while its thread is inside of the shim is passed on and counted
//! as lost: the list may be locked by what it has interrupted. A range that stays listed so is taken
//! out by the next mapping that lies there.

use crate::counters::{self, Amount};
use crate::life::{self, Phase};
use crate::lock::Lock;
use crate::recorder::{self, Recorder};
use crate::system::PAGE;
use crate::tls::{Tls, tls};
use crate::{memory, next, region, stacks};
use core::ffi::c_int;
use memtide_region::layout::COUNT_SCALE;

const MAP_FAILED: usize = usize::MAX;
const MAP_ANONYMOUS: c_int = 0x20;
const PROT_NONE: c_int = 0;
const FIRST_RANGES: usize = 256;
/// Parts of ranges that one call may take away without another look.
const PARTS: usize = 16;

static RANGES: Lock<Ranges> = Lock::new(Ranges::new());

#[derive(Clone, Copy, Default)]
struct Range {
    start: u64,
    end: u64,
    stack: u32,
    /// The upper part of a range that was cut in two: the lower one stands for the block.
    is_rest: bool,
}

/// A part of a range that goes away; `whole` if a block goes with it.
#[derive(Clone, Copy, Default)]
struct Part {
    bytes: u64,
    stack: u32,
    whole: bool,
}

/// Sorted by start, without overlap.
struct Ranges {
    list: *mut Range,
    count: usize,
    capacity: usize,
}

// SAFETY: memory of the shim's own, used under the lock.
unsafe impl Send for Ranges {}

impl Ranges {
    const fn new() -> Self {
        Self {
            list: core::ptr::null_mut(),
            count: 0,
            capacity: 0,
        }
    }

    /// All that the list has room for; those from `count` on mean nothing.
    fn all(&mut self) -> &mut [Range] {
        if self.list.is_null() {
            return &mut [];
        }
        // SAFETY: mapped for so many; all zero is a range.
        unsafe { core::slice::from_raw_parts_mut(self.list, self.capacity) }
    }

    /// Index of the first range that ends after `address`.
    fn first_after(&mut self, address: u64) -> usize {
        let count = self.count;
        let used = self.all().get(..count).unwrap_or_default();
        used.partition_point(|range| range.end <= address)
    }

    fn insert(&mut self, index: usize, range: Range) -> bool {
        if self.count == self.capacity && !self.grow() {
            return false;
        }
        let count = self.count;
        let Some(tail @ [_, ..]) = self.all().get_mut(index..=count) else {
            return false;
        };
        tail.rotate_right(1);
        if let Some(place) = tail.first_mut() {
            *place = range;
        }
        self.count += 1;
        true
    }

    fn grow(&mut self) -> bool {
        let capacity = (self.capacity * 2).max(FIRST_RANGES);
        // SAFETY: all zero is a range.
        let Some(list) = (unsafe { memory::map_slice::<Range>(capacity) }) else {
            return false;
        };
        let mut grown = Self {
            list,
            count: self.count,
            capacity,
        };
        for (place, range) in grown.all().iter_mut().zip(self.all()) {
            *place = *range;
        }
        *self = grown;
        true
    }

    fn remove(&mut self, index: usize) {
        let count = self.count;
        if let Some(tail) = self.all().get_mut(index..count) {
            tail.rotate_left(1);
            self.count -= 1;
        }
    }

    /// Takes `start..end` out of the first range that has some of it; says what that was.
    fn take(&mut self, start: u64, end: u64) -> Option<Part> {
        let index = self.first_after(start);
        let count = self.count;
        let range = *self.all().get(..count)?.get(index)?;
        if range.start >= end {
            return None;
        }
        let (low, high) = (range.start.max(start), range.end.min(end));
        let (before, after) = (low > range.start, high < range.end);
        let place = self.all().get_mut(index)?;
        match (before, after) {
            (false, false) => self.remove(index),
            (true, false) => place.end = low,
            (false, true) => place.start = high,
            (true, true) => {
                place.end = low;
                let rest = Range {
                    start: high,
                    is_rest: true,
                    ..range
                };
                self.insert(index + 1, rest);
            }
        }
        Some(Part {
            bytes: high - low,
            stack: range.stack,
            whole: !before && !after && !range.is_rest,
        })
    }
}

fn is_recording() -> bool {
    matches!(life::current_phase(), Phase::Full | Phase::Sampled)
}

/// Blocks in the region's unit: sampled mode counts parts of blocks.
fn blocks(count: u64) -> u64 {
    if life::phase() == Phase::Sampled {
        count * COUNT_SCALE
    } else {
        count
    }
}

/// The program called mmap, which returned `place`.
pub(crate) fn mapped(
    place: usize,
    bytes: usize,
    (protection, flags): (c_int, c_int),
    slot: u64,
    base: u64,
) {
    if place == MAP_FAILED || !is_recording() {
        return;
    }
    let caller: *const usize = core::ptr::with_exposed_provenance(slot as usize);
    // SAFETY: where the return address of a call lies that has not returned.
    let keeper = next::is_keeper(unsafe { caller.read() });
    let is_counted = flags & MAP_ANONYMOUS != 0 && protection != PROT_NONE && !keeper;
    let tls = tls();
    recorder::alone(tls, || {
        // With MAP_FIXED it may lie where something else lay.
        take_away(tls, place, bytes);
        if is_counted && let Some(recorder) = recorder::own(tls) {
            record(recorder, place, bytes, (slot, base));
        }
    });
}

fn record(recorder: &mut Recorder, place: usize, bytes: usize, (slot, base): (u64, u64)) {
    let start = place as u64;
    let bytes = (bytes as u64).next_multiple_of(PAGE);
    let amount = Amount {
        blocks: blocks(1),
        bytes,
        samples: u64::from(life::phase() == Phase::Sampled),
    };
    let Some(stack) = stacks::mapping_number(recorder, slot, base) else {
        return region::count_lost(|lost| &lost.mappings);
    };
    let inserted = RANGES.with(|ranges| {
        let range = Range {
            start,
            end: start + bytes,
            stack,
            is_rest: false,
        };
        let index = ranges.first_after(start);
        ranges.insert(index, range)
    });
    if inserted != Some(true) || !counters::made(recorder, stack, amount) {
        region::count_lost(|lost| &lost.mappings);
    }
}

/// A range is about to be unmapped.
pub(crate) fn unmapped(place: usize, bytes: usize) {
    if is_recording() {
        let tls = tls();
        recorder::alone(tls, || take_away(tls, place, bytes));
    }
}

/// Nothing that was known lies in a range any more. The thread is inside of the shim.
fn take_away(tls: &Tls, place: usize, bytes: usize) {
    let start = place as u64;
    // The kernel refuses what is not aligned.
    if bytes == 0 || !start.is_multiple_of(PAGE) {
        return;
    }
    let end = start.saturating_add((bytes as u64).next_multiple_of(PAGE));
    loop {
        let mut parts = [Part::default(); PARTS];
        let taken = RANGES.with(|ranges| {
            let mut taken = 0;
            for place in &mut parts {
                let Some(part) = ranges.take(start, end) else {
                    break;
                };
                *place = part;
                taken += 1;
            }
            taken
        });
        let Some(taken) = taken else {
            return region::count_lost(|lost| &lost.mappings);
        };
        for part in parts.iter().take(taken) {
            if let Some(recorder) = recorder::own(tls) {
                count_gone(recorder, part);
            }
        }
        if taken < PARTS {
            return;
        }
    }
}

fn count_gone(recorder: &mut Recorder, part: &Part) {
    let amount = Amount {
        blocks: blocks(u64::from(part.whole)),
        bytes: part.bytes,
        samples: u64::from(part.whole && life::phase() == Phase::Sampled),
    };
    counters::gone(recorder, part.stack, amount);
}

/// The program called mremap. What was there is gone, and what is there was made here.
pub(crate) fn moved(old: usize, old_bytes: usize, new: usize, bytes: usize, slot: u64, base: u64) {
    if new == MAP_FAILED || !is_recording() {
        return;
    }
    let tls = tls();
    recorder::alone(tls, || {
        let was_known = RANGES.with(|ranges| {
            let index = ranges.first_after(old as u64);
            let count = ranges.count;
            let used = ranges.all().get(..count).unwrap_or_default();
            used.get(index)
                .is_some_and(|range| range.start <= old as u64)
        });
        match was_known {
            Some(true) => {
                take_away(tls, old, old_bytes);
                take_away(tls, new, bytes);
                if let Some(recorder) = recorder::own(tls) {
                    record(recorder, new, bytes, (slot, base));
                }
            }
            Some(false) => {}
            None => region::count_lost(|lost| &lost.mappings),
        }
    });
}

/// Forgets all mappings.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    // SAFETY: the caller's promise.
    unsafe { RANGES.replace(Ranges::new()) };
}
