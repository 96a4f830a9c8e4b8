//! The books of a walk: sums by arena, and counts by size of chunk.
//!
//! Plain additions into arrays, for this is done for every chunk.

use memtide_model::{Bytes, SizeClass};

/// Sums over the chunks of one arena. Bytes of chunks, headers included; `resident` ones lie on pages
/// that are present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    pub(crate) live_resident: u64,
    pub(crate) cached_blocks: u64,
    pub(crate) cached_bytes: u64,
    pub(crate) cached_resident: u64,
    pub(crate) free_blocks: u64,
    pub(crate) free_bytes: u64,
    pub(crate) free_resident: u64,
    pub(crate) top_bytes: u64,
    pub(crate) top_resident: u64,
    pub(crate) trimmable: u64,
    pub(crate) stuck: u64,
    /// Not chunks: structures, fenceposts, and `foreign`.
    pub(crate) overhead: u64,
    /// What others took by `sbrk` behind `top`: malloc does not count it in `system_mem` yet, as it
    /// does what lies between its chunks.
    pub(crate) foreign: u64,
    /// Bytes of the regions.
    pub(crate) walked: u64,
    /// Of them present.
    pub(crate) resident: u64,
    /// Of them swapped out.
    pub(crate) swapped: u64,
    /// Of them not understood.
    pub(crate) skipped: u64,
    pub(crate) bad_headers: u64,
    pub(crate) reread: u64,
}

impl Tally {
    /// Adds the sums of another.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.live_blocks += other.live_blocks;
        self.live_bytes += other.live_bytes;
        self.live_resident += other.live_resident;
        self.cached_blocks += other.cached_blocks;
        self.cached_bytes += other.cached_bytes;
        self.cached_resident += other.cached_resident;
        self.free_blocks += other.free_blocks;
        self.free_bytes += other.free_bytes;
        self.free_resident += other.free_resident;
        self.top_bytes += other.top_bytes;
        self.top_resident += other.top_resident;
        self.trimmable += other.trimmable;
        self.stuck += other.stuck;
        self.overhead += other.overhead;
        self.foreign += other.foreign;
        self.walked += other.walked;
        self.resident += other.resident;
        self.swapped += other.swapped;
        self.skipped += other.skipped;
        self.bad_headers += other.bad_headers;
        self.reread += other.reread;
    }
}

/// Counts of one size.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    live_blocks: u64,
    live_bytes: u64,
    free_blocks: u64,
    free_bytes: u64,
}

/// Sizes below this have a row each, one for every 16 bytes; above, eight to a doubling.
const EXACT: u64 = 1024;
const EXACT_ROWS: usize = 64;
const ROWS: usize = EXACT_ROWS + 54 * 8;

/// Counts by size of chunk; the classes are those of [`memtide_model::heap::size_class`].
#[derive(Debug)]
pub(crate) struct Histogram {
    rows: Vec<Row>,
}

impl Histogram {
    /// No chunks.
    pub(crate) fn new() -> Self {
        Self {
            rows: vec![Row::default(); ROWS],
        }
    }

    /// Counts a chunk in use.
    #[inline]
    pub(crate) fn live(&mut self, size: u64) {
        if let Some(row) = self.rows.get_mut(row_of(size)) {
            row.live_blocks += 1;
            row.live_bytes += size;
        }
    }

    /// Counts a chunk that is free or cached.
    #[inline]
    pub(crate) fn free(&mut self, size: u64) {
        if let Some(row) = self.rows.get_mut(row_of(size)) {
            row.free_blocks += 1;
            row.free_bytes += size;
        }
    }

    /// All sizes that occur, ascending.
    pub(crate) fn sizes(&self) -> Vec<SizeClass> {
        let used = self.rows.iter().enumerate();
        let used = used.filter(|(_, row)| row.live_blocks + row.free_blocks > 0);
        used.map(|(index, row)| SizeClass {
            size: size_of(index),
            live_blocks: row.live_blocks,
            live_bytes: Bytes(row.live_bytes),
            free_blocks: row.free_blocks,
            free_bytes: Bytes(row.free_bytes),
        })
        .collect()
    }
}

#[inline]
fn row_of(size: u64) -> usize {
    let row = if size < EXACT {
        size / 16
    } else {
        let doubling = size.ilog2();
        let eighth = size >> (doubling - 3) & 7;
        u64::from(doubling - 10) * 8 + EXACT_ROWS as u64 + eighth
    };
    row as usize
}

const fn size_of(row: usize) -> u64 {
    if row < EXACT_ROWS {
        return row as u64 * 16;
    }
    let row = row - EXACT_ROWS;
    (8 + row as u64 % 8) << (row / 8 + 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::heap::size_class;

    #[test]
    fn rows_are_the_classes_of_the_model() {
        let sizes = (32..5000).step_by(16).chain((12..64).map(|n| 1 << n));
        for size in sizes.chain([!15, (1 << 40) - 16]) {
            assert_eq!(size_of(row_of(size)), size_class(size), "{size}");
        }
    }

    #[test]
    fn what_is_counted_comes_out_again() {
        let mut histogram = Histogram::new();
        for size in [48, 48, 1040, 1024] {
            histogram.live(size);
        }
        histogram.free(48);
        let sizes = histogram.sizes();
        let expected = [(48, 2, 96, 1, 48), (1024, 2, 2064, 0, 0)];
        assert_eq!(sizes.len(), expected.len());
        for (found, expected) in sizes.iter().zip(expected) {
            let found = (
                found.size,
                found.live_blocks,
                found.live_bytes.0,
                found.free_blocks,
                found.free_bytes.0,
            );
            assert_eq!(found, expected);
        }
    }
}
