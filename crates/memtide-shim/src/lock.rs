//! A lock for a few dozen instructions, which nobody waits for without end.
//!
//! Nothing that calls into libc, the loader or the allocator may run under it. A holder that lost its
//! processor is waited for, first with `sched_yield` and then asleep: a thread of a real-time class yields to
//! none but its equals, and must let the holder run. A thread that has the lock already is refused at
//! once: it is in a signal handler that came meanwhile, or left the shim by `siglongjmp` from one. A holder that
//! does not come back within about a second (its thread was cancelled, or ended by a debugger) is given up: until
//! the lock is free again nobody waits any more. Whoever does not get the value counts what is lost by it.
//!
//! A child of `fork` starts with all locks open ([`Lock::replace`]), as their holders are not in it.

use crate::system;
use crate::tls::tls;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

/// Turns without sleep; after every [`TURNS_PER_YIELD`] others may run.
const TURNS: u32 = 4096;
const TURNS_PER_YIELD: u32 = 64;
/// Sleeps of [`SLEEP`] nanoseconds, each of which takes about twice as long.
const SLEEPS: u32 = 10_000;
const SLEEP: u64 = 50_000;

/// A value that one thread at a time may use.
pub(crate) struct Lock<T> {
    /// The address of the holder's [`crate::tls::Tls`]; 0 if nobody has the value.
    holder: AtomicUsize,
    /// Somebody has waited in vain.
    is_given_up: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` hands the value to one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            holder: AtomicUsize::new(0),
            is_given_up: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `work` with the value, after whoever has it; `None` where that would be waited for in vain.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let me = (&raw const *tls()).addr();
        // What keeps signal handlers out of the shim is set before, and reset after.
        compiler_fence(Ordering::SeqCst);
        if !self.is_taken_by(me) && !self.wait(me) {
            return None;
        }
        // SAFETY: the lock is ours until the store below, so nobody else has the value; `work` cannot
        // unwind, as panics do not (see the crate's panic handler).
        let result = work(unsafe { &mut *self.value.get() });
        self.holder.store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        Some(result)
    }

    #[inline]
    fn is_taken_by(&self, me: usize) -> bool {
        self.holder
            .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, me: usize) -> bool {
        for turn in 1..TURNS + SLEEPS {
            if self.holder.load(Ordering::Relaxed) == me || self.is_given_up.load(Ordering::Relaxed)
            {
                return false;
            }
            if turn > TURNS {
                system::sleep(SLEEP);
            } else if turn.is_multiple_of(TURNS_PER_YIELD) {
                system::yield_now();
            } else {
                core::hint::spin_loop();
            }
            if self.is_taken_by(me) {
                self.is_given_up.store(false, Ordering::Relaxed);
                return true;
            }
        }
        self.is_given_up.store(true, Ordering::Relaxed);
        false
    }

    /// Opens the lock, sets the value and gives the one that was, whoever held it.
    ///
    /// # Safety
    /// Only in a new child of `fork`, where no other thread exists yet.
    pub(crate) unsafe fn replace(&self, value: T) -> T {
        // SAFETY: the caller is the only thread.
        let before = unsafe { core::mem::replace(&mut *self.value.get(), value) };
        self.is_given_up.store(false, Ordering::Relaxed);
        self.holder.store(0, Ordering::Release);
        before
    }
}
