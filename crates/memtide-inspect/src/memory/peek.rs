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
    groups: Vec<Group>,
    budget: u64,
}

/// Which of 64 pages side by side are present: one question for all of them costs no more.
#[derive(Clone, Copy)]
struct Group {
    number: u64,
    present: u64,
}

/// Groups that are kept.
const GROUPS: u64 = 256;

/// Pages of a group.
const GROUP: u64 = 64;

struct Slot {
    page: u64,
    is_present: bool,
    bytes: Vec<u8>,
}

/// No page, and no group, has this number.
const NONE: u64 = u64::MAX;
const NO_GROUP: Group = Group {
    number: NONE,
    present: 0,
};

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
            groups: vec![NO_GROUP; GROUPS as usize],
            budget,
        }
    }

    /// Forgets what was read, so that it is read again.
    pub(crate) fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.page = NONE;
        }
        self.groups.fill(NO_GROUP);
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
        let index = (page % SLOTS as u64) as usize;
        if self.slots.get(index).is_none_or(|slot| slot.page != page) {
            if self.budget == 0 {
                return Ok(None);
            }
            self.budget -= 1;
            let is_present = self.is_present(page)?;
            if let Some(slot) = self.slots.get_mut(index) {
                slot.page = NONE;
                slot.fill(self.memory, page, is_present)?;
            }
        }
        let Some(slot) = self.slots.get(index) else {
            return Ok(None);
        };
        Ok(slot.is_present.then_some(slot.bytes.as_slice()))
    }

    fn is_present(&mut self, page: u64) -> Result<bool, Error> {
        let number = page / GROUP;
        let Some(group) = self.groups.get_mut((number % GROUPS) as usize) else {
            return Ok(false);
        };
        if group.number != number {
            let mut states = [PageState::Absent; GROUP as usize];
            *group = NO_GROUP;
            self.memory.pages(number * GROUP, &mut states)?;
            let present = states.iter().enumerate().fold(0, |bits, (index, state)| {
                bits | u64::from(*state == PageState::Present) << index
            });
            *group = Group { number, present };
        }
        Ok(group.present >> (page % GROUP) & 1 == 1)
    }
}

impl Slot {
    fn fill(&mut self, memory: &dyn Memory, page: u64, is_present: bool) -> Result<(), Error> {
        self.is_present = false;
        if is_present {
            self.bytes.resize(PAGE as usize, 0);
            let read = memory.read(page.saturating_mul(PAGE), &mut self.bytes)?;
            self.is_present = read == self.bytes.len();
        }
        self.page = page;
        Ok(())
    }
}
