//! A lock for a few dozen instructions.
//!
//! Nothing that calls into libc, the loader or the allocator may run under it. A holder that lost its
//! processor is waited for with `sched_yield`. A child of `fork` starts with all locks open
//! ([`Lock::replace`]), as their holders are not in it.

use crate::system;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value that one thread at a time may use.
pub(crate) struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` hands the value to one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `work` with the value, after whoever has it.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut turns = 0_u32;
        while self
            .held
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            turns += 1;
            if turns.is_multiple_of(64) {
                system::yield_now();
            }
            core::hint::spin_loop();
        }
        // SAFETY: `held` was false and is ours until the store below, so nobody else has the value;
        // `work` cannot unwind, as panics end nowhere (see the crate's panic handler).
        let result = work(unsafe { &mut *self.value.get() });
        self.held.store(false, Ordering::Release);
        result
    }

    /// Opens the lock, sets the value and gives the one that was, whoever held it.
    ///
    /// # Safety
    /// Only in a new child of `fork`, where no other thread exists yet.
    pub(crate) unsafe fn replace(&self, value: T) -> T {
        // SAFETY: the caller is the only thread.
        let before = unsafe { core::mem::replace(&mut *self.value.get(), value) };
        self.held.store(false, Ordering::Release);
        before
    }
}
