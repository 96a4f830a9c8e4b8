//! The exported functions.
//!
//! `malloc`, `free` and the operators are written in assembly: a countdown or a filter, and a jump to
//! the next allocator. Only blocks that are recorded go further. A countdown that reaches zero takes
//! the slow way; in full mode it always is at zero, and the filter always full.
//!
//! The registers `rsp` and `rbp` as the caller had them are where unwinding starts: `slot` is the
//! address of the return address, `base` the value of `rbp`. Operators new may throw, so their frames
//! have unwinding rules of their own and no Rust code is below them when they do.

use crate::next::{self, Function, behind};
use crate::tls::tls;
use crate::{code, operators, record, recorder};
use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

type Block = *mut c_void;

/// The filter that free looks into: a byte for each 64 bytes of address, modulo its size. As it is at
/// first, it lets every block pass.
pub(crate) static FILTER: AtomicPtr<u8> = AtomicPtr::new((&raw const OPEN).cast_mut());
/// The filter's size less one. It is set once, after the filter, which stays where it is from then on.
pub(crate) static FILTER_MASK: AtomicUsize = AtomicUsize::new(0);

/// The functions behind the shim; at first those that look for them.
static MALLOC: AtomicPtr<()> = AtomicPtr::new(first_malloc as *mut ());
static FREE: AtomicPtr<()> = AtomicPtr::new(first_free as *mut ());
/// A filter of one byte that lets all pass.
static OPEN: u8 = 0;
/// A filter of one byte that stops all.
static SHUT: u8 = 255;

/// Every block is looked up, until [`open_filter`]. Only where there is no larger filter: of its two words a
/// thread in `free` may have read one.
pub(crate) fn shut_filter() {
    FILTER.store((&raw const SHUT).cast_mut(), Relaxed);
}

/// Undoes [`shut_filter`], if that was done: every block passes `free` unseen.
pub(crate) fn open_filter() {
    let (shut, open) = (&raw const SHUT, &raw const OPEN);
    // A failure means that it was not.
    let _ = FILTER.compare_exchange(shut.cast_mut(), open.cast_mut(), Relaxed, Relaxed);
}

extern "C" fn no_memory(_: usize) -> Block {
    core::ptr::null_mut()
}

extern "C" fn no_free(_: Block) {}

/// Fills in what the assembly jumps through.
#[cold]
pub(crate) extern "C" fn prepare() {
    next::resolve();
    let or = |function, instead: *mut ()| match next::get(function) {
        0 => instead,
        found => core::ptr::with_exposed_provenance_mut(found),
    };
    FREE.store(or(Function::Free, no_free as *mut ()), Relaxed);
    MALLOC.store(or(Function::Malloc, no_memory as *mut ()), Relaxed);
}

/// Where `malloc` goes before anybody has looked for the allocator.
#[unsafe(naked)]
unsafe extern "C" fn first_malloc() {
    naked_asm!(
        "push rdi",
        "call {prepare}",
        "pop rdi",
        "jmp qword ptr [rip + {malloc}]",
        prepare = sym prepare,
        malloc = sym MALLOC,
    )
}

/// Where `free` goes before anybody has looked for the allocator.
#[unsafe(naked)]
unsafe extern "C" fn first_free() {
    naked_asm!(
        "push rdi",
        "call {prepare}",
        "pop rdi",
        "jmp qword ptr [rip + {free}]",
        prepare = sym prepare,
        free = sym FREE,
    )
}

/// A block was made by the next allocator; gives it back to the assembly. All ways to a record lead
/// through this one function, into which everything that it needs is inlined.
#[inline(never)]
unsafe extern "C" fn made(block: Block, size: usize, slot: u64, base: u64) -> Block {
    record::made(block.addr() as u64, size as u64, slot, base);
    block
}

unsafe extern "C" fn forget(block: Block) {
    record::forget(block.addr() as u64);
}

/// What a function does for which nothing was found: gives no memory, or frees nothing.
pub(crate) fn nothing(makes: bool) -> usize {
    if makes {
        no_memory as *const () as usize
    } else {
        no_free as *const () as usize
    }
}

/// `void *malloc(size_t size)`.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn malloc(size: usize) -> Block {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, qword ptr [rip + mt_tls@GOTTPOFF]",
        "sub qword ptr fs:[rax], rdi",
        "jbe 2f",
        "jmp qword ptr [rip + {malloc}]",
        "2:",
        "sub rsp, 24",
        ".cfi_adjust_cfa_offset 24",
        "mov qword ptr [rsp], rdi",
        "call qword ptr [rip + {malloc}]",
        "mov rdi, rax",
        "mov rsi, qword ptr [rsp]",
        "lea rdx, [rsp + 24]",
        "mov rcx, rbp",
        "call {made}",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "ret",
        ".cfi_endproc",
        malloc = sym MALLOC,
        made = sym made,
    )
}

/// `void free(void *block)`.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn free(block: Block) {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        "shr rax, 6",
        "and rax, qword ptr [rip + {mask}]",
        "add rax, qword ptr [rip + {filter}]",
        "cmp byte ptr [rax], 0",
        "jne 2f",
        "jmp qword ptr [rip + {free}]",
        "2:",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "call {forget}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp qword ptr [rip + {free}]",
        ".cfi_endproc",
        free = sym FREE,
        mask = sym FILTER_MASK,
        filter = sym FILTER,
        forget = sym forget,
    )
}

/// An operator's exported function, which goes where `operators` says, and its counting function.
macro_rules! operator {
    ($index:literal, $name:ident, $counting:ident, $($counting_asm:tt)*) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $counting() {
            naked_asm!($($counting_asm)*)
        }

        /// A C++ operator, by its mangled name.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "mov rax, qword ptr [rip + {slots} + 8 * {index}]",
                "test rax, rax",
                "je 2f",
                "jmp rax",
                "2:",
                "push rdi",
                ".cfi_adjust_cfa_offset 8",
                "push rsi",
                ".cfi_adjust_cfa_offset 8",
                "push rdx",
                ".cfi_adjust_cfa_offset 8",
                "mov edi, {index}",
                "lea rsi, [rip + {counting}]",
                "call {find}",
                "pop rdx",
                ".cfi_adjust_cfa_offset -8",
                "pop rsi",
                ".cfi_adjust_cfa_offset -8",
                "pop rdi",
                ".cfi_adjust_cfa_offset -8",
                "jmp rax",
                ".cfi_endproc",
                slots = sym operators::GOES_ON,
                index = const $index,
                counting = sym $counting,
                find = sym operators::find,
            )
        }
    };
}

macro_rules! operator_new {
    ($($index:literal $name:ident $counting:ident;)*) => {$(
        operator!(
            $index, $name, $counting,
            ".cfi_startproc",
            "mov rax, qword ptr [rip + mt_tls@GOTTPOFF]",
            "sub qword ptr fs:[rax], rdi",
            "jbe 2f",
            "jmp qword ptr [rip + {behind} + 8 * {index}]",
            "2:",
            // It may throw, and would leave the countdown far below zero, which is a large number.
            "add qword ptr fs:[rax], rdi",
            "sub rsp, 24",
            ".cfi_adjust_cfa_offset 24",
            "mov qword ptr [rsp], rdi",
            "call qword ptr [rip + {behind} + 8 * {index}]",
            "mov rdi, rax",
            "mov rsi, qword ptr [rsp]",
            "mov rax, qword ptr [rip + mt_tls@GOTTPOFF]",
            "sub qword ptr fs:[rax], rsi",
            "lea rdx, [rsp + 24]",
            "mov rcx, rbp",
            "call {made}",
            "add rsp, 24",
            ".cfi_adjust_cfa_offset -24",
            "ret",
            ".cfi_endproc",
            behind = sym operators::BEHIND,
            index = const $index,
            made = sym made,
        );
    )*};
}

macro_rules! operator_delete {
    ($($index:literal $name:ident $counting:ident;)*) => {$(
        operator!(
            $index, $name, $counting,
            ".cfi_startproc",
            "mov rax, rdi",
            "shr rax, 6",
            "and rax, qword ptr [rip + {mask}]",
            "add rax, qword ptr [rip + {filter}]",
            "cmp byte ptr [rax], 0",
            "jne 2f",
            "jmp qword ptr [rip + {behind} + 8 * {index}]",
            "2:",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            "call {forget}",
            "pop rdx",
            ".cfi_adjust_cfa_offset -8",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "jmp qword ptr [rip + {behind} + 8 * {index}]",
            ".cfi_endproc",
            mask = sym FILTER_MASK,
            filter = sym FILTER,
            behind = sym operators::BEHIND,
            index = const $index,
            forget = sym forget,
        );
    )*};
}

// In the order of `next::OPERATORS`.
operator_new! {
    0 _Znwm new_0;
    1 _Znam new_1;
    2 _ZnwmRKSt9nothrow_t new_2;
    3 _ZnamRKSt9nothrow_t new_3;
    4 _ZnwmSt11align_val_t new_4;
    5 _ZnamSt11align_val_t new_5;
    6 _ZnwmSt11align_val_tRKSt9nothrow_t new_6;
    7 _ZnamSt11align_val_tRKSt9nothrow_t new_7;
}
operator_delete! {
    8 _ZdlPv delete_8;
    9 _ZdaPv delete_9;
    10 _ZdlPvRKSt9nothrow_t delete_10;
    11 _ZdaPvRKSt9nothrow_t delete_11;
    12 _ZdlPvm delete_12;
    13 _ZdaPvm delete_13;
    14 _ZdlPvSt11align_val_t delete_14;
    15 _ZdaPvSt11align_val_t delete_15;
    16 _ZdlPvSt11align_val_tRKSt9nothrow_t delete_16;
    17 _ZdaPvSt11align_val_tRKSt9nothrow_t delete_17;
    18 _ZdlPvmSt11align_val_t delete_18;
    19 _ZdaPvmSt11align_val_t delete_19;
}

/// An exported function of two arguments that passes `slot` and `base` on as third and fourth.
macro_rules! with_registers_after_two {
    ($($(#[$doc:meta])* $name:ident($a:ty, $b:ty) -> $result:ty => $work:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(a: $a, b: $b) -> $result {
            naked_asm!("mov rdx, rsp", "mov rcx, rbp", "jmp {work}", work = sym $work)
        }
    )*};
}

with_registers_after_two! {
    /// `void *calloc(size_t count, size_t size)`.
    calloc(usize, usize) -> Block => calloc_here;
    /// `void *realloc(void *block, size_t size)`.
    realloc(Block, usize) -> Block => realloc_here;
    /// `void *aligned_alloc(size_t alignment, size_t size)`.
    aligned_alloc(usize, usize) -> Block => aligned_alloc_here;
    /// `void *memalign(size_t alignment, size_t size)`.
    memalign(usize, usize) -> Block => memalign_here;
}

/// An exported function of three arguments that passes `slot` and `base` on as fourth and fifth.
macro_rules! with_registers_after_three {
    ($($(#[$doc:meta])* $name:ident($a:ty, $b:ty, $c:ty) -> $result:ty => $work:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(a: $a, b: $b, c: $c) -> $result {
            naked_asm!("mov rcx, rsp", "mov r8, rbp", "jmp {work}", work = sym $work)
        }
    )*};
}

with_registers_after_three! {
    /// `void *reallocarray(void *block, size_t count, size_t size)`.
    reallocarray(Block, usize, usize) -> Block => reallocarray_here;
    /// `int posix_memalign(void **block, size_t alignment, size_t size)`.
    posix_memalign(*mut Block, usize, usize) -> c_int => posix_memalign_here;
}

/// An exported function of one argument that passes `slot` and `base` on as second and third.
macro_rules! with_registers_after_one {
    ($($(#[$doc:meta])* $name:ident => $work:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(size: usize) -> Block {
            naked_asm!("mov rsi, rsp", "mov rdx, rbp", "jmp {work}", work = sym $work)
        }
    )*};
}

with_registers_after_one! {
    /// `void *valloc(size_t size)`.
    valloc => valloc_here;
    /// `void *pvalloc(size_t size)`.
    pvalloc => pvalloc_here;
}

/// Lowers the countdown; true where the block is to be recorded.
#[inline(always)]
fn is_due(size: usize) -> bool {
    let left = &tls().left;
    let before = left.get().cast_unsigned();
    left.set(before.wrapping_sub(size as u64).cast_signed());
    before <= size as u64
}

#[inline(always)]
fn note(block: Block, size: usize, slot: u64, base: u64) -> Block {
    if is_due(size) {
        // SAFETY: `made` takes any numbers.
        unsafe { made(block, size, slot, base) };
    }
    block
}

type Two = unsafe extern "C" fn(usize, usize) -> Block;
type One = unsafe extern "C" fn(usize) -> Block;

unsafe extern "C" fn calloc_here(count: usize, size: usize, slot: u64, base: u64) -> Block {
    let Some(behind) = behind!(Calloc as Two) else {
        return core::ptr::null_mut();
    };
    // SAFETY: any arguments are calloc's to check.
    let block = unsafe { behind(count, size) };
    note(block, count.wrapping_mul(size), slot, base)
}

unsafe extern "C" fn aligned_alloc_here(align: usize, size: usize, slot: u64, base: u64) -> Block {
    let Some(behind) = behind!(AlignedAlloc as Two) else {
        return core::ptr::null_mut();
    };
    // SAFETY: any arguments are its own to check.
    note(unsafe { behind(align, size) }, size, slot, base)
}

unsafe extern "C" fn memalign_here(align: usize, size: usize, slot: u64, base: u64) -> Block {
    let Some(behind) = behind!(Memalign as Two) else {
        return core::ptr::null_mut();
    };
    // SAFETY: any arguments are its own to check.
    note(unsafe { behind(align, size) }, size, slot, base)
}

unsafe extern "C" fn valloc_here(size: usize, slot: u64, base: u64) -> Block {
    let Some(behind) = behind!(Valloc as One) else {
        return core::ptr::null_mut();
    };
    // SAFETY: any argument is its own to check.
    note(unsafe { behind(size) }, size, slot, base)
}

unsafe extern "C" fn pvalloc_here(size: usize, slot: u64, base: u64) -> Block {
    let Some(behind) = behind!(Pvalloc as One) else {
        return core::ptr::null_mut();
    };
    // SAFETY: any argument is its own to check.
    note(unsafe { behind(size) }, size, slot, base)
}

unsafe extern "C" fn posix_memalign_here(
    place: *mut Block,
    align: usize,
    size: usize,
    slot: u64,
    base: u64,
) -> c_int {
    const ENOMEM: c_int = 12;
    let Some(behind) =
        behind!(PosixMemalign as unsafe extern "C" fn(*mut Block, usize, usize) -> c_int)
    else {
        return ENOMEM;
    };
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { behind(place, align, size) };
    if result == 0 {
        // SAFETY: on success the block is there.
        note(unsafe { place.read() }, size, slot, base);
    }
    result
}

unsafe extern "C" fn realloc_here(old: Block, size: usize, slot: u64, base: u64) -> Block {
    let Some(behind) = behind!(Realloc as unsafe extern "C" fn(Block, usize) -> Block) else {
        return core::ptr::null_mut();
    };
    // The record goes before the block does: once it is freed, another thread may get its address.
    let record = record::take(old.addr() as u64);
    // SAFETY: the caller's arguments, passed on.
    let block = unsafe { behind(old, size) };
    moved(old, block, size, record);
    note(block, size, slot, base)
}

unsafe extern "C" fn reallocarray_here(
    old: Block,
    count: usize,
    size: usize,
    slot: u64,
    base: u64,
) -> Block {
    type Behind = unsafe extern "C" fn(Block, usize, usize) -> Block;
    let Some(bytes) = count.checked_mul(size) else {
        // It fails and sets errno; no libc without it has programs that call it.
        // SAFETY: the caller's arguments, passed on.
        return behind!(ReallocArray as Behind).map_or(core::ptr::null_mut(), |behind| unsafe {
            behind(old, count, size)
        });
    };
    // SAFETY: the caller's block, and a size that did not overflow.
    unsafe { realloc_here(old, bytes, slot, base) }
}

/// What becomes of the old block's record: back where the block is still there, counted otherwise.
#[inline(always)]
fn moved(old: Block, new: Block, size: usize, record: Option<record::Taken>) {
    let Some(record) = record else {
        return;
    };
    // glibc and tcmalloc free a block that is given no bytes, and have nothing to return.
    if new.is_null() && size != 0 {
        record::put_back(old.addr() as u64, record);
    } else {
        record::count_gone(record);
    }
}

/// `size_t malloc_usable_size(void *block)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: Block) -> usize {
    // SAFETY: the caller's argument, passed on.
    behind!(UsableSize as unsafe extern "C" fn(Block) -> usize)
        .map_or(0, |behind| unsafe { behind(block) })
}

/// `int dlclose(void *handle)`: what was known of unloaded code is forgotten.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    let Some(behind) = behind!(Dlclose as unsafe extern "C" fn(*mut c_void) -> c_int) else {
        return -1;
    };
    // SAFETY: the caller's argument, passed on.
    let result = operators::while_closing(|| unsafe { behind(handle) });
    recorder::anyway(tls(), code::forget_rules);
    result
}
