//! Compiles unwinding rules, away from the program.
//!
//! On a stack of the shim's own with all signals blocked: the program's may be a few KiB, and the compiler
//! needs several. The compiler (gimli) is the only part of the shim that can panic, on tables that nobody has
//! thought of. A panic leaves that stack as if the compiler had returned, and the address has no rule: nothing of
//! the compiler's needs to be cleaned up, as it owns no memory and takes no lock.

use crate::lock::Lock;
use crate::{memory, system};
use core::arch::naked_asm;
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use memtide_unwind::{EhFrameSections, Rule, compile};

const STACK_BYTES: usize = 128 << 10;

/// The upper end of the stack on which rules are compiled; 0 if there is none.
static STACK: Lock<usize> = Lock::new(0);
/// Where the stack of the thread that compiles was left, while it does: the words of [`on_stack`].
static LEFT_AT: AtomicUsize = AtomicUsize::new(0);
/// The upper end of the stack that it went to.
static WENT_TO: AtomicUsize = AtomicUsize::new(0);

/// What is handed over to the other stack.
struct Work<'a> {
    sections: &'a EhFrameSections<'static>,
    address: u64,
    rule: Rule,
}

/// Maps the stack.
pub(crate) fn prepare() -> bool {
    let Some(stack) = memory::map(STACK_BYTES) else {
        return false;
    };
    let top = stack.expose_provenance() + STACK_BYTES;
    STACK.with(|stack| *stack = top).is_some()
}

/// Compiles the rule of a return address; `None` where the stack cannot be had.
pub(crate) fn rule(sections: &EhFrameSections<'static>, address: u64) -> Option<Rule> {
    let mut work = Work {
        sections,
        address,
        rule: Rule::UNKNOWN,
    };
    let signals = system::block_signals();
    let compiled = STACK.with(|stack| {
        if *stack != 0 {
            WENT_TO.store(*stack, Relaxed);
            let top = core::ptr::with_exposed_provenance_mut(*stack);
            // SAFETY: the stack is the shim's and nobody else's while the lock is held, no signal
            // handler runs on it, and `compile_here` returns, or is left by `escape`.
            unsafe { on_stack(top, compile_here, (&raw mut work).cast()) };
            WENT_TO.store(0, Relaxed);
        }
    });
    system::restore_signals(signals);
    compiled.map(|()| work.rule)
}

unsafe extern "C" fn compile_here(work: *mut c_void) {
    // SAFETY: `rule` passes its own work, and waits.
    let work = unsafe { &mut *work.cast::<Work<'_>>() };
    #[cfg(feature = "check-panics")]
    assert!(!work.address.is_multiple_of(3), "as the tests want it");
    work.rule = compile(work.sections, work.address);
}

/// Calls `work` with `data` on the stack that ends at `top`, which is aligned to 16.
#[unsafe(naked)]
unsafe extern "C" fn on_stack(
    top: *mut u8,
    work: unsafe extern "C" fn(*mut c_void),
    data: *mut c_void,
) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov qword ptr [rip + {left_at}], rsp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "jmp {back}",
        left_at = sym LEFT_AT,
        back = sym back,
    )
}

/// The end of [`on_stack`], from wherever on its stack.
#[unsafe(naked)]
unsafe extern "C" fn back() -> ! {
    naked_asm!(
        "mov rsp, qword ptr [rip + {left_at}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        left_at = sym LEFT_AT,
    )
}

/// Leaves the compiler from within it. Returns where the caller is not in it.
pub(crate) fn escape() {
    let here = 0_u8;
    let (here, top) = ((&raw const here).addr(), WENT_TO.load(Relaxed));
    if (top.wrapping_sub(STACK_BYTES)..top).contains(&here) {
        // SAFETY: the thread is on the compiler's stack, so `on_stack` waits for it; see the module
        // for what is left behind.
        unsafe { back() }
    }
}

/// Forgets the stack.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    // SAFETY: the caller's promise.
    unsafe { STACK.replace(0) };
}
