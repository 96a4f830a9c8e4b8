//! The numbers of whole stacks (`memtide_unwind::whole`): what nearly every block needs to look up.

use crate::lock::Lock;
use crate::memory;
use core::sync::atomic::{AtomicPtr, Ordering};
use memtide_unwind::intern::PathHash;
use memtide_unwind::whole::{self, Row};

const FIRST_ROWS: usize = 1 << 10;

/// What stands before the rows: a cache line.
#[repr(C, align(64))]
struct Head {
    count: usize,
}

static ROWS: AtomicPtr<Head> = AtomicPtr::new(core::ptr::null_mut());
/// How many rows are in use; for the inserter.
static USED: Lock<usize> = Lock::new(0);

#[inline(always)]
fn rows() -> &'static [Row] {
    let head = ROWS.load(Ordering::Acquire);
    if head.is_null() {
        return &[];
    }
    rows_of(head)
}

#[inline(always)]
fn rows_of(head: *mut Head) -> &'static [Row] {
    // SAFETY: the head says how many rows follow it; both stay mapped.
    unsafe { core::slice::from_raw_parts(head.add(1).cast(), (*head).count) }
}

/// The stack's number, if it is known.
#[inline(always)]
pub(crate) fn find(path: PathHash, address: u64) -> Option<u32> {
    whole::find(rows(), path, address)
}

/// Remembers a stack's number. Where there is no room it is looked up by its frames each time.
#[cold]
pub(crate) fn remember(path: PathHash, address: u64, number: u32) {
    USED.with(|used| {
        if *used * 2 >= rows().len() && grow().is_none() {
            return;
        }
        // Another thread may have been quicker.
        if whole::find(rows(), path, address).is_none() {
            whole::insert(rows(), path, address, number);
            *used += 1;
        }
    });
}

/// To twice the size. The old table stays mapped, as others may be looking into it.
fn grow() -> Option<()> {
    let count = (rows().len() * 2).max(FIRST_ROWS);
    let bytes = count
        .checked_mul(size_of::<Row>())?
        .checked_add(size_of::<Head>())?;
    let head: *mut Head = memory::map(bytes)?.cast();
    // SAFETY: mapped, aligned to a page, and not published yet.
    unsafe { head.write(Head { count }) };
    whole::copy(rows(), rows_of(head));
    ROWS.store(head, Ordering::Release);
    Some(())
}

/// Forgets all stacks.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    ROWS.store(core::ptr::null_mut(), Ordering::Release);
    // SAFETY: the caller's promise.
    unsafe { USED.replace(0) };
}
