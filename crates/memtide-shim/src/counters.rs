//! Counters per thread and stack, and live bytes at the peak.
//!
//! A row has one writer, its thread, and takes one cache line. Live bytes of all threads are known to
//! within what threads have not yet added; while the program has one thread, exactly.
//!
//! The peak is kept lazily. The header's epoch is odd while live bytes are at their maximum, and even
//! below it. Each row that changes for the first time in an even epoch first keeps what it held: that is
//! its part of the peak. So an event costs one comparison, and a new peak costs nothing per stack.

use crate::recorder::{self, Recorder};
use crate::region;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use memtide_region::layout::{CounterRow, Header};

/// A thread of several adds what it has after so many bytes.
const QUANTUM: i64 = 64 << 10;
/// However far the peak is, a thread adds what it has after so many bytes.
const MOST: i64 = 1 << 20;

/// What an event adds to a row.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    /// Blocks, in the region's unit.
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) samples: u64,
}

#[inline(always)]
fn add(counter: &AtomicU64, amount: u64) {
    // One writer: a plain addition, which readers see whole.
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// Counts blocks made on `stack`. Says whether there was a row for it.
#[inline(always)]
pub(crate) fn made(recorder: &mut Recorder, stack: u32, amount: Amount) -> bool {
    let header = recorder.header;
    let Some(row) = recorder.row(stack) else {
        return false;
    };
    let epoch = header.peak_epoch.load(Relaxed);
    if row.peak_epoch.load(Relaxed) != epoch && epoch.is_multiple_of(2) {
        keep(row, epoch);
    }
    add(&row.allocs, amount.blocks);
    add(&row.bytes, amount.bytes);
    if amount.samples != 0 {
        add(&row.samples, amount.samples);
    }
    recorder.live = recorder.live.wrapping_add(amount.bytes.cast_signed());
    if recorder.live > recorder.limit {
        raise(recorder);
    }
    true
}

/// Counts blocks of `stack` freed.
#[inline(always)]
pub(crate) fn gone(recorder: &mut Recorder, stack: u32, amount: Amount) {
    let header = recorder.header;
    let Some(row) = recorder.row(stack) else {
        no_room();
        return;
    };
    let epoch = header.peak_epoch.load(Relaxed);
    if row.peak_epoch.load(Relaxed) != epoch {
        fall(row, header, epoch);
    }
    add(&row.frees, amount.blocks);
    add(&row.freed, amount.bytes);
    if amount.samples != 0 {
        add(&row.freed_samples, amount.samples);
    }
    recorder.live = recorder.live.wrapping_sub(amount.bytes.cast_signed());
    if recorder.live < -MOST {
        raise(recorder);
    }
}

#[cold]
#[inline(never)]
pub(crate) fn no_room() {
    region::count_lost(|lost| &lost.no_room);
}

/// Keeps what the row holds as its part of the peak.
#[inline(always)]
fn keep(row: &CounterRow, epoch: u64) {
    let live = row
        .bytes
        .load(Relaxed)
        .wrapping_sub(row.freed.load(Relaxed));
    row.peak_bytes.store(live, Relaxed);
    row.peak_epoch.store(epoch, Relaxed);
}

/// The first free after a maximum ends it.
#[cold]
fn fall(row: &CounterRow, header: &Header, epoch: u64) {
    let mut epoch = epoch;
    if !epoch.is_multiple_of(2) {
        // Somebody else may have done it, and gone on.
        epoch = match header
            .peak_epoch
            .compare_exchange(epoch, epoch + 1, Relaxed, Relaxed)
        {
            Ok(_) => epoch + 1,
            Err(now) => now,
        };
    }
    if epoch.is_multiple_of(2) {
        keep(row, epoch);
    }
}

/// Adds what the thread has to the sum of all, and looks whether that is a new maximum.
#[cold]
#[inline(never)]
pub(crate) fn raise(recorder: &mut Recorder) {
    let header = recorder.header;
    let added = recorder.live;
    recorder.live = 0;
    let before = header.live_bytes.fetch_add(added.cast_unsigned(), Relaxed);
    let total = before.cast_signed().wrapping_add(added);
    let mut peak = header.peak_bytes.load(Relaxed).cast_signed();
    if total > peak {
        header.peak_bytes.fetch_max(total.cast_unsigned(), Relaxed);
        peak = total;
        let epoch = header.peak_epoch.load(Relaxed);
        if epoch.is_multiple_of(2) {
            // A failure means that somebody else was quicker.
            let _ = header
                .peak_epoch
                .compare_exchange(epoch, epoch + 1, Relaxed, Relaxed);
        }
    }
    let room = peak.wrapping_sub(total);
    let threads = recorder::in_use();
    recorder.limit = if threads > 1 {
        (room / threads).clamp(QUANTUM, MOST)
    } else {
        room.min(MOST)
    };
}
