//! Sampled mode: the live sampled blocks, and the filter that keeps all others away from their table.
//!
//! The filter has a counter for each 64 bytes of address, modulo its size. `free` looks into it alone;
//! a counter that is not zero means that a sampled block may lie there. Counters that reached 255 stay.
//! The table is one hash table under one lock: samples are rare.

use crate::counters::{self, Amount};
use crate::lock::Lock;
use crate::record::Taken;
use crate::tls::{Tls, tls};
use crate::{entry, memory, recorder, region, stacks, system};
use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use memtide_unwind::sampling::{Estimate, estimate};

const FILTER_BYTES: usize = 1 << 20;
const FIRST_ROWS: usize = 1 << 10;

static INTERVAL: AtomicU64 = AtomicU64::new(512 << 10);
static TABLE: Lock<Table> = Lock::new(Table::new());

#[derive(Clone, Copy)]
struct Row {
    block: u64,
    bytes: u64,
    stack: u32,
}

/// Open addressing with linear probing; a removal moves back what follows.
struct Table {
    rows: *mut Row,
    capacity: usize,
    used: usize,
}

// SAFETY: its memory is the shim's own and reached through the lock only.
unsafe impl Send for Table {}

impl Table {
    const fn new() -> Self {
        Self {
            rows: core::ptr::null_mut(),
            capacity: 0,
            used: 0,
        }
    }

    fn rows(&mut self) -> &mut [Row] {
        if self.rows.is_null() {
            return &mut [];
        }
        // SAFETY: mapped for so many rows; all zero is a row.
        unsafe { core::slice::from_raw_parts_mut(self.rows, self.capacity) }
    }

    fn first(&self, block: u64) -> usize {
        let mixed = (block >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        mixed as usize & self.capacity.wrapping_sub(1)
    }

    /// The row of a block, or the empty one where it belongs.
    fn place(&mut self, block: u64) -> Option<usize> {
        let mut index = self.first(block);
        let mask = self.capacity.checked_sub(1)?;
        let rows = self.rows();
        loop {
            let found = rows.get(index)?.block;
            if found == block || found == 0 {
                return Some(index);
            }
            index = (index + 1) & mask;
        }
    }

    fn insert(&mut self, row: Row) -> bool {
        if self.used * 2 >= self.capacity && !self.grow() {
            return false;
        }
        let Some(index) = self.place(row.block) else {
            return false;
        };
        let Some(place) = self.rows().get_mut(index) else {
            return false;
        };
        let was_empty = place.block == 0;
        *place = row;
        self.used += usize::from(was_empty);
        true
    }

    fn grow(&mut self) -> bool {
        let capacity = (self.capacity * 2).max(FIRST_ROWS);
        // SAFETY: all zero is an empty row.
        let Some(rows) = (unsafe { memory::map_slice::<Row>(capacity) }) else {
            return false;
        };
        let mut grown = Self {
            rows,
            capacity,
            used: 0,
        };
        for row in self.rows().iter().filter(|row| row.block != 0) {
            grown.insert(*row);
        }
        // The old rows stay mapped: less than the new ones take.
        *self = grown;
        true
    }

    fn remove(&mut self, block: u64) -> Option<Row> {
        let mut hole = self.place(block)?;
        let mask = self.capacity.checked_sub(1)?;
        let removed = *self.rows().get(hole)?;
        if removed.block == 0 {
            return None;
        }
        let mut index = hole;
        loop {
            index = (index + 1) & mask;
            let row = *self.rows().get(index)?;
            if row.block == 0 {
                break;
            }
            // A row may move into the hole if it is not from between the two.
            let from = self.first(row.block);
            if index.wrapping_sub(from) & mask >= index.wrapping_sub(hole) & mask {
                *self.rows().get_mut(hole)? = row;
                hole = index;
            }
        }
        self.rows().get_mut(hole)?.block = 0;
        self.used -= 1;
        Some(removed)
    }
}

/// Maps the filter. `interval` is the mean number of bytes between samples.
pub(crate) fn prepare(interval: u64) -> bool {
    INTERVAL.store(interval.max(1), Relaxed);
    if let Some((start, bytes)) = filter() {
        // The parent's, which is this process's own now, and clear.
        region::note_range(start, bytes);
        return true;
    }
    let Some(filter) = memory::map(FILTER_BYTES) else {
        return false;
    };
    // Whoever reads the mask first and the filter after it never has too small a filter.
    entry::FILTER.store(filter, Release);
    entry::FILTER_MASK.store(FILTER_BYTES - 1, Release);
    true
}

/// Where the filter lies, and its bytes. It stays for ever, in children of `fork`, too: another thread may be
/// about to look into it.
pub(crate) fn filter() -> Option<(u64, u64)> {
    let bytes = entry::FILTER_MASK.load(Acquire) + 1;
    (bytes == FILTER_BYTES).then(|| (entry::FILTER.load(Relaxed).addr() as u64, bytes as u64))
}

/// Lets all blocks pass the filter, in place.
fn clear_filter() {
    let Some((_, bytes)) = filter() else {
        return;
    };
    let start = entry::FILTER.load(Relaxed);
    if !system::advise(start, bytes as usize, system::MADV_DONTNEED) {
        // Memory that is locked (mlock(2)) is not given back.
        for index in 0..bytes {
            counter(index << 6).store(0, Relaxed);
        }
    }
}

/// The filter's counter for a block.
fn counter(block: u64) -> &'static AtomicU8 {
    let index = (block >> 6) as usize & entry::FILTER_MASK.load(Acquire);
    let filter: *const AtomicU8 = entry::FILTER.load(Relaxed).cast();
    // SAFETY: the mask is the filter's length less one; filters stay mapped.
    unsafe { &*filter.wrapping_add(index) }
}

fn insert(row: Row) -> bool {
    let inserted = TABLE.with(|table| table.insert(row)) == Some(true);
    if inserted {
        let up = |count: u8| (count < 255).then(|| count + 1);
        // A full counter stays as it is.
        let _ = counter(row.block).fetch_update(Relaxed, Relaxed, up);
    }
    inserted
}

/// See `record::made`. The countdown was lowered by `size` and has run out, or was never set.
#[cold]
#[inline(never)]
pub(crate) fn made(tls: &Tls, block: u64, size: u64, slot: u64, base: u64) {
    let interval = INTERVAL.load(Relaxed);
    let before = tls.left.get().cast_unsigned().wrapping_add(size);
    tls.left.set(0);
    recorder::with(tls, |recorder| {
        if before == 0 {
            // The thread's first block: its distance to the first sample is drawn now.
            let distance = recorder.random.distance(interval);
            if distance.cast_unsigned() > size {
                tls.left.set(distance - size.cast_signed());
                return;
            }
        }
        tls.left.set(recorder.random.distance(interval));
        if block == 0 || size == 0 {
            return;
        }
        let Some(stack) = stacks::number(recorder, slot, base) else {
            return;
        };
        let row = Row {
            block,
            bytes: size,
            stack,
        };
        if let Some(stale) = remove(block) {
            // Freed unseen, by a function that is not wrapped or by a signal handler.
            counters::gone(recorder, stale.stack, amount(stale.bytes, interval));
        }
        let amount = amount(size, interval);
        if !counters::made(recorder, stack, amount) || !insert(row) {
            counters::no_room();
        }
    });
}

fn amount(size: u64, interval: u64) -> Amount {
    let Estimate { blocks, bytes } = estimate(size, interval);
    Amount {
        blocks,
        bytes,
        samples: 1,
    }
}

/// See `record::take`.
pub(crate) fn take(block: u64) -> Option<Taken> {
    if block == 0 || counter(block).load(Relaxed) == 0 {
        return None;
    }
    recorder::alone(tls(), || remove(block)).flatten()
}

/// See `record::forget`.
#[cold]
#[inline(never)]
pub(crate) fn freed(block: u64) {
    if let Some(taken) = take(block) {
        count_gone(taken);
    }
}

/// Takes a block's row out. For who is inside of the shim.
fn remove(block: u64) -> Option<Taken> {
    let counter = counter(block);
    if counter.load(Relaxed) == 0 {
        return None;
    }
    let row = TABLE.with(|table| table.remove(block)).flatten()?;
    let down = |count: u8| (count != 0 && count < 255).then(|| count - 1);
    // As above.
    let _ = counter.fetch_update(Relaxed, Relaxed, down);
    Some(Taken {
        stack: row.stack,
        bytes: row.bytes,
    })
}

/// See `record::put_back`.
pub(crate) fn put_back(block: u64, taken: Taken) {
    let row = Row {
        block,
        bytes: taken.bytes,
        stack: taken.stack,
    };
    if recorder::alone(tls(), || insert(row)) == Some(false) {
        counters::no_room();
    }
}

/// See `record::count_gone`.
pub(crate) fn count_gone(taken: Taken) {
    let amount = amount(taken.bytes, INTERVAL.load(Relaxed));
    recorder::with(tls(), |recorder| {
        counters::gone(recorder, taken.stack, amount);
    });
}

/// Forgets all samples.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    clear_filter();
    // SAFETY: the caller's promise.
    unsafe { TABLE.replace(Table::new()) };
}
