//! Where entry `i` of an append-only table lies: segments that double, so that nothing ever moves.
//!
//! Segment `s` of a table whose first segment holds `f` entries holds `f << s`; entry `i` lies in
//! segment `log2(i / f + 1)`. Twenty segments hold a million times the first one.

/// How many segments a table can have.
pub const SEGMENTS: usize = 20;

/// One of the six append-only tables of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Entries of the first segment, a power of two.
    pub first: u32,
    /// Bytes per entry.
    pub entry_bytes: u32,
    /// More entries than this are never written.
    pub most: u32,
}

impl Table {
    /// Stack nodes. The bound keeps ids within the 28 bits that the shim has for them.
    pub const NODES: Self = Self::new(4096, 16, 1 << 24);
    /// Stacks: for each the node of its innermost frame. Only stacks have counters, so these stay dense.
    pub const STACKS: Self = Self::new(4096, 4, 1 << 24);
    /// Modules, in the order in which they were first seen.
    pub const MODULES: Self = Self::new(16, 1024, 1 << 16);
    /// Recorder slots of threads.
    pub const THREADS: Self = Self::new(64, 32, 1 << 16);
    /// The directory of counter pages.
    pub const PAGES: Self = Self::new(256, 16, 1 << 24);

    /// Private memory of the shim.
    pub const RANGES: Self = Self::new(64, 16, 1 << 16);

    const fn new(first: u32, entry_bytes: u32, most: u32) -> Self {
        Self {
            first,
            entry_bytes,
            most,
        }
    }

    /// The segment of entry `index`, and its place within it.
    #[inline]
    pub const fn place(self, index: u32) -> (usize, u32) {
        let shifted = index as u64 + self.first as u64;
        #[expect(
            clippy::manual_ilog2,
            reason = "it would leave a branch that panics in the shim; neither of the two is zero"
        )]
        let segment = (63 - shifted.leading_zeros()) - (31 - self.first.leading_zeros());
        let within = shifted - ((self.first as u64) << segment);
        // Both are below 2^32 because `index` is.
        #[expect(clippy::cast_possible_truncation, reason = "within is below index + 1")]
        (segment as usize, within as u32)
    }

    /// How many entries segment `segment` holds.
    #[inline]
    pub const fn segment_entries(self, segment: usize) -> u64 {
        (self.first as u64) << segment
    }

    /// How many bytes segment `segment` needs.
    #[inline]
    pub const fn segment_bytes(self, segment: usize) -> u64 {
        self.segment_entries(segment) * self.entry_bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_one_another_without_gap_or_overlap() {
        for table in [
            Table::NODES,
            Table::STACKS,
            Table::MODULES,
            Table::THREADS,
            Table::PAGES,
            Table::RANGES,
        ] {
            let mut expected = (0, 0);
            for index in 0..200_000 {
                assert_eq!(table.place(index), expected, "entry {index} of {table:?}");
                expected.1 += 1;
                if u64::from(expected.1) == table.segment_entries(expected.0) {
                    expected = (expected.0 + 1, 0);
                }
            }
            assert!(table.place(table.most - 1).0 < SEGMENTS, "{table:?}");
        }
    }
}
