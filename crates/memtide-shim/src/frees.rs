//! The exported functions that free a block whose size or flags the caller knows.
//!
//! Where the next allocator has none of that name, `free` does it.

use crate::next::behind;
use crate::{entry, record};
use core::ffi::{c_int, c_void};

type Block = *mut c_void;

/// `void free_sized(void *block, size_t size)` of C23.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: Block, size: usize) {
    let behind = behind!(FreeSized as unsafe extern "C" fn(Block, usize));
    // SAFETY: the caller's arguments, passed on; where the allocator does not know sizes, free does it.
    unsafe {
        match behind {
            Some(behind) => {
                record::forget(block.addr() as u64);
                behind(block, size);
            }
            None => entry::free(block),
        }
    }
}

/// `void free_aligned_sized(void *block, size_t alignment, size_t size)` of C23.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: Block, align: usize, size: usize) {
    let behind = behind!(FreeAlignedSized as unsafe extern "C" fn(Block, usize, usize));
    // SAFETY: as for `free_sized`.
    unsafe {
        match behind {
            Some(behind) => {
                record::forget(block.addr() as u64);
                behind(block, align, size);
            }
            None => entry::free(block),
        }
    }
}

/// `void sdallocx(void *block, size_t size, int flags)` of jemalloc and tcmalloc, which frees what `malloc` made, too.
///
/// Of the other functions of that kind none is exported: who asks whether there is a `mallocx` (by a weak
/// symbol, as many do) must not be told so where there is none. Blocks that it made are not known here, and a known
/// one that `rallocx` moved is counted as gone once its place is given out again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(block: Block, size: usize, flags: c_int) {
    let behind = behind!(Sdallocx as unsafe extern "C" fn(Block, usize, c_int));
    // SAFETY: as for `free_sized`.
    unsafe {
        match behind {
            Some(behind) => {
                record::forget(block.addr() as u64);
                behind(block, size, flags);
            }
            None => entry::free(block),
        }
    }
}

/// `void dallocx(void *block, int flags)` of jemalloc; see [`sdallocx`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dallocx(block: Block, flags: c_int) {
    let behind = behind!(Dallocx as unsafe extern "C" fn(Block, c_int));
    // SAFETY: as for `free_sized`.
    unsafe {
        match behind {
            Some(behind) => {
                record::forget(block.addr() as u64);
                behind(block, flags);
            }
            None => entry::free(block),
        }
    }
}
