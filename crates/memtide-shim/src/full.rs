//! Full mode: every block, with its stack and size in shadow memory.
//!
//! A word for each granule of address, in leaves of 32 MiB of address that are mapped when they are
//! needed. The word of a block is written after the allocator made it and cleared before the allocator
//! frees it, so the allocator itself hands words over between threads: plain loads and stores do.
//!
//! A word that is not clear when the allocator gives its block out is that of a block which was freed unseen, by a
//! function that is not wrapped or by a signal handler. It is counted as gone then.

use crate::counters::{self, Amount};
use crate::record::Taken;
use crate::recorder::{self, Recorder};
use crate::tls::{Tls, tls};
use crate::{memory, next, stacks};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// A leaf covers so many bits of address.
const LEAF_BITS: u32 = 25;
/// Addresses of user space have 47 bits.
const LEAVES: usize = 1 << (47 - LEAF_BITS);
/// A word is a stack (28 bits) and a size (36 bits).
const SIZE_BITS: u32 = 36;
const MOST_BYTES: u64 = (1 << SIZE_BITS) - 1;

/// Where leaves are put if there is room: between where programs and where libraries are on 47 bits.
const SHADOW: usize = 0x1000_0000_0000;
const SHADOW_BYTES: usize = 0x4000_0000_0000;

static TOP: AtomicPtr<AtomicPtr<AtomicU64>> = AtomicPtr::new(core::ptr::null_mut());
static GRANULE_BITS: AtomicU32 = AtomicU32::new(4);

/// Bytes of address per word: glibc aligns all blocks to 16, others align the smallest to 8.
pub(crate) fn granule() -> u32 {
    if next::is_libc_allocator() { 16 } else { 8 }
}

/// Maps the table of leaves.
pub(crate) fn prepare() -> bool {
    GRANULE_BITS.store(granule().trailing_zeros(), Ordering::Relaxed);
    // SAFETY: null pointers are all zero.
    let top = unsafe { memory::map_slice::<AtomicPtr<AtomicU64>>(LEAVES) };
    TOP.store(top.unwrap_or(core::ptr::null_mut()), Ordering::Release);
    top.is_some()
}

/// The place of the leaf of an address.
#[inline(always)]
fn leaf(address: u64) -> Option<&'static AtomicPtr<AtomicU64>> {
    let index = (address >> LEAF_BITS) as usize;
    let top = TOP.load(Ordering::Relaxed);
    if top.is_null() || index >= LEAVES {
        return None;
    }
    // SAFETY: below the length that was mapped.
    Some(unsafe { &*top.add(index) })
}

/// The word of an address within its leaf.
#[inline(always)]
fn word(leaf: *mut AtomicU64, address: u64) -> &'static AtomicU64 {
    let within = address & ((1 << LEAF_BITS) - 1);
    let index = within >> GRANULE_BITS.load(Ordering::Relaxed);
    // SAFETY: a leaf has a word for each granule of its 32 MiB, and stays mapped.
    unsafe { &*leaf.add(index as usize) }
}

#[inline(always)]
fn found(address: u64) -> Option<&'static AtomicU64> {
    let leaf = leaf(address)?.load(Ordering::Acquire);
    (!leaf.is_null()).then(|| word(leaf, address))
}

#[inline(always)]
fn found_or_mapped(address: u64) -> Option<&'static AtomicU64> {
    match found(address) {
        Some(word) => Some(word),
        None => map_leaf(address),
    }
}

#[cold]
#[inline(never)]
fn map_leaf(address: u64) -> Option<&'static AtomicU64> {
    let place = leaf(address)?;
    let bytes = size_of::<AtomicU64>() << (LEAF_BITS - GRANULE_BITS.load(Ordering::Relaxed));
    // In rows, away from the program: leaves between its mappings would spread these over more leaves.
    let hint = SHADOW + (address >> LEAF_BITS) as usize % (SHADOW_BYTES / bytes) * bytes;
    #[expect(clippy::cast_ptr_alignment, reason = "mappings begin with a page")]
    // Words are all zero at first.
    let mapped = memory::map_near(hint, bytes)?.cast::<AtomicU64>();
    let first = place.compare_exchange(
        core::ptr::null_mut(),
        mapped,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    // Whoever lost has a mapping too many; it is never touched, and costs address space only.
    Some(word(first.err().unwrap_or(mapped), address))
}

/// See `record::made`.
#[inline(always)]
pub(crate) fn made(tls: &Tls, block: u64, size: u64, slot: u64, base: u64) {
    // The next block is due again.
    tls.left.set(0);
    if block == 0 {
        return;
    }
    let Some(recorder) = recorder::enter(tls) else {
        return;
    };
    if count_made(recorder, block, size.min(MOST_BYTES), (slot, base)).is_none() {
        counters::no_room();
    }
    recorder::leave(tls);
}

/// `None` where there is no room to count the block.
#[inline(always)]
fn count_made(
    recorder: &mut Recorder,
    block: u64,
    bytes: u64,
    (slot, base): (u64, u64),
) -> Option<()> {
    let stack = stacks::number(recorder, slot, base)?;
    let word = found_or_mapped(block)?;
    if word.load(Ordering::Relaxed) != 0 {
        count_stale(recorder, word);
    }
    if !counters::made(recorder, stack, amount(bytes)) {
        return None;
    }
    word.store(u64::from(stack) << SIZE_BITS | bytes, Ordering::Relaxed);
    Some(())
}

/// The block that was here has gone without a word.
#[cold]
#[inline(never)]
fn count_stale(recorder: &mut Recorder, word: &AtomicU64) {
    if let Some(taken) = clear(word) {
        counters::gone(recorder, taken.stack, amount(taken.bytes));
    }
}

#[inline(always)]
fn amount(bytes: u64) -> Amount {
    Amount {
        blocks: 1,
        bytes,
        samples: 0,
    }
}

#[inline(always)]
fn clear(word: &AtomicU64) -> Option<Taken> {
    let entry = word.load(Ordering::Relaxed);
    if entry == 0 {
        return None;
    }
    word.store(0, Ordering::Relaxed);
    Some(Taken {
        stack: (entry >> SIZE_BITS) as u32,
        bytes: entry & MOST_BYTES,
    })
}

/// See `record::forget`.
#[inline(always)]
pub(crate) fn freed(block: u64) {
    if block == 0 {
        return;
    }
    let tls = tls();
    if !recorder::begin(tls) {
        return;
    }
    if let Some(word) = found(block)
        && let Some(taken) = clear(word)
        && let Some(recorder) = recorder::own(tls)
    {
        counters::gone(recorder, taken.stack, amount(taken.bytes));
    }
    recorder::leave(tls);
}

/// See `record::take`.
#[inline(always)]
pub(crate) fn take(block: u64) -> Option<Taken> {
    recorder::alone(tls(), || found(block).and_then(clear)).flatten()
}

/// See `record::put_back`.
pub(crate) fn put_back(block: u64, taken: Taken) {
    recorder::alone(tls(), || {
        if let Some(word) = found(block) {
            let entry = u64::from(taken.stack) << SIZE_BITS | taken.bytes;
            word.store(entry, Ordering::Relaxed);
        }
    });
}

/// See `record::count_gone`.
#[inline(always)]
pub(crate) fn count_gone(taken: Taken) {
    recorder::with(tls(), |recorder| {
        counters::gone(recorder, taken.stack, amount(taken.bytes));
    });
}

/// Forgets all blocks. Only in a new child of `fork`; the memory itself goes with the region's ranges.
pub(crate) fn forget() {
    TOP.store(core::ptr::null_mut(), Ordering::Release);
}
