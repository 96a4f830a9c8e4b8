//! Which pages of a region are present, and how many bytes of any part of it are.
//!
//! One bit per page and, per 64 pages, how many are present before them: 48 KiB for a region of
//! 1 GiB, and the resident bytes of a chunk are two additions, whatever its size. The bits are loaded
//! ahead of the walk in blocks, so that they are as fresh as the bytes.

use super::{Memory, PAGE, PageState};
use crate::error::Error;

/// Pages whose states are asked for at a time: few at first, for a region may be short, and twice as many
/// each time, up to 16 MiB of the region.
const FIRST_BLOCK: u64 = 64;
const LARGEST_BLOCK: u64 = 4096;

/// Pages of one word of bits.
const BITS: u64 = 64;

/// The present pages of a region, as far as they are loaded.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Number of the first page.
    first: u64,
    /// Pages of the region.
    count: u64,
    bits: Vec<u64>,
    /// Present pages before each word of bits.
    before: Vec<u32>,
    swapped: u64,
    block: u64,
    states: Vec<PageState>,
}

impl Presence {
    /// Turns to the region from `start` to `end`, of which nothing is known yet.
    pub(crate) fn reset(&mut self, start: u64, end: u64) {
        self.first = start / PAGE;
        self.count = end.div_ceil(PAGE).saturating_sub(self.first);
        self.bits.clear();
        self.before.clear();
        self.swapped = 0;
        self.block = FIRST_BLOCK;
    }

    /// Loads the states of all pages up to the one at `address`, and of some behind it.
    pub(crate) fn load(&mut self, memory: &dyn Memory, address: u64) -> Result<(), Error> {
        let needed = (address / PAGE).saturating_sub(self.first);
        while self.loaded() <= needed && self.loaded() < self.count {
            let block = (self.count - self.loaded()).min(self.block);
            self.block = (self.block * 2).min(LARGEST_BLOCK);
            self.states.clear();
            self.states.resize(block as usize, PageState::Absent);
            memory.pages(self.first + self.loaded(), &mut self.states)?;
            for states in self.states.chunks(BITS as usize) {
                self.before.push(present_until(&self.bits, &self.before));
                self.bits.push(bits_of(states));
            }
            let swapped = self.states.iter().filter(|s| **s == PageState::Swapped);
            self.swapped += swapped.count() as u64;
        }
        Ok(())
    }

    /// Loads all of it.
    pub(crate) fn load_all(&mut self, memory: &dyn Memory) -> Result<(), Error> {
        self.load(memory, (self.first + self.count).saturating_mul(PAGE))
    }

    /// Asks again for the 512 pages or so around `address`: the process is at work there.
    pub(crate) fn refresh(&mut self, memory: &dyn Memory, address: u64) -> Result<(), Error> {
        let page = (address / PAGE).saturating_sub(self.first);
        let word = usize::try_from(page / BITS).unwrap_or(usize::MAX);
        let Some(bits) = self.bits.get_mut(word..) else {
            return Ok(());
        };
        let words = bits.len().min(8);
        let pages = (words as u64 * BITS).min(self.count.saturating_sub(word as u64 * BITS));
        self.states.clear();
        self.states
            .resize(usize::try_from(pages).unwrap_or(0), PageState::Absent);
        memory.pages(self.first + word as u64 * BITS, &mut self.states)?;
        for (bits, states) in bits.iter_mut().zip(self.states.chunks(BITS as usize)) {
            *bits = bits_of(states);
        }
        // The counts behind a changed word are wrong now.
        for index in word..self.before.len() {
            let value = present_until(
                self.bits.get(..index).unwrap_or_default(),
                self.before.get(..index).unwrap_or_default(),
            );
            if let Some(before) = self.before.get_mut(index) {
                *before = value;
            }
        }
        Ok(())
    }

    /// Pages whose states are known, from the first on.
    fn loaded(&self) -> u64 {
        (self.bits.len() as u64 * BITS).min(self.count)
    }

    /// True if the page at `address` is known to be present.
    #[inline]
    pub(crate) fn is_present(&self, address: u64) -> bool {
        let page = (address / PAGE).wrapping_sub(self.first);
        let word = self.bits.get((page / BITS) as usize).copied();
        word.unwrap_or(0) >> (page % BITS) & 1 == 1
    }

    /// Present bytes from the start of the region's first page to the start of the page at `address`.
    #[inline]
    pub(crate) fn before_page(&self, address: u64) -> u64 {
        let page = (address / PAGE).saturating_sub(self.first);
        let word = (page / BITS) as usize;
        let (Some(&bits), Some(&before)) = (self.bits.get(word), self.before.get(word)) else {
            return u64::from(present_until(&self.bits, &self.before)) * PAGE;
        };
        let below = bits & ((1 << (page % BITS)) - 1);
        (u64::from(before) + u64::from(below.count_ones())) * PAGE
    }

    /// Present bytes from the start of the region's first page to `address`, as far as they are known.
    pub(crate) fn before(&self, address: u64) -> u64 {
        let partial = if self.is_present(address) {
            address % PAGE
        } else {
            0
        };
        self.before_page(address) + partial
    }

    /// Present bytes between two addresses, as far as they are known.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        self.before(to).saturating_sub(self.before(from))
    }

    /// The start of the first page at or behind `address` that is present, as far as is known.
    pub(crate) fn next_present(&self, address: u64) -> Option<u64> {
        let page = (address.div_ceil(PAGE)).saturating_sub(self.first);
        let mut word = usize::try_from(page / BITS).ok()?;
        let mut bits = self.bits.get(word)? & (u64::MAX << (page % BITS));
        while bits == 0 {
            word += 1;
            bits = *self.bits.get(word)?;
        }
        let found = word as u64 * BITS + u64::from(bits.trailing_zeros());
        Some((self.first + found) * PAGE)
    }

    /// Bytes that were seen to be swapped out.
    pub(crate) const fn swapped(&self) -> u64 {
        self.swapped * PAGE
    }
}

fn bits_of(states: &[PageState]) -> u64 {
    states.iter().enumerate().fold(0, |bits, (index, state)| {
        bits | u64::from(*state == PageState::Present) << index
    })
}

fn present_until(bits: &[u64], before: &[u32]) -> u32 {
    let (bits, before) = (bits.last().copied(), before.last().copied());
    before.unwrap_or(0) + bits.unwrap_or(0).count_ones()
}
