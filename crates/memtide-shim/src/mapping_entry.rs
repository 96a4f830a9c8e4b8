//! The exported functions that map memory; see `entry` for `slot` and `base`.

use crate::mappings;
use crate::next::behind;
use core::arch::naked_asm;
use core::ffi::{c_int, c_void};

type Block = *mut c_void;

/// `void *mmap(void *, size_t, int, int, int, off_t)`.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn mmap(
    place: Block,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> Block {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "lea rax, [rsp + 8]",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "call {here}",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "ret",
        ".cfi_endproc",
        here = sym mmap_here,
    )
}

/// `mmap` by its other name; the same on x86-64.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn mmap64(
    place: Block,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> Block {
    naked_asm!("jmp {mmap}", mmap = sym mmap)
}

unsafe extern "C" fn mmap_here(
    place: Block,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
    slot: u64,
    base: u64,
) -> Block {
    type Behind = unsafe extern "C" fn(Block, usize, c_int, c_int, c_int, i64) -> Block;
    let Some(behind) = behind!(Mmap as Behind) else {
        return core::ptr::without_provenance_mut(usize::MAX);
    };
    // SAFETY: the caller's arguments, passed on.
    let found = unsafe { behind(place, bytes, protection, flags, descriptor, offset) };
    mappings::mapped(found.addr(), bytes, (protection, flags), slot, base);
    found
}

/// `int munmap(void *, size_t)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(place: Block, bytes: usize) -> c_int {
    let Some(behind) = behind!(Munmap as unsafe extern "C" fn(Block, usize) -> c_int) else {
        return -1;
    };
    mappings::unmapped(place.addr(), bytes);
    // SAFETY: the caller's arguments, passed on.
    unsafe { behind(place, bytes) }
}

/// `void *mremap(void *, size_t, size_t, int, ...)`; the fifth argument is passed on whether it was
/// given or not.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn mremap(
    place: Block,
    old_bytes: usize,
    bytes: usize,
    flags: c_int,
    new_place: Block,
) -> Block {
    naked_asm!(
        ".cfi_startproc",
        "mov r9, rsp",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        "call {here}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        here = sym mremap_here,
    )
}

unsafe extern "C" fn mremap_here(
    place: Block,
    old_bytes: usize,
    bytes: usize,
    flags: c_int,
    new_place: Block,
    slot: u64,
    base: u64,
) -> Block {
    type Behind = unsafe extern "C" fn(Block, usize, usize, c_int, Block) -> Block;
    let Some(behind) = behind!(Mremap as Behind) else {
        return core::ptr::without_provenance_mut(usize::MAX);
    };
    // SAFETY: the caller's arguments, passed on.
    let found = unsafe { behind(place, old_bytes, bytes, flags, new_place) };
    mappings::moved(place.addr(), old_bytes, found.addr(), bytes, slot, base);
    found
}
