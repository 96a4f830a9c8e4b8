//! The sums over all mappings, and the classes, as cells.

#[cfg(doc)]
use super::MAPS_TOTAL;
use super::{Cells, bytes, int, number, padded, size};
use memtide_model::{Bytes, ClassTotals, Maps};

/// The sums of smaps as a row of [`MAPS_TOTAL`].
pub(crate) fn of_totals(maps: &Maps) -> Cells {
    padded([
        size(maps.pss),
        size(maps.private_dirty),
        size(maps.lazy_free),
        size(maps.anon_huge),
        size(maps.swap),
        Some(i64::from(maps.rollup_only)),
    ])
}

/// Back to sums; the classes are still to be filled in.
pub(crate) fn to_totals(cells: &Cells) -> Maps {
    let [
        pss,
        private_dirty,
        lazy_free,
        anon_huge,
        swap,
        rollup_only,
        ..,
    ] = *cells;
    Maps {
        pss: bytes(pss),
        private_dirty: bytes(private_dirty),
        lazy_free: bytes(lazy_free),
        anon_huge: bytes(anon_huge),
        swap: bytes(swap),
        rollup_only: rollup_only == Some(1),
        ..Maps::default()
    }
}

/// A class as a row of `class_sample`. What is the same as `rss` is left out: of the heap, which is
/// one anonymous mapping, that are two of the numbers that change at every tick.
pub(crate) fn of_class(class: &ClassTotals) -> Cells {
    let other = |value: Bytes| (value != class.rss).then_some(value).and_then(size);
    padded([
        int(class.count),
        size(class.size),
        size(class.rss),
        other(class.anonymous),
        int(class.grown),
        size(class.max_growth),
        other(class.largest),
    ])
}

/// Back to a class.
pub(crate) fn to_class(cells: &Cells) -> ClassTotals {
    let [count, size, rss, anonymous, grown, max_growth, largest, ..] = *cells;
    ClassTotals {
        count: number(count),
        size: bytes(size),
        rss: bytes(rss),
        anonymous: bytes(anonymous.or(rss)),
        grown: number(grown),
        max_growth: bytes(max_growth),
        largest: bytes(largest.or(rss)),
    }
}
