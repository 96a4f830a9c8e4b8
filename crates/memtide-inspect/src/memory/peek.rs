//! Words here and there: a small cache of pages, for lists and for single headers.
//!
//! Pages that are not present are not read. The number of pages that are brought into the cache is
//! bounded, so that whatever a hostile list points at costs a bounded time.

use super::{Memory, PAGE, PageState, word_at};
use crate::error::Error;

/// Slots of the cache, one page each: 1 MiB in all.
const SLOTS: usize = 256;

/// A cache of pages, found by their number's low bits.
pub(crate) struct Peek<'m> {
    memory: &'m dyn Memory,
    slots: Vec<Slot>,
    budget: u64,
}

struct Slot {
    page: u64,
    is_present: bool,
    bytes: Vec<u8>,
}

/// No page has this number.
const NONE: u64 = u64::MAX;

impl<'m> Peek<'m> {
    /// An empty cache that reads at most `budget` pages.
    pub(crate) fn new(memory: &'m dyn Memory, budget: u64) -> Self {
        let slot = |_| Slot {
            page: NONE,
            is_present: false,
            bytes: Vec::new(),
        };
        Self {
            memory,
            slots: (0..SLOTS).map(slot).collect(),
            budget,
        }
    }

    /// Forgets what was read, so that it is read again.
    pub(crate) fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.page = NONE;
        }
    }

    /// True if no more pages will be read.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.budget == 0
    }

    /// The aligned word at `address`; `None` where its page is not present, or the budget is spent.
    pub(crate) fn word(&mut self, address: u64) -> Result<Option<u64>, Error> {
        let offset = usize::try_from(address % PAGE).unwrap_or(0);
        let page = self.page(address / PAGE)?;
        Ok(page.and_then(|bytes| word_at(bytes, offset)))
    }

    fn page(&mut self, page: u64) -> Result<Option<&[u8]>, Error> {
        let index = usize::try_from(page % SLOTS as u64).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(None);
        };
        if slot.page != page {
            if self.budget == 0 {
                return Ok(None);
            }
            self.budget -= 1;
            slot.page = NONE;
            slot.fill(self.memory, page)?;
        }
        Ok(slot.is_present.then_some(slot.bytes.as_slice()))
    }
}

impl Slot {
    fn fill(&mut self, memory: &dyn Memory, page: u64) -> Result<(), Error> {
        let mut state = [PageState::Absent];
        memory.pages(page, &mut state)?;
        self.is_present = false;
        if state == [PageState::Present] {
            self.bytes.resize(PAGE as usize, 0);
            let read = memory.read(page.saturating_mul(PAGE), &mut self.bytes)?;
            self.is_present = read == self.bytes.len();
        }
        self.page = page;
        Ok(())
    }
}
