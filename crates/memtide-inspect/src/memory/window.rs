//! The bytes around the walk: one buffer that moves along, filled with present pages only.
//!
//! Copying into memory that is used again costs a sixth of copying into fresh memory. A heap of large
//! blocks is hopped over: the window shrinks while the walk jumps beyond it, and grows while the walk
//! goes through it.

use super::{Memory, PAGE, Presence, word_at};
use crate::error::Error;

/// Bytes that are filled at most, and at least.
const LARGEST: u64 = 512 << 10;
const SMALLEST: u64 = 16 << 10;

/// The words of a chunk that the walk looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Size of the chunk before, if that one is free.
    pub(crate) previous_size: u64,
    /// Its own size, and three flags.
    pub(crate) size: u64,
    /// The first two words of what the program, or malloc, keeps in it.
    pub(crate) first: u64,
    /// The second of them.
    pub(crate) second: u64,
}

/// Bytes of a [`Head`].
const HEAD: usize = 32;

/// The buffer.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    base: u64,
    /// Bytes from `base` on at which a head may start, and `HEAD` more.
    filled: u64,
    reach: u64,
}

impl Window {
    /// An empty window.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; LARGEST as usize + HEAD],
            base: 0,
            filled: 0,
            reach: SMALLEST,
        }
    }

    /// Forgets what it holds.
    pub(crate) const fn forget(&mut self) {
        self.filled = 0;
    }

    /// The head at `address`, if it lies inside.
    #[inline]
    pub(crate) fn head(&self, address: u64) -> Option<Head> {
        let offset = address.wrapping_sub(self.base);
        if offset >= self.filled {
            return None;
        }
        let offset = offset as usize;
        let bytes: &[u8; HEAD] = self.bytes.get(offset..offset + HEAD)?.first_chunk()?;
        Some(Head {
            previous_size: word_at(bytes, 0)?,
            size: word_at(bytes, 8)?,
            first: word_at(bytes, 16)?,
            second: word_at(bytes, 24)?,
        })
    }

    /// Moves so that `address` lies inside, of a region that ends at `end`.
    pub(crate) fn move_to(
        &mut self,
        memory: &dyn Memory,
        presence: &mut Presence,
        address: u64,
        end: u64,
    ) -> Result<(), Error> {
        let hop = address.wrapping_sub(self.base + self.filled);
        self.reach = if hop < self.reach {
            (self.reach * 2).min(LARGEST)
        } else {
            (self.reach / 2).max(SMALLEST)
        };
        self.fill(memory, presence, address, end)
    }

    /// Reads the bytes at `address` again, and a few behind them.
    pub(crate) fn reload(
        &mut self,
        memory: &dyn Memory,
        presence: &mut Presence,
        address: u64,
        end: u64,
    ) -> Result<(), Error> {
        self.reach = SMALLEST;
        self.fill(memory, presence, address, end)
    }

    fn fill(
        &mut self,
        memory: &dyn Memory,
        presence: &mut Presence,
        address: u64,
        end: u64,
    ) -> Result<(), Error> {
        self.base = address / PAGE * PAGE;
        let last = end.div_ceil(PAGE).saturating_mul(PAGE);
        let length = last.saturating_sub(self.base).min(self.reach);
        presence.load(memory, self.base + length)?;
        let mut at = self.base;
        let stop = self.base + length;
        while at < stop {
            at = self.fill_run(memory, presence, at, stop)?;
        }
        let length = length as usize;
        if let Some(behind) = self.bytes.get_mut(length..length + HEAD) {
            behind.fill(0);
        }
        // A head that crosses the end is whole only in the next window, unless there is none.
        self.filled = if stop >= last {
            length as u64
        } else {
            (length as u64).saturating_sub(HEAD as u64 - 16)
        };
        Ok(())
    }

    /// Fills from `at` to the end of the pages that are like the one there: present, or not.
    fn fill_run(
        &mut self,
        memory: &dyn Memory,
        presence: &Presence,
        at: u64,
        stop: u64,
    ) -> Result<u64, Error> {
        let is_present = presence.is_present(at);
        let mut to = at + PAGE;
        while to < stop && presence.is_present(to) == is_present {
            to += PAGE;
        }
        let offset = (at - self.base) as usize;
        let length = (to - at) as usize;
        let into = self.bytes.get_mut(offset..offset + length);
        let into = into.unwrap_or_default();
        let mut read = 0;
        if is_present {
            read = memory.read(at, into)?;
        }
        into.get_mut(read..).unwrap_or_default().fill(0);
        Ok(to)
    }
}
