//! Thread-local state of the hot paths, found with one load.
//!
//! Stable Rust has no initial-exec model, and the general one calls `__tls_get_addr`, which may
//! allocate. So the object is defined in assembly and its offset read from the GOT.

use crate::recorder::Recorder;
use core::arch::{asm, global_asm};
use core::cell::Cell;

global_asm!(
    ".pushsection .tbss.mt_tls,\"awT\",@nobits",
    ".p2align 6",
    ".hidden mt_tls",
    ".globl mt_tls",
    ".type mt_tls,@object",
    ".size mt_tls,64",
    "mt_tls:",
    ".zero 64",
    ".popsection",
);

/// What a thread has; all zero at its start. The entries know that `left` comes first.
#[repr(C)]
pub(crate) struct Tls {
    /// Bytes until the next sample; at or below zero every block takes the slow path.
    pub(crate) left: Cell<i64>,
    /// Its recorder; null before its first block and after its end.
    pub(crate) recorder: Cell<*mut Recorder>,
    /// How often its recorder was given back: destructors of other keys may allocate again.
    pub(crate) ended: Cell<u32>,
    /// Greater than zero while the thread is inside of the shim.
    pub(crate) busy: Cell<u32>,
}

/// The calling thread's.
#[inline(always)]
pub(crate) fn tls() -> &'static Tls {
    let place: *const Tls;
    // SAFETY: reads the thread pointer and a constant of the loader's.
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + mt_tls@GOTTPOFF]",
            "add {0}, qword ptr fs:[0]",
            out(reg) place,
            options(pure, nomem, nostack),
        );
    }
    // SAFETY: 64 zeroed bytes per thread, which only that thread uses, all through cells. `'static`
    // is too long, but no reference outlives the call that the thread is in.
    unsafe { &*place }
}

/// The thread pointer: with glibc the upper end of a thread's stack lies right below it.
pub(crate) fn thread_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: the ABI keeps the thread pointer's own value at `fs:0`.
    unsafe {
        asm!("mov {0}, qword ptr fs:[0]", out(reg) pointer, options(pure, nomem, nostack));
    }
    pointer
}
