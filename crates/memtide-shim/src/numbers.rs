//! For each node the number of the stack that ends with it.
//!
//! In pieces that are mapped when the first stack ends in one, as a program may limit its address space:
//! one table for all nodes that there can be would take 64 MiB of it.

use crate::memory;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use memtide_region::Table;

/// Nodes of a piece: 64 KiB.
const PIECE: usize = 1 << 14;
const PIECES: usize = Table::NODES.most as usize / PIECE;

static NUMBERS: [AtomicPtr<AtomicU32>; PIECES] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PIECES];

/// Where a node's number stands: the stack's, plus one; 0 if no stack ends with it. `None` where there
/// is no such node, or no room.
#[inline(always)]
pub(crate) fn place(node: u32) -> Option<&'static AtomicU32> {
    let piece = NUMBERS.get(node as usize / PIECE)?;
    let numbers = piece.load(Ordering::Acquire);
    if numbers.is_null() {
        return map_piece(piece, node);
    }
    Some(within(numbers, node))
}

#[inline(always)]
fn within(numbers: *mut AtomicU32, node: u32) -> &'static AtomicU32 {
    // SAFETY: a piece has this many numbers, all zero at first, and stays mapped.
    unsafe { &*numbers.add(node as usize % PIECE) }
}

#[cold]
#[inline(never)]
fn map_piece(piece: &AtomicPtr<AtomicU32>, node: u32) -> Option<&'static AtomicU32> {
    // SAFETY: numbers are all zero at first.
    let mapped = unsafe { memory::map_slice::<AtomicU32>(PIECE) }?;
    let first = piece.compare_exchange(
        core::ptr::null_mut(),
        mapped,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    // Whoever lost has a mapping too many; it is never touched, and costs address space only.
    Some(within(first.err().unwrap_or(mapped), node))
}

/// Forgets all numbers.
pub(crate) fn forget() {
    for piece in &NUMBERS {
        // A store would make a copy of the page in a child of `fork`.
        if !piece.load(Ordering::Relaxed).is_null() {
            piece.store(core::ptr::null_mut(), Ordering::Release);
        }
    }
}
