//! Arithmetic on counters that other processes wrote: any value may stand there, so everything wraps
//! and is brought into range once, when it is shown.
//!
//! Live blocks and bytes are read as signed numbers and never shown below zero: a free that another
//! thread made may be read before its allocation. What is shown as freed is what is left.

use memtide_model::StackCounters;
use memtide_region::layout::COUNT_SCALE;
use memtide_region::{Counters, Mode};

/// Counters of a stack without its peak; counts of blocks in parts of [`COUNT_SCALE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    allocs: u64,
    bytes: u64,
    frees: u64,
    freed: u64,
    samples: u64,
    freed_samples: u64,
}

/// Blocks that were there when their process ended: never freed, and not there any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abandoned {
    /// In parts of [`COUNT_SCALE`].
    blocks: u64,
    bytes: u64,
}

impl Sums {
    /// What a region of that mode holds.
    pub(crate) fn of_counters(counters: &Counters, mode: Mode) -> Self {
        let scale = match mode {
            Mode::Sampled => 1,
            Mode::Full => COUNT_SCALE,
        };
        Self {
            allocs: counters.allocs.wrapping_mul(scale),
            bytes: counters.bytes,
            frees: counters.frees.wrapping_mul(scale),
            freed: counters.freed,
            samples: counters.samples,
            freed_samples: counters.freed_samples,
        }
    }

    /// Adds what came between `before` and `now`.
    pub(crate) fn advance(&mut self, before: &Self, now: &Self) {
        let step = |sum: &mut u64, before: u64, now: u64| {
            *sum = sum.wrapping_add(now).wrapping_sub(before);
        };
        step(&mut self.allocs, before.allocs, now.allocs);
        step(&mut self.bytes, before.bytes, now.bytes);
        step(&mut self.frees, before.frees, now.frees);
        step(&mut self.freed, before.freed, now.freed);
        step(&mut self.samples, before.samples, now.samples);
        step(
            &mut self.freed_samples,
            before.freed_samples,
            now.freed_samples,
        );
    }

    /// What is live.
    pub(crate) fn live(&self) -> Abandoned {
        Abandoned {
            blocks: not_negative(self.allocs.wrapping_sub(self.frees)),
            bytes: not_negative(self.bytes.wrapping_sub(self.freed)),
        }
    }

    /// As the model counts: whole blocks, nothing below zero. What was abandoned is shown as freed.
    pub(crate) fn shown(&self, abandoned: &Abandoned, peak_bytes: u64) -> StackCounters {
        let live = self.live();
        let blocks = not_negative(live.blocks.wrapping_sub(abandoned.blocks));
        let bytes = not_negative(live.bytes.wrapping_sub(abandoned.bytes));
        let allocs = whole(self.allocs);
        StackCounters {
            allocs,
            bytes: self.bytes,
            frees: allocs.saturating_sub(whole(blocks)),
            freed: self.bytes.saturating_sub(bytes),
            peak_bytes: not_negative(peak_bytes),
            samples: self.samples,
            freed_samples: self.freed_samples.min(self.samples),
        }
    }
}

impl Abandoned {
    pub(crate) fn add(&mut self, more: Self) {
        self.blocks = self.blocks.wrapping_add(more.blocks);
        self.bytes = self.bytes.wrapping_add(more.bytes);
    }

    /// Blocks, rounded, and bytes.
    pub(crate) fn shown(self) -> (u64, u64) {
        (whole(self.blocks), self.bytes)
    }
}

const fn not_negative(number: u64) -> u64 {
    if number.cast_signed() < 0 { 0 } else { number }
}

/// Blocks from parts of them, rounded.
const fn whole(parts: u64) -> u64 {
    parts.saturating_add(COUNT_SCALE / 2) / COUNT_SCALE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(allocs: u64, bytes: u64, frees: u64, freed_bytes: u64) -> Counters {
        Counters {
            allocs,
            bytes,
            frees,
            freed: freed_bytes,
            ..Counters::default()
        }
    }

    #[test]
    fn a_free_that_is_seen_before_its_allocation_is_not_shown() {
        let sums = Sums::of_counters(&counters(3, 300, 4, 450), Mode::Full);
        let shown = sums.shown(&Abandoned::default(), 0);
        assert_eq!((shown.allocs, shown.frees), (3, 3));
        assert_eq!((shown.bytes, shown.freed), (300, 300));
        assert_eq!((shown.live_blocks(), shown.live_bytes()), (0, 0));
    }

    #[test]
    fn estimated_counts_are_rounded_to_blocks() {
        // 2.5 blocks made, 1 freed: 1.5 are live.
        let parts = counters(5 * COUNT_SCALE / 2, 700, COUNT_SCALE, 100);
        let sums = Sums::of_counters(&parts, Mode::Sampled);
        let shown = sums.shown(&Abandoned::default(), 0);
        assert_eq!((shown.allocs, shown.live_blocks()), (3, 2));
        assert_eq!(shown.live_bytes(), 600);
    }

    #[test]
    fn what_ended_with_its_process_is_neither_live_nor_lost_from_the_sums() {
        let ended = Sums::of_counters(&counters(10, 1000, 4, 400), Mode::Full);
        let running = Sums::of_counters(&counters(7, 70, 1, 10), Mode::Full);
        let mut both = Sums::default();
        both.advance(&Sums::default(), &ended);
        both.advance(&Sums::default(), &running);
        let shown = both.shown(&ended.live(), 0);
        assert_eq!((shown.allocs, shown.bytes), (17, 1070));
        assert_eq!((shown.live_blocks(), shown.live_bytes()), (6, 60));
        assert_eq!(ended.live().shown(), (6, 600));
    }

    #[test]
    fn any_numbers_can_be_shown() {
        for value in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1] {
            for other in [0, u64::MAX, 1 << 63] {
                let mut sums = Sums::of_counters(&counters(value, other, other, value), Mode::Full);
                sums.advance(&sums.clone(), &Sums::default());
                let shown = sums.shown(&Abandoned::default(), value);
                assert!(shown.freed <= shown.bytes && shown.frees <= shown.allocs);
            }
        }
    }
}
