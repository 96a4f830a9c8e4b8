//! The malloc heap: what it holds, what a trim would give back, what grew, arenas, sizes, classes,
//! and what was not understood.
//!
//! Names of classes are as long as templates are. They are shortened in their middle to the room that
//! the numbers leave, because both ends tell classes apart.

use super::Page;
use super::style::Tone;
use super::table::{Table, UNKNOWN, long_words, numbers, words};
use crate::{escape, heap, names};
use memtide_model::report::{ArenaRow, Heap, Report};
use memtide_model::text;

/// How many rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Below a verdict.
    Short,
    /// Where the heap is what was asked for.
    Long,
}

impl Length {
    /// That of a report: long where everything is to be explained.
    pub(super) const fn of(explain: bool) -> Self {
        if explain { Self::Long } else { Self::Short }
    }

    const fn arenas(self) -> usize {
        match self {
            Self::Short => 4,
            Self::Long => 8,
        }
    }

    const fn sizes_and_classes(self) -> usize {
        match self {
            Self::Short => 6,
            Self::Long => 12,
        }
    }
}

/// Terminal columns that a name of a class has at least; columns of numbers are dropped for them.
const NAME: usize = 20;

/// Characters of the name of what holds a class.
const HOLDER: usize = 40;

/// All of it; nothing where no lens looked.
pub(super) fn sections(page: &mut Page, report: &Report, length: Length) {
    if let Some(heap) = &report.heap {
        page.heading("Heap");
        summary(page, heap);
        if !heap::is_empty(heap) {
            arenas(page, heap, length.arenas());
            sizes(page, heap, length.sizes_and_classes());
        }
    }
    classes(page, report, length.sizes_and_classes());
}

/// The sentences, those that put the others in doubt first.
fn summary(page: &mut Page, heap: &Heap) {
    if let Some(doubt) = heap::doubt(heap) {
        page.sentence("doubt  ", Tone::Alarm, doubt);
        for why in &heap.doubts {
            page.sentence("       - ", Tone::Alarm, why);
        }
    }
    let lines = [
        ("holds  ", Tone::Plain, Some(heap::holds(heap))),
        ("       ", Tone::Plain, heap::elsewhere(heap)),
        ("trim   ", Tone::Plain, heap::trim(heap)),
        ("grew   ", Tone::Plain, heap::growth(heap)),
        ("lost   ", Tone::Alarm, heap::lost(heap)),
        ("read   ", Tone::Faint, Some(heap::how(heap))),
    ];
    for (mark, tone, sentence) in lines {
        if let Some(sentence) = sentence {
            page.sentence(mark, tone, &sentence);
        }
    }
}

fn arenas(page: &mut Page, heap: &Heap, most: usize) {
    let rows = heap::arenas(heap);
    if rows.is_empty() {
        return;
    }
    page.gap();
    let mut table = Table::new(&[
        words("arena", 0),
        numbers("threads", 5),
        numbers("live", 0),
        numbers("growth", 1),
        numbers("cached", 4),
        numbers("free", 2),
        numbers("resident", 3),
    ]);
    for (number, row) in rows.iter().take(most) {
        let name = heap::arena_name(*number, row);
        table.row(Tone::Plain, arena_cells(name, row));
    }
    let rest = rows.iter().skip(most).map(|(_, row)| *row);
    let left = rows.len().saturating_sub(most);
    if left > 0 {
        let sum = heap::arena_sum(rest);
        table.row(Tone::Faint, arena_cells(format!("{left} more"), &sum));
    }
    let table = table.without_unknown_columns();
    page.lines(table.lines(page.width(), page.ink()));
}

fn arena_cells(name: String, row: &ArenaRow) -> [String; 7] {
    let size = |bytes: u64| text::bytes(bytes as f64);
    [
        name,
        row.threads.to_string(),
        size(row.live_bytes),
        heap::growth_cell(row.live_growth_bytes),
        size(row.cached_bytes),
        size(row.free_bytes),
        size(row.resident_bytes),
    ]
}

fn sizes(page: &mut Page, heap: &Heap, most: usize) {
    let (rows, order) = heap::sizes(heap);
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Blocks by size, {order}"));
    let mut table = Table::new(&[
        words("size", 0),
        numbers("blocks", 2),
        numbers("live", 0),
        numbers("growth", 1),
        numbers("free blocks", 4),
        numbers("free", 3),
    ]);
    for row in rows.iter().take(most) {
        table.row(
            Tone::Plain,
            [
                heap::size_name(row),
                row.live_blocks.to_string(),
                text::bytes(row.live_bytes as f64),
                heap::growth_cell(row.live_growth_bytes),
                row.free_blocks.to_string(),
                text::bytes(row.free_bytes as f64),
            ],
        );
    }
    let table = table.without_unknown_columns();
    page.lines(table.lines(page.width(), page.ink()));
    let rest = rows.iter().skip(most).map(|row| row.live_bytes);
    more(page, "more size", "more sizes", rest);
}

fn classes(page: &mut Page, report: &Report, most: usize) {
    let (rows, order) = heap::classes(report);
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Classes, {order}"));
    let mut table = Table::new(&[
        long_words("class", NAME),
        numbers("count", 2),
        numbers("more", 3),
        numbers("bytes", 1),
        numbers("growth", 0),
        words("most held by", 4),
    ]);
    for row in rows.iter().take(most) {
        let holder = row.holder.as_deref().map(|name| escape::clip(name, HOLDER));
        table.row(
            Tone::Plain,
            [
                escape::plain(&names::of_type(&row.name)).into_owned(),
                row.count.to_string(),
                heap::count_growth(row.growth_count),
                text::bytes(row.bytes as f64),
                heap::growth_cell(row.growth_bytes),
                holder.unwrap_or_else(|| UNKNOWN.to_owned()),
            ],
        );
    }
    let table = table.without_unknown_columns();
    page.lines(table.lines(page.width(), page.ink()));
    let rest = rows.iter().skip(most).map(|row| row.bytes);
    more(page, "more class", "more classes", rest);
}

/// How many rows are not shown, and what they hold together.
fn more(page: &mut Page, one: &str, several: &str, rest: impl Iterator<Item = u64>) {
    let (count, bytes) = rest.fold((0_u64, 0_u64), |(count, sum), bytes| {
        (count + 1, sum.saturating_add(bytes))
    });
    if count > 0 {
        let noun = if count == 1 { one } else { several };
        let line = format!("{count} {noun}: {} live", text::bytes(bytes as f64));
        page.sentence("", Tone::Faint, &line);
    }
}
