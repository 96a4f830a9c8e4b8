//! Which arenas, sizes and classes come first, and what their cells say.

use crate::terminal::table::UNKNOWN;
use memtide_model::report::{ArenaRow, ClassRow, Heap, Report, SizeRow};
use memtide_model::text;

/// From this size on a row of the table of sizes is a class: eight of them to a doubling.
const CLASSES_FROM: u64 = 1024;

/// The arenas with their numbers, from 1, those that grew most first and then those that hold most;
/// none where there is one alone, because the sums say it all.
pub(crate) fn arenas(heap: &Heap) -> Vec<(usize, &ArenaRow)> {
    if heap.arenas.len() < 2 {
        return Vec::new();
    }
    let mut arenas: Vec<_> = heap.arenas.iter().enumerate().collect();
    arenas.sort_by_key(|(_, row)| {
        let growth = row.live_growth_bytes.unwrap_or(0).max(0);
        std::cmp::Reverse((growth, row.resident_bytes))
    });
    let numbered = arenas.into_iter();
    numbered.map(|(index, row)| (index + 1, row)).collect()
}

/// "main arena", "arena 7".
pub(crate) fn arena_name(number: usize, row: &ArenaRow) -> String {
    if row.main {
        "main arena".to_owned()
    } else {
        format!("arena {number}")
    }
}

/// The sum of arenas, for those that are not listed; threads too, because each has one arena.
pub(crate) fn arena_sum<'a>(rows: impl Iterator<Item = &'a ArenaRow>) -> ArenaRow {
    let empty = ArenaRow {
        main: false,
        threads: 0,
        live_bytes: 0,
        free_bytes: 0,
        cached_bytes: 0,
        resident_bytes: 0,
        live_growth_bytes: None,
    };
    rows.fold(empty, |sum, row| ArenaRow {
        main: false,
        threads: sum.threads.saturating_add(row.threads),
        live_bytes: sum.live_bytes.saturating_add(row.live_bytes),
        free_bytes: sum.free_bytes.saturating_add(row.free_bytes),
        cached_bytes: sum.cached_bytes.saturating_add(row.cached_bytes),
        resident_bytes: sum.resident_bytes.saturating_add(row.resident_bytes),
        live_growth_bytes: match (sum.live_growth_bytes, row.live_growth_bytes) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        },
    })
}

/// Sizes, those that grew most first, then those with most bytes in use, then the free ones; and how
/// they are ordered.
pub(crate) fn sizes(heap: &Heap) -> (Vec<&SizeRow>, &'static str) {
    let mut rows: Vec<_> = heap.size_classes.iter().collect();
    let growth = |row: &SizeRow| row.live_growth_bytes.unwrap_or(0).max(0);
    let order = order(rows.iter().any(|row| growth(row) > 0));
    rows.sort_by_key(|row| std::cmp::Reverse((growth(row), row.live_bytes, row.free_bytes)));
    (rows, order)
}

/// "48 B", or "from 1.25 KiB" for a class of sizes.
pub(crate) fn size_name(row: &SizeRow) -> String {
    if row.size < CLASSES_FROM {
        text::bytes(row.size as f64)
    } else {
        format!("from {}", text::bytes(row.size as f64))
    }
}

/// Classes, those that grew most first, then those with most bytes; and how they are ordered. Empty
/// where nobody looked.
pub(crate) fn classes(report: &Report) -> (Vec<&ClassRow>, &'static str) {
    let mut rows: Vec<_> = report.classes.iter().flatten().collect();
    let growth = |row: &ClassRow| row.growth_bytes.unwrap_or(0).max(0);
    let order = order(rows.iter().any(|row| growth(row) > 0));
    rows.sort_by_key(|row| std::cmp::Reverse((growth(row), row.bytes)));
    (rows, order)
}

const fn order(any_grew: bool) -> &'static str {
    if any_grew {
        "by growth"
    } else {
        "by live bytes"
    }
}

/// A growth in bytes as a cell of a table: a dash where there is one snapshot alone.
pub(crate) fn growth_cell(bytes: Option<i64>) -> String {
    bytes.map_or_else(
        || UNKNOWN.to_owned(),
        |bytes| text::signed_bytes(bytes as f64),
    )
}

/// The growth of a count as a cell: "+300", "0", a dash.
pub(crate) fn count_growth(count: Option<i64>) -> String {
    match count {
        None => UNKNOWN.to_owned(),
        Some(0) => "0".to_owned(),
        Some(count) => format!("{count:+}"),
    }
}
