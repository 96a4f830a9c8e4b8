//! Where each form of operator new and delete goes on.
//!
//! The allocator's own operators allocate by themselves and are counted here. Any other (libstdc++'s, a
//! plug-in's) calls malloc, where the block is counted, and is only passed on to. So are those of the
//! allocator's that turn out to come back through an exported function: jemalloc's aligned ones, in
//! 5.2 all of them. What is passed on to may lie in a library that goes away; it is looked up again then.

use crate::entry;
use crate::next::{self, DELETES, Function, NEWS};
use crate::tls::tls;
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const COUNT: usize = NEWS + DELETES;
/// The forms of operator new that take an alignment; those before take none.
const FIRST_ALIGNED: usize = 4;

/// Where each operator goes on: its function behind the shim, or the counting one; 0 at first.
pub(crate) static GOES_ON: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];
/// Each operator's function behind the shim.
pub(crate) static BEHIND: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];
/// How many libraries are being unloaded: an operator that lies in one of them must not be remembered.
static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// Finds where an operator goes on; `counting` is its function that counts.
#[cold]
pub(crate) unsafe extern "C" fn find(index: usize, counting: usize) -> usize {
    entry::prepare();
    let (found, is_own) = next::operator(index);
    let (Some(slot), Some(behind)) = (GOES_ON.get(index), BEHIND.get(index)) else {
        return entry::nothing(index < NEWS);
    };
    if found == 0 {
        // Who calls it has no C++ runtime; nothing better can be done.
        return entry::nothing(index < NEWS);
    }
    behind.store(found, Relaxed);
    // SAFETY: `found` is the operator of that index.
    let counts = is_own && !(index < NEWS && unsafe { comes_back(found, index) });
    let goes_to = if counts { counting } else { found };
    if is_own || CLOSING.load(Relaxed) == 0 {
        slot.store(goes_to, Relaxed);
    }
    goes_to
}

/// Whether an operator new asks an exported function for its block, which would then be counted twice: it is
/// tried once, and lowers the countdown if it does.
///
/// # Safety
/// `function` is the operator new of that index.
unsafe fn comes_back(function: usize, index: usize) -> bool {
    const BYTES: usize = 64;
    const FAR: i64 = i64::MAX / 2;
    static NOTHROW: u8 = 0;
    let free = next::get(Function::Free);
    if free == 0 {
        return false;
    }
    // Forms without an alignment take the nothrow object second, or nothing.
    let nothrow = (&raw const NOTHROW).addr();
    let second = if index < FIRST_ALIGNED {
        nothrow
    } else {
        BYTES
    };
    let left = &tls().left;
    let before = left.replace(FAR);
    // SAFETY: the operator's signature, with arguments more than some forms take; 64 bytes aligned to 64
    // are what every form can give. The block goes back to where it came from.
    unsafe {
        let function: unsafe extern "C" fn(usize, usize, usize) -> *mut c_void =
            core::mem::transmute(function);
        let free: unsafe extern "C" fn(*mut c_void) = core::mem::transmute(free);
        free(function(BYTES, second, nothrow));
    }
    left.replace(before) != FAR
}

/// Unloads a library by `close`, and has every operator that is only passed on be looked up again.
pub(crate) fn while_closing<R>(close: impl FnOnce() -> R) -> R {
    CLOSING.fetch_add(1, Relaxed);
    forget();
    let result = close();
    // Somebody may have looked one up just before the count was raised.
    forget();
    CLOSING.fetch_sub(1, Relaxed);
    result
}

fn forget() {
    for (slot, behind) in GOES_ON.iter().zip(&BEHIND) {
        if slot.load(Relaxed) == behind.load(Relaxed) {
            slot.store(0, Relaxed);
        }
    }
}
