//! The shim's own memory in the target: private mappings that stay until the process ends.
//!
//! They are kept out of core dumps and huge pages; these two flags also keep the kernel from merging
//! them with the program's own mappings, so that the recorder can tell them apart. Each is noted in
//! the region.

use crate::{region, system};

/// Zeroed memory, page-aligned; `None` where the system has no more.
pub(crate) fn map(bytes: usize) -> Option<*mut u8> {
    map_near(0, bytes)
}

/// As [`map`], at the address `hint` if that is free: for what is so large that it should not push the
/// program's own mappings aside.
pub(crate) fn map_near(hint: usize, bytes: usize) -> Option<*mut u8> {
    let bytes = bytes.next_multiple_of(system::PAGE as usize);
    let start = system::map_private(hint, bytes)?;
    system::advise(start, bytes, system::MADV_DONTDUMP);
    system::advise(start, bytes, system::MADV_NOHUGEPAGE);
    region::note_range(start.addr() as u64, bytes as u64);
    Some(start)
}

/// Zeroed memory for `count` values.
///
/// # Safety
/// All zero bytes are a value of `T`, or the caller writes each value before it is read.
pub(crate) unsafe fn map_slice<T>(count: usize) -> Option<*mut T> {
    const { assert!(align_of::<T>() <= 4096) };
    let bytes = count.checked_mul(size_of::<T>())?;
    map(bytes).map(<*mut u8>::cast)
}
