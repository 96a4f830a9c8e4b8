//! A set of chunks, as one bit per 16 bytes of those mebibytes that hold any.
//!
//! Fastbins may hold millions of chunks: eight bytes for each would be more than the window, a bit
//! map of a fully marked heap is one part in 128 of it.

/// Bytes that one block of bits stands for.
const SPAN: u64 = 1 << 20;
const WORDS: usize = (SPAN / 16 / 64) as usize;

/// Blocks at most: 32 MiB of bits, for 4 GiB of heap that all has marks.
const MOST_BLOCKS: usize = 4096;

type Bits = [u64; WORDS];

/// A set of addresses that are multiples of 16.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    blocks: Vec<(u64, Box<Bits>)>,
    /// The block that was asked for last: neighbours are asked for one after the other.
    last: usize,
}

impl Marks {
    /// True if nothing is marked.
    pub(crate) const fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// True if there is no room for marks in further parts of the memory.
    pub(crate) const fn is_full(&self) -> bool {
        self.blocks.len() >= MOST_BLOCKS
    }

    /// Marks `address`; false if it was marked before, or if there is no room for more.
    pub(crate) fn insert(&mut self, address: u64) -> bool {
        let number = address / SPAN;
        let index = match self.blocks.binary_search_by_key(&number, |block| block.0) {
            Ok(index) => index,
            Err(_) if self.is_full() => return false,
            Err(index) => {
                self.blocks.insert(index, (number, Box::new([0; WORDS])));
                index
            }
        };
        let (word, bit) = place(address);
        let Some(bits) = self
            .blocks
            .get_mut(index)
            .and_then(|block| block.1.get_mut(word))
        else {
            return false;
        };
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    /// True if `address` is marked.
    #[inline]
    pub(crate) fn contains(&mut self, address: u64) -> bool {
        let number = address / SPAN;
        if self
            .blocks
            .get(self.last)
            .is_none_or(|block| block.0 != number)
        {
            match self.blocks.binary_search_by_key(&number, |block| block.0) {
                Ok(index) => self.last = index,
                Err(_) => return false,
            }
        }
        let (word, bit) = place(address);
        let block = self.blocks.get(self.last);
        block.is_some_and(|block| block.1.get(word).is_some_and(|bits| bits & bit != 0))
    }
}

const fn place(address: u64) -> (usize, u64) {
    let slot = address % SPAN / 16;
    ((slot / 64) as usize, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_is_found_and_nothing_else() {
        let mut marks = Marks::default();
        assert!(marks.is_empty());
        let marked = [0x10, 0x20, 0xf_fff0, 0x10_0000, 0x7f12_3456_7890];
        for address in marked {
            assert!(marks.insert(address), "{address:#x} is new");
        }
        assert!(!marks.insert(0x20), "it was marked before");
        for address in (0..0x20_0000)
            .step_by(16)
            .chain([0x7f12_3456_7890, 0x7f12_3456_78a0])
        {
            assert_eq!(
                marks.contains(address),
                marked.contains(&address),
                "{address:#x}"
            );
        }
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut marks = Marks::default();
        let inserted = (0..2 * MOST_BLOCKS as u64).filter(|&block| marks.insert(block * SPAN));
        assert_eq!(inserted.count(), MOST_BLOCKS);
        assert!(marks.is_full());
    }
}
