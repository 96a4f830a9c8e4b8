//! The rows of the report about the malloc heap: its sums, arenas, sizes of chunks, classes, and how
//! they grew from the first look to the last.
//!
//! The heap is that of the last conclusive snapshot since the last exec; of the last at all where none
//! was conclusive, marked so. A recording keeps the lists (arenas, sizes, classes) of the first snapshot
//! and of the newest, each list for itself, so each is compared between the first and the last snapshot
//! that have it. What is missing in the first was not there: it grew from nothing.

use crate::snapshots::{conclusive, of_program};
use core::cmp::Reverse;
use memtide_model::report::{ArenaRow, ClassRow, Heap, SizeRow};
use memtide_model::{ArenaTotals, HeapClass, HeapSnapshot, Nanos, Observations, SizeClass};

/// Rows of a list at most.
const MOST_ROWS: usize = 64;

/// The heap, where anybody looked.
pub(crate) fn heap(observations: &Observations) -> Option<Heap> {
    let shown = shown(observations);
    let (first, last) = (*shown.first()?, *shown.last()?);
    let several = shown.len() > 1;
    let (totals, before) = (&last.totals, &first.totals);
    let grown =
        |value: fn(&HeapSnapshot) -> u64| several.then(|| growth(value(first), value(last)));
    Some(Heap {
        t_seconds: last.at.seconds_since(observations.recording.started),
        snapshots: of_program(observations).len() as u64,
        layout: last.layout.clone(),
        untested_layout: last.is_untested,
        held_seconds: last.held.map(Nanos::as_secs_f64),
        cost_cpu_seconds: cost(observations),
        rss_bytes: last.rss.0,
        live_bytes: totals.live_bytes.0,
        live_blocks: totals.live_blocks,
        live_resident_bytes: totals.live_resident.0,
        cached_bytes: totals.cached_bytes.0,
        free_bytes: totals.free_bytes.0,
        free_resident_bytes: totals.free_resident.0,
        top_bytes: totals.top_bytes.0,
        top_resident_bytes: totals.top_resident.0,
        trimmable_bytes: totals.trimmable.0,
        stuck_bytes: totals.stuck.0,
        mmapped_bytes: totals.mmapped_bytes.0,
        mmapped_blocks: totals.mmapped_blocks,
        overhead_bytes: totals.overhead_bytes.0,
        resident_bytes: totals.heap_resident.0,
        swapped_bytes: totals.swapped.0,
        live_growth_bytes: grown(|snapshot| snapshot.totals.live_resident.0),
        retained_growth_bytes: several
            .then(|| (totals.retained_resident()).growth_since(before.retained_resident())),
        // A log that was imported knows their bytes alone.
        live_growth_blocks: grown(|snapshot| snapshot.totals.live_blocks)
            .filter(|_| totals.live_blocks > 0 || totals.live_bytes.0 == 0),
        arenas: arenas(observations),
        size_classes: sizes(observations),
        parsed_bytes: last.quality.parsed.0,
        skipped_bytes: last.quality.skipped.0,
        bad_headers: last.quality.bad_headers,
        conclusive: last.quality.is_conclusive(),
        doubts: last.quality.doubts.clone(),
    })
}

/// Arenas of the last look, the main one first.
fn arenas(observations: &Observations) -> Vec<ArenaRow> {
    let Some((first, last)) = ends(observations, |snapshot| &snapshot.arenas) else {
        return Vec::new();
    };
    let grown = |arena: &ArenaTotals| {
        let before = first?.iter().find(|other| other.address == arena.address);
        let before = before.map_or(0, |arena| arena.live_bytes.0);
        Some(growth(before, arena.live_bytes.0))
    };
    (last.iter())
        .map(|arena| ArenaRow {
            main: arena.is_main,
            threads: arena.threads,
            live_bytes: arena.live_bytes.0,
            free_bytes: arena.free_bytes.0,
            cached_bytes: arena.cached_bytes.0,
            resident_bytes: arena.resident.0,
            live_growth_bytes: grown(arena),
        })
        .collect()
}

/// Sizes of chunks, those with most bytes in use first.
pub(crate) fn sizes(observations: &Observations) -> Vec<SizeRow> {
    let Some((first, last)) = ends(observations, |snapshot| &snapshot.sizes) else {
        return Vec::new();
    };
    let grown = |class: &SizeClass| {
        let before = first?.iter().find(|other| other.size == class.size);
        let before = before.map_or(0, |class| class.live_bytes.0);
        Some(growth(before, class.live_bytes.0))
    };
    let mut rows: Vec<SizeRow> = (last.iter())
        .map(|class| SizeRow {
            size: class.size,
            live_blocks: class.live_blocks,
            live_bytes: class.live_bytes.0,
            free_blocks: class.free_blocks,
            free_bytes: class.free_bytes.0,
            live_growth_bytes: grown(class),
        })
        .collect();
    rows.sort_by_key(|row| (Reverse((row.live_bytes, row.free_bytes)), row.size));
    rows.truncate(MOST_ROWS);
    rows
}

/// Classes of objects, those that grew most first; `None` where nobody looked.
pub(crate) fn classes(observations: &Observations) -> Option<Vec<ClassRow>> {
    shown(observations).first()?;
    let Some((first, last)) = ends(observations, |snapshot| &snapshot.classes) else {
        return Some(Vec::new());
    };
    let grown = |class: &HeapClass, value: fn(&HeapClass) -> u64| {
        let same = |other: &&HeapClass| other.name == class.name && other.runtime == class.runtime;
        let before = first?.iter().find(same);
        Some(growth(before.map_or(0, value), value(class)))
    };
    let mut rows: Vec<ClassRow> = (last.iter())
        .map(|class| ClassRow {
            name: class.name.clone(),
            runtime: class.runtime.clone(),
            count: class.count,
            bytes: class.bytes.0,
            growth_count: grown(class, |class| class.count),
            growth_bytes: grown(class, |class| class.bytes.0),
            holder: None,
        })
        .collect();
    rows.sort_by_cached_key(|row| (Reverse((row.growth_bytes, row.bytes)), row.name.clone()));
    rows.truncate(MOST_ROWS);
    Some(rows)
}

/// The snapshots that the rows speak of.
fn shown(observations: &Observations) -> Vec<&HeapSnapshot> {
    let sure = conclusive(observations);
    if sure.is_empty() {
        (of_program(observations).pop()).map_or_else(Vec::new, |last| vec![last])
    } else {
        sure
    }
}

/// A list at the last snapshot that has it and, where there are two, at the first.
fn ends<T>(
    observations: &Observations,
    list: fn(&HeapSnapshot) -> &Vec<T>,
) -> Option<(Option<&Vec<T>>, &Vec<T>)> {
    let mut present = (shown(observations).into_iter())
        .map(list)
        .filter(|list| !list.is_empty());
    let first = present.next()?;
    Some(match present.next_back() {
        Some(newest) => (Some(first), newest),
        None => (None, first),
    })
}

/// CPU seconds that all looks cost, those before an exec too.
fn cost(observations: &Observations) -> f64 {
    let heap = observations.heap.as_ref();
    (heap.iter().flat_map(|heap| &heap.snapshots))
        .map(|snapshot| snapshot.cpu.as_secs_f64())
        .sum()
}

fn growth(before: u64, after: u64) -> i64 {
    memtide_model::Bytes(after).growth_since(memtide_model::Bytes(before))
}
