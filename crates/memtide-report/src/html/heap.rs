//! The malloc heap: what it consists of as one bar, what follows from that, arenas, sizes, classes.

use super::chart::hex;
use super::table::{
    Cell, Head, NUMBERS, OPTIONAL_NUMBERS, OPTIONAL_WORDS, WORDS, cell, name, table,
    without_unknown,
};
use super::{summary, text};
use crate::chart::palette;
use crate::terminal::table::UNKNOWN;
use crate::{heap, names, sentences};
use memtide_model::report::{ArenaRow, Heap, Report};
use memtide_model::text as words;
use std::fmt::Write as _;

/// Rows of each table; all are in the embedded JSON.
const LISTED: usize = 40;

/// The longest name of a class that is shown without being shortened, in characters.
const NAME: usize = 100;

/// Width and height of the bar on a wide and on a narrow screen, in logical pixels.
const WIDE: (u32, u32) = (1052, 26);
const NARROW: (u32, u32) = (400, 24);

/// Between two parts of the bar, and the least width of a part, in logical pixels.
const GAP: f64 = 1.0;
const LEAST: f64 = 1.0;

/// The section; nothing where no lens looked.
pub(super) fn section(report: &Report) -> String {
    let inside = [
        report.heap.as_ref().map_or_else(String::new, of_heap),
        classes(report),
    ]
    .concat();
    if inside.is_empty() {
        return String::new();
    }
    format!("<section id=\"heap\">\n<h2>What the heap holds</h2>\n{inside}</section>\n")
}

fn of_heap(heap: &Heap) -> String {
    let mut html = doubt(heap);
    html.push_str(&figure(heap));
    let list = [
        Some(heap::holds(heap)),
        heap::elsewhere(heap),
        heap::trim(heap),
        heap::growth(heap),
    ];
    for sentence in list.into_iter().flatten() {
        let sentence = capital(&sentences::glued(&sentence));
        let _ = writeln!(html, "<p>{}.</p>", text(&sentence));
    }
    if let Some(lost) = heap::lost(heap) {
        let _ = writeln!(
            html,
            "<p class=\"warn\"><b>Not seen:</b> {}.</p>",
            text(&lost)
        );
    }
    let _ = writeln!(html, "<p class=\"of\">{}.</p>", text(&heap::how(heap)));
    html.push_str(&arenas(heap));
    html.push_str(&sizes(heap));
    html
}

fn doubt(heap: &Heap) -> String {
    let Some(doubt) = heap::doubt(heap) else {
        return String::new();
    };
    let list = summary::list(heap.doubts.iter().map(String::as_str));
    format!(
        "<div class=\"warn\">\n<p><b>{}.</b></p>\n{}</div>\n",
        text(&capital(doubt)),
        list.unwrap_or_default()
    )
}

/// A sentence that stands alone; the name of a function stays as it is.
fn capital(sentence: &str) -> String {
    let first_word = sentence.split(' ').next().unwrap_or_default();
    if first_word.contains('_') {
        return sentence.to_owned();
    }
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// The resident bytes of the heap as one bar with its legend.
fn figure(heap: &Heap) -> String {
    let parts = heap::parts(heap);
    if parts.is_empty() {
        return String::new();
    }
    let slices: Vec<_> = parts
        .into_iter()
        .map(|(part, bytes)| Slice::new(part, bytes, heap.resident_bytes))
        .collect();
    format!(
        "<figure class=\"graph\">\n{}{}{}<figcaption>The resident bytes of the heap: {}.\
         </figcaption>\n</figure>\n",
        bar(&slices, WIDE, "wide"),
        bar(&slices, NARROW, "narrow"),
        legend(&slices),
        text(&words::bytes(heap.resident_bytes as f64))
    )
}

/// A part of the bar.
struct Slice {
    name: &'static str,
    color: String,
    share: f64,
    /// "24.0 MiB, 13 %".
    value: String,
}

impl Slice {
    fn new(part: heap::Part, bytes: u64, whole: u64) -> Self {
        let share = bytes as f64 / whole.max(1) as f64;
        Self {
            name: part.words(),
            color: hex(palette::heap(part)),
            share,
            value: format!("{}, {}", words::bytes(bytes as f64), sentences::part(share)),
        }
    }
}

fn bar(slices: &[Slice], (width, height): (u32, u32), class: &str) -> String {
    let mut svg = format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"What the heap's resident bytes consist of\">\n"
    );
    let mut left = 0.0;
    for slice in slices {
        let wide = slice.share * f64::from(width);
        let _ = writeln!(
            svg,
            "<g><title>{}: {}</title><rect x=\"{left:.2}\" y=\"0\" width=\"{:.2}\" \
             height=\"{height}\" fill=\"{}\"/></g>",
            text(slice.name),
            text(&slice.value),
            (wide - GAP).max(LEAST),
            slice.color
        );
        left += wide;
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(slices: &[Slice]) -> String {
    let mut list = String::from("<ul class=\"legend\">\n");
    for slice in slices {
        let _ = writeln!(
            list,
            "<li><svg viewBox=\"0 0 20 14\" aria-hidden=\"true\"><rect x=\"4\" y=\"1\" width=\"12\" \
             height=\"12\" fill=\"{}\"/></svg>{} <b>{}</b></li>",
            slice.color,
            text(slice.name),
            text(&slice.value)
        );
    }
    list.push_str("</ul>\n");
    list
}

fn arenas(heap: &Heap) -> String {
    let rows = heap::arenas(heap);
    if rows.is_empty() {
        return String::new();
    }
    let mut cells: Vec<_> = rows
        .iter()
        .take(LISTED)
        .map(|(number, row)| arena_cells(&heap::arena_name(*number, row), row))
        .collect();
    let rest = rows.len().saturating_sub(LISTED);
    if rest > 0 {
        let sum = heap::arena_sum(rows.iter().skip(LISTED).map(|(_, row)| *row));
        cells.push(arena_cells(&format!("{rest} more"), &sum));
    }
    let heads = [
        ("Arena", WORDS),
        ("Threads", OPTIONAL_NUMBERS),
        ("Live", NUMBERS),
        ("Growth", NUMBERS),
        ("Cached", OPTIONAL_NUMBERS),
        ("Free", NUMBERS),
        ("Resident", OPTIONAL_NUMBERS),
    ];
    let caption = format!(
        "{} arenas: each thread allocates from one of them, and what one keeps no other can use.",
        rows.len()
    );
    titled("Arenas", &caption, &heads, cells)
}

fn arena_cells(name: &str, row: &ArenaRow) -> Vec<Cell> {
    let size = |bytes: u64| cell(words::bytes(bytes as f64));
    vec![
        cell(name.replace(' ', "\u{a0}")),
        cell(row.threads.to_string()),
        size(row.live_bytes),
        cell(heap::growth_cell(row.live_growth_bytes)),
        size(row.cached_bytes),
        size(row.free_bytes),
        size(row.resident_bytes),
    ]
}

fn sizes(heap: &Heap) -> String {
    let (rows, order) = heap::sizes(heap);
    if rows.is_empty() {
        return String::new();
    }
    let cells: Vec<_> = rows
        .iter()
        .take(LISTED)
        .map(|row| {
            vec![
                cell(heap::size_name(row).replace(' ', "\u{a0}")),
                cell(row.live_blocks.to_string()),
                cell(words::bytes(row.live_bytes as f64)),
                cell(heap::growth_cell(row.live_growth_bytes)),
                cell(row.free_blocks.to_string()),
                cell(words::bytes(row.free_bytes as f64)),
            ]
        })
        .collect();
    let heads = [
        ("Size", WORDS),
        ("Blocks", NUMBERS),
        ("Live", NUMBERS),
        ("Growth", NUMBERS),
        ("Free blocks", OPTIONAL_NUMBERS),
        ("Free", NUMBERS),
    ];
    let caption = format!(
        "Sizes with malloc's header and rounding, {order}: {} of {}. Free blocks beside many live ones \
         of their size are ready to be used again.",
        cells.len(),
        rows.len()
    );
    titled("Blocks by size", &caption, &heads, cells)
}

fn classes(report: &Report) -> String {
    let (rows, order) = heap::classes(report);
    if rows.is_empty() {
        return String::new();
    }
    let fits = |text: &str| text.chars().count() <= NAME;
    let cells: Vec<_> = rows
        .iter()
        .take(LISTED)
        .map(|row| {
            let shown = names::cut(&names::of_type(&row.name), fits).unwrap_or_default();
            let holder = row.holder.as_deref().unwrap_or(UNKNOWN);
            vec![
                name(&shown, &row.name),
                cell(row.count.to_string()),
                cell(heap::count_growth(row.growth_count)),
                cell(words::bytes(row.bytes as f64)),
                cell(heap::growth_cell(row.growth_bytes)),
                cell(row.runtime.as_str()),
                cell(holder),
            ]
        })
        .collect();
    let heads = [
        ("Class", WORDS),
        ("Objects", NUMBERS),
        ("More", OPTIONAL_NUMBERS),
        ("Bytes", NUMBERS),
        ("Growth", NUMBERS),
        ("Language", OPTIONAL_WORDS),
        ("Most held by", OPTIONAL_WORDS),
    ];
    let caption = format!(
        "Classes of objects, {order}: {} of {}. Bytes are those of the blocks that begin with such an \
         object.",
        cells.len(),
        rows.len()
    );
    titled("Classes", &caption, &heads, cells)
}

/// A table under a heading, without the columns of which no value is known.
fn titled(title: &str, caption: &str, heads: &[Head<'_>], rows: Vec<Vec<Cell>>) -> String {
    let (heads, rows) = without_unknown(heads, rows);
    format!("<h3>{title}</h3>\n{}", table(caption, &heads, &rows))
}
