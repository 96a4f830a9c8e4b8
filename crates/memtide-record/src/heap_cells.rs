//! Between the words for the malloc heap and the rows of the file; what [`crate::cells`] is to samples.
//!
//! Both directions stand side by side, and values are taken apart by pattern, so that a field that is
//! added to the model does not compile here until it has its column. The numbers at the top are how
//! much of one snapshot a file holds; they hold for readers, too, whatever a file promises.

use memtide_model::{
    ArenaTotals, Bytes, EndedThreads, HeapClass, HeapQuality, HeapSnapshot, HeapTotals, Nanos,
    SizeClass,
};
use rusqlite::types::Value;
use rusqlite::{Result, Row};

/// Snapshots that a recording holds; with one more it is thinned.
pub(crate) const SNAPSHOTS: usize = 512;
/// Arenas of one snapshot, with the sum of those that are left out.
pub(crate) const ARENAS: usize = 64;
/// Classes of sizes of one snapshot.
pub(crate) const SIZES: usize = 128;
/// Classes of objects of one snapshot.
pub(crate) const CLASSES: usize = 256;
/// Sentences of doubt about one snapshot.
pub(crate) const DOUBTS: usize = 16;
/// Bytes of one text; of a longer name its beginning is kept. A target chooses its names.
pub(crate) const TEXT: usize = 4_096;

/// The columns of [`HeapTotals`] in table `heap_snapshot`.
const TOTALS: &str = "live_blocks, live_bytes, live_resident, mmapped_blocks, mmapped_bytes,
  mmapped_resident, cached_blocks, cached_bytes, cached_resident, free_blocks, free_bytes,
  free_resident, top_bytes, top_resident, trimmable, stuck, overhead_bytes, heap_resident, swapped";
/// How many there are.
const TOTALS_LENGTH: usize = 19;
/// The columns of [`HeapQuality`] there, but for its doubts.
const QUALITY: &str = "parsed, skipped, bad_headers, reread, system_bytes, walked_bytes,
  mmaps_counted, mmaps_found";
/// How many there are.
const QUALITY_LENGTH: usize = 8;
/// The other columns there, but for the key.
const FACTS: &str = "boottime_ns, took_ns, cpu_ns, held_ns, rss, layout, untested, doubts";
/// How many there are.
const FACTS_LENGTH: usize = 8;
/// All columns of `heap_snapshot` but for the key.
pub(crate) const SNAPSHOT_LENGTH: usize = FACTS_LENGTH + TOTALS_LENGTH + QUALITY_LENGTH;

/// The columns of table `heap_snapshot`, but for the key, in the order of [`of_snapshot`].
pub(crate) fn snapshot_columns() -> String {
    format!("{FACTS}, {TOTALS}, {QUALITY}")
}

/// A snapshot without its lists as a row of [`snapshot_columns`].
pub(crate) fn of_snapshot(snapshot: &HeapSnapshot) -> Result<Vec<Value>> {
    let HeapSnapshot {
        at,
        took,
        cpu,
        held,
        rss,
        layout,
        is_untested,
        totals,
        quality,
        arenas: _,
        sizes: _,
        classes: _,
        ended_threads: _,
    } = snapshot;
    let number = |value: u64| Value::Integer(value.cast_signed());
    let facts = [
        number(at.0),
        number(took.0),
        number(cpu.0),
        held.map_or(Value::Null, |held| number(held.0)),
        number(rss.0),
        Value::Text(cut(layout).to_owned()),
        Value::Integer(i64::from(*is_untested)),
        of_doubts(&quality.doubts)?,
    ];
    let totals = of_totals(totals).map(Value::Integer);
    let quality = of_quality(quality).map(|cell| cell.map_or(Value::Null, Value::Integer));
    Ok(facts.into_iter().chain(totals).chain(quality).collect())
}

/// A snapshot without its lists of the columns from `first` on.
pub(crate) fn to_snapshot(row: &Row<'_>, first: usize) -> Result<HeapSnapshot> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    let held: Option<i64> = row.get(first + 3)?;
    let totals = first + FACTS_LENGTH;
    let mut quality = to_quality(row, totals + TOTALS_LENGTH)?;
    quality.doubts = to_doubts(row, first + 7)?;
    Ok(HeapSnapshot {
        at: Nanos(number(0)?),
        took: Nanos(number(1)?),
        cpu: Nanos(number(2)?),
        held: held.map(|held| Nanos(held.cast_unsigned())),
        rss: Bytes(number(4)?),
        layout: to_text(row, first + 5)?,
        is_untested: row.get(first + 6)?,
        totals: to_totals(row, totals)?,
        quality,
        ..HeapSnapshot::default()
    })
}

/// The columns of table `ended_threads`, but for the key.
pub(crate) const ENDED: &str = "count, stack_bytes, stack_resident, alive";

/// Ended threads as a row of [`ENDED`].
pub(crate) fn of_ended(ended: &EndedThreads) -> [i64; 4] {
    let EndedThreads {
        count,
        stack_bytes,
        stack_resident,
        alive,
    } = *ended;
    [count, stack_bytes.0, stack_resident.0, alive].map(u64::cast_signed)
}

/// Back to ended threads, of the columns from `first` on.
pub(crate) fn to_ended(row: &Row<'_>, first: usize) -> Result<EndedThreads> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    Ok(EndedThreads {
        count: number(0)?,
        stack_bytes: Bytes(number(1)?),
        stack_resident: Bytes(number(2)?),
        alive: number(3)?,
    })
}

/// A list of sentences as JSON; nothing for none.
fn of_doubts(doubts: &[String]) -> Result<Value> {
    if doubts.is_empty() {
        return Ok(Value::Null);
    }
    let doubts: Vec<&str> = doubts.iter().take(DOUBTS).map(|doubt| cut(doubt)).collect();
    serde_json::to_string(&doubts)
        .map(Value::Text)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// What is no list of sentences is an error: a snapshot must not lose its doubts unnoticed.
fn to_doubts(row: &Row<'_>, column: usize) -> Result<Vec<String>> {
    let Some(json) = row.get::<_, Option<String>>(column)? else {
        return Ok(Vec::new());
    };
    let doubts: Vec<String> = serde_json::from_str(&json).map_err(|error| {
        let text = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, text, Box::new(error))
    })?;
    let doubts = doubts.iter().take(DOUBTS);
    Ok(doubts.map(|doubt| cut(doubt).to_owned()).collect())
}

fn of_totals(totals: &HeapTotals) -> [i64; TOTALS_LENGTH] {
    let HeapTotals {
        live_blocks,
        live_bytes,
        live_resident,
        mmapped_blocks,
        mmapped_bytes,
        mmapped_resident,
        cached_blocks,
        cached_bytes,
        cached_resident,
        free_blocks,
        free_bytes,
        free_resident,
        top_bytes,
        top_resident,
        trimmable,
        stuck,
        overhead_bytes,
        heap_resident,
        swapped,
    } = *totals;
    [
        live_blocks,
        live_bytes.0,
        live_resident.0,
        mmapped_blocks,
        mmapped_bytes.0,
        mmapped_resident.0,
        cached_blocks,
        cached_bytes.0,
        cached_resident.0,
        free_blocks,
        free_bytes.0,
        free_resident.0,
        top_bytes.0,
        top_resident.0,
        trimmable.0,
        stuck.0,
        overhead_bytes.0,
        heap_resident.0,
        swapped.0,
    ]
    .map(u64::cast_signed)
}

fn to_totals(row: &Row<'_>, first: usize) -> Result<HeapTotals> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    let bytes = |offset| number(offset).map(Bytes);
    Ok(HeapTotals {
        live_blocks: number(0)?,
        live_bytes: bytes(1)?,
        live_resident: bytes(2)?,
        mmapped_blocks: number(3)?,
        mmapped_bytes: bytes(4)?,
        mmapped_resident: bytes(5)?,
        cached_blocks: number(6)?,
        cached_bytes: bytes(7)?,
        cached_resident: bytes(8)?,
        free_blocks: number(9)?,
        free_bytes: bytes(10)?,
        free_resident: bytes(11)?,
        top_bytes: bytes(12)?,
        top_resident: bytes(13)?,
        trimmable: bytes(14)?,
        stuck: bytes(15)?,
        overhead_bytes: bytes(16)?,
        heap_resident: bytes(17)?,
        swapped: bytes(18)?,
    })
}

fn of_quality(quality: &HeapQuality) -> [Option<i64>; QUALITY_LENGTH] {
    let HeapQuality {
        parsed,
        skipped,
        bad_headers,
        reread,
        arena_bytes,
        mmapped,
        doubts: _,
    } = quality;
    [
        Some(parsed.0),
        Some(skipped.0),
        Some(*bad_headers),
        Some(*reread),
        arena_bytes.map(|(system, _)| system.0),
        arena_bytes.map(|(_, walked)| walked.0),
        mmapped.map(|(counted, _)| counted),
        mmapped.map(|(_, found)| found),
    ]
    .map(|cell| cell.map(u64::cast_signed))
}

/// All but the doubts.
fn to_quality(row: &Row<'_>, first: usize) -> Result<HeapQuality> {
    let maybe = |offset| -> Result<Option<u64>> {
        Ok(row
            .get::<_, Option<i64>>(first + offset)?
            .map(i64::cast_unsigned))
    };
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    let arena_bytes = maybe(4)?.zip(maybe(5)?);
    Ok(HeapQuality {
        parsed: Bytes(number(0)?),
        skipped: Bytes(number(1)?),
        bad_headers: number(2)?,
        reread: number(3)?,
        arena_bytes: arena_bytes.map(|(system, walked)| (Bytes(system), Bytes(walked))),
        mmapped: maybe(6)?.zip(maybe(7)?),
        doubts: Vec::new(),
    })
}

/// The columns of table `heap_arena`, but for the key.
pub(crate) const ARENA: &str = "address, main, threads, system_bytes, live_blocks, live_bytes,
  cached_bytes, free_bytes, resident";

/// An arena as a row of [`ARENA`].
pub(crate) fn of_arena(arena: &ArenaTotals) -> [i64; 9] {
    let ArenaTotals {
        address,
        is_main,
        threads,
        system_bytes,
        live_blocks,
        live_bytes,
        cached_bytes,
        free_bytes,
        resident,
    } = *arena;
    [
        address,
        u64::from(is_main),
        threads,
        system_bytes.0,
        live_blocks,
        live_bytes.0,
        cached_bytes.0,
        free_bytes.0,
        resident.0,
    ]
    .map(u64::cast_signed)
}

/// An arena of the columns from `first` on.
pub(crate) fn to_arena(row: &Row<'_>, first: usize) -> Result<ArenaTotals> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    let bytes = |offset| number(offset).map(Bytes);
    Ok(ArenaTotals {
        address: number(0)?,
        is_main: row.get(first + 1)?,
        threads: number(2)?,
        system_bytes: bytes(3)?,
        live_blocks: number(4)?,
        live_bytes: bytes(5)?,
        cached_bytes: bytes(6)?,
        free_bytes: bytes(7)?,
        resident: bytes(8)?,
    })
}

/// Adds an arena to the sum of those that have no row of their own.
pub(crate) fn add_arena(sum: &mut ArenaTotals, more: &ArenaTotals) {
    let ArenaTotals {
        address: _,
        is_main: _,
        threads,
        system_bytes,
        live_blocks,
        live_bytes,
        cached_bytes,
        free_bytes,
        resident,
    } = *more;
    for (sum, more) in [
        (&mut sum.threads, threads),
        (&mut sum.system_bytes.0, system_bytes.0),
        (&mut sum.live_blocks, live_blocks),
        (&mut sum.live_bytes.0, live_bytes.0),
        (&mut sum.cached_bytes.0, cached_bytes.0),
        (&mut sum.free_bytes.0, free_bytes.0),
        (&mut sum.resident.0, resident.0),
    ] {
        *sum = sum.saturating_add(more);
    }
}

/// The columns of table `heap_size`, but for the key.
pub(crate) const SIZE: &str = "size, live_blocks, live_bytes, free_blocks, free_bytes";

/// A class of sizes as a row of [`SIZE`].
pub(crate) fn of_size(class: &SizeClass) -> [i64; 5] {
    let SizeClass {
        size,
        live_blocks,
        live_bytes,
        free_blocks,
        free_bytes,
    } = *class;
    [size, live_blocks, live_bytes.0, free_blocks, free_bytes.0].map(u64::cast_signed)
}

/// A class of sizes of the columns from `first` on.
pub(crate) fn to_size(row: &Row<'_>, first: usize) -> Result<SizeClass> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    Ok(SizeClass {
        size: number(0)?,
        live_blocks: number(1)?,
        live_bytes: Bytes(number(2)?),
        free_blocks: number(3)?,
        free_bytes: Bytes(number(4)?),
    })
}

/// The columns of table `heap_class`, but for the key; `name` is a row of `heap_text`.
pub(crate) const CLASS: &str = "name, runtime, count, bytes";

/// A class as a row of [`CLASS`], with the row of its name.
pub(crate) fn of_class(class: &HeapClass, text: i64) -> [Value; 4] {
    let HeapClass {
        name: _,
        runtime,
        count,
        bytes,
    } = class;
    [
        Value::Integer(text),
        Value::Text(cut(runtime).to_owned()),
        Value::Integer(count.cast_signed()),
        Value::Integer(bytes.0.cast_signed()),
    ]
}

/// A class of the columns from `first` on, where the name itself stands in the place of its row.
pub(crate) fn to_class(row: &Row<'_>, first: usize) -> Result<HeapClass> {
    let number = |offset| row.get(first + offset).map(i64::cast_unsigned);
    Ok(HeapClass {
        name: to_text(row, first)?,
        runtime: to_text(row, first + 1)?,
        count: number(2)?,
        bytes: Bytes(number(3)?),
    })
}

/// A text no longer than one that is written.
pub(crate) fn to_text(row: &Row<'_>, column: usize) -> Result<String> {
    let text: String = row.get(column)?;
    Ok(cut(&text).to_owned())
}

/// The beginning of a text that is too long.
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(cut("shop::Cart"), "shop::Cart");
        assert_eq!(cut(&"x".repeat(TEXT + 1)).len(), TEXT);
        // Three bytes each: 4,096 is one more than a multiple of three.
        assert_eq!(cut(&"€".repeat(2_000)).len(), TEXT - 1);
    }
}
