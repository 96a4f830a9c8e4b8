//! Between the words for call stacks and the rows of the file; what [`crate::cells`] is to samples.
//!
//! Both directions stand side by side, and values are taken apart by pattern, so that a field that is
//! added to the model does not compile here until it has its column.

use memtide_model::{Bytes, CodeModuleId, CodePlace, Lost, Nanos, StackCounters, StackTotals};
use rusqlite::{Result, Row};

/// The columns of [`StackCounters`] in tables `stack` and `stack_rest`.
pub(crate) const COUNTERS: &str = "allocs, bytes, frees, freed, peak_bytes, samples, freed_samples";
/// The columns of [`StackTotals`] in table `stack_total`, but for its time.
pub(crate) const TOTALS: &str =
    "live_bytes, live_blocks, mapping_bytes, peak_bytes, allocs, allocated_bytes";

/// Counters as a row of [`COUNTERS`].
pub(crate) fn of_counters(counters: &StackCounters) -> [i64; 7] {
    let StackCounters {
        allocs,
        bytes,
        frees,
        freed,
        peak_bytes,
        samples,
        freed_samples,
    } = *counters;
    [
        allocs,
        bytes,
        frees,
        freed,
        peak_bytes,
        samples,
        freed_samples,
    ]
    .map(u64::cast_signed)
}

/// Counters of the columns from `first` on.
pub(crate) fn to_counters(row: &Row<'_>, first: usize) -> Result<StackCounters> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    Ok(StackCounters {
        allocs: number(0)?,
        bytes: number(1)?,
        frees: number(2)?,
        freed: number(3)?,
        peak_bytes: number(4)?,
        samples: number(5)?,
        freed_samples: number(6)?,
    })
}

/// Adds to a sum, around the end of the numbers: so that [`subtract`] undoes it whatever it was.
pub(crate) fn add(sum: &mut StackCounters, more: &StackCounters) {
    combine(sum, more, u64::wrapping_add);
}

/// Takes from a sum what was added.
pub(crate) fn subtract(sum: &mut StackCounters, less: &StackCounters) {
    combine(sum, less, u64::wrapping_sub);
}

fn combine(sum: &mut StackCounters, other: &StackCounters, with: fn(u64, u64) -> u64) {
    let StackCounters {
        allocs,
        bytes,
        frees,
        freed,
        peak_bytes,
        samples,
        freed_samples,
    } = *other;
    for (sum, other) in [
        (&mut sum.allocs, allocs),
        (&mut sum.bytes, bytes),
        (&mut sum.frees, frees),
        (&mut sum.freed, freed),
        (&mut sum.peak_bytes, peak_bytes),
        (&mut sum.samples, samples),
        (&mut sum.freed_samples, freed_samples),
    ] {
        *sum = with(*sum, other);
    }
}

/// Totals as a row of [`TOTALS`].
pub(crate) fn of_totals(totals: &StackTotals) -> [i64; 6] {
    let StackTotals {
        at: _,
        live_bytes,
        live_blocks,
        mapping_bytes,
        peak_bytes,
        allocs,
        allocated_bytes,
    } = *totals;
    [
        live_bytes.0,
        live_blocks,
        mapping_bytes.0,
        peak_bytes.0,
        allocs,
        allocated_bytes.0,
    ]
    .map(u64::cast_signed)
}

/// Totals of the columns from `first` on, seen `at`.
pub(crate) fn to_totals(row: &Row<'_>, first: usize, at: Nanos) -> Result<StackTotals> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    Ok(StackTotals {
        at,
        live_bytes: Bytes(number(0)?),
        live_blocks: number(1)?,
        mapping_bytes: Bytes(number(2)?),
        peak_bytes: Bytes(number(3)?),
        allocs: number(4)?,
        allocated_bytes: Bytes(number(5)?),
    })
}

/// What was lost, by name and where it stands. The names are frozen.
pub(crate) fn lost_rows(lost: &mut Lost) -> [(&'static str, &mut u64); 8] {
    let Lost {
        reentered,
        threadless,
        no_room,
        overflow,
        ruleless,
        truncated,
        foreign,
        processes,
    } = lost;
    [
        ("reentered", reentered),
        ("threadless", threadless),
        ("no_room", no_room),
        ("overflow", overflow),
        ("ruleless", ruleless),
        ("truncated", truncated),
        ("foreign", foreign),
        ("processes", processes),
    ]
}

/// All places, for [`to_place`].
pub(crate) const PLACES: &str = "SELECT place, module, address FROM place";

/// A place and the number of its row.
pub(crate) fn to_place(row: &Row<'_>) -> Result<(i64, CodePlace)> {
    let place = CodePlace {
        module: row.get::<_, Option<u32>>(1)?.map(CodeModuleId),
        address: row.get::<_, i64>(2)?.cast_unsigned(),
    };
    Ok((row.get(0)?, place))
}
