//! A block was made, or goes away: which mode, and whether the process is still the one that started.

use crate::life::{self, Phase};
use crate::tls::tls;
use crate::{full, samples};

/// What was known of a block that may be about to go.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) stack: u32,
    pub(crate) bytes: u64,
}

/// A block was made whose countdown had run out; `slot` and `base` are the caller's (see `entry`).
#[inline(always)]
pub(crate) fn made(block: u64, size: u64, slot: u64, base: u64) {
    let tls = tls();
    match life::current_phase() {
        Phase::Full => full::made(tls, block, size, slot, base),
        Phase::Sampled => samples::made(tls, block, size, slot, base),
        Phase::Off => tls.left.set(i64::MAX),
        // Not yet: the next block asks again.
        Phase::Starting => tls.left.set(0),
    }
}

/// A block is about to be freed.
#[inline(always)]
pub(crate) fn forget(block: u64) {
    match life::current_phase() {
        Phase::Full => full::freed(block),
        Phase::Sampled => samples::freed(block),
        Phase::Off | Phase::Starting => {}
    }
}

/// Takes a block's record out; `None` if it has none.
#[inline(always)]
pub(crate) fn take(block: u64) -> Option<Taken> {
    match life::current_phase() {
        Phase::Full => full::take(block),
        Phase::Sampled => samples::take(block),
        Phase::Off | Phase::Starting => None,
    }
}

/// The block is still there after all.
pub(crate) fn put_back(block: u64, taken: Taken) {
    match life::phase() {
        Phase::Full => full::put_back(block, taken),
        Phase::Sampled => samples::put_back(block, taken),
        Phase::Off | Phase::Starting => {}
    }
}

/// The block is gone.
#[inline(always)]
pub(crate) fn count_gone(taken: Taken) {
    match life::phase() {
        Phase::Full => full::count_gone(taken),
        Phase::Sampled => samples::count_gone(taken),
        Phase::Off | Phase::Starting => {}
    }
}
