//! The malloc heap: what it consists of as one bar, what follows from that, arenas, sizes, classes.

use super::chart::hex;
use super::sections::{Cell, name, number, table, word};
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
        let _ = writeln!(html, "<p>{}.</p>", text(&capital(&sentence)));
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

/// A sentence that stands alone.
fn capital(sentence: &str) -> String {
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
    let share = |bytes: u64| bytes as f64 / heap.resident_bytes.max(1) as f64;
    let label = |part: heap::Part, bytes: u64| {
        let size = words::bytes(bytes as f64);
        let share = sentences::percent(share(bytes));
        (part.words(), format!("{size}, {share}"))
    };
    let mut svg = String::new();
    for ((width, height), class) in [(WIDE, "wide"), (NARROW, "narrow")] {
        let _ = writeln!(
            svg,
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"What the heap's resident bytes consist of\">"
        );
        let mut left = 0.0;
        for (part, bytes) in &parts {
            let wide = share(*bytes) * f64::from(width);
            let (name, value) = label(*part, *bytes);
            let _ = writeln!(
                svg,
                "<g><title>{}: {}</title><rect x=\"{left:.2}\" y=\"0\" width=\"{:.2}\" \
                 height=\"{height}\" fill=\"{}\"/></g>",
                text(name),
                text(&value),
                (wide - GAP).max(LEAST),
                hex(palette::heap(*part))
            );
            left += wide;
        }
        svg.push_str("</svg>\n");
    }
    let mut legend = String::from("<ul class=\"legend\">\n");
    for (part, bytes) in &parts {
        let (name, value) = label(*part, *bytes);
        let _ = writeln!(
            legend,
            "<li><svg viewBox=\"0 0 20 14\" aria-hidden=\"true\"><rect x=\"4\" y=\"1\" width=\"12\" \
             height=\"12\" fill=\"{}\"/></svg>{} <b>{}</b></li>",
            hex(palette::heap(*part)),
            text(name),
            text(&value)
        );
    }
    legend.push_str("</ul>\n");
    format!(
        "<figure class=\"graph\">\n{svg}{legend}<figcaption>The resident bytes of the heap: {}.\
         </figcaption>\n</figure>\n",
        text(&words::bytes(heap.resident_bytes as f64))
    )
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
        ("Arena", false),
        ("Threads", true),
        ("Live", true),
        ("Growth", true),
        ("Cached", true),
        ("Free", true),
        ("Resident", true),
    ];
    let caption = format!(
        "{} arenas: each thread allocates from one of them, and what one keeps no other can use.",
        rows.len()
    );
    titled("Arenas", &caption, &heads, cells)
}

fn arena_cells(name: &str, row: &ArenaRow) -> Vec<Cell> {
    let size = |bytes: u64| number(words::bytes(bytes as f64));
    vec![
        word(name),
        number(row.threads.to_string()),
        size(row.live_bytes),
        number(heap::growth_cell(row.live_growth_bytes)),
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
                word(&heap::size_name(row)),
                number(row.live_blocks.to_string()),
                number(words::bytes(row.live_bytes as f64)),
                number(heap::growth_cell(row.live_growth_bytes)),
                number(row.free_blocks.to_string()),
                number(words::bytes(row.free_bytes as f64)),
            ]
        })
        .collect();
    let heads = [
        ("Size", false),
        ("Blocks", true),
        ("Live", true),
        ("Growth", true),
        ("Free blocks", true),
        ("Free", true),
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
                number(row.count.to_string()),
                number(heap::count_growth(row.growth_count)),
                number(words::bytes(row.bytes as f64)),
                number(heap::growth_cell(row.growth_bytes)),
                word(&row.runtime),
                word(holder),
            ]
        })
        .collect();
    let heads = [
        ("Class", false),
        ("Objects", true),
        ("More", true),
        ("Bytes", true),
        ("Growth", true),
        ("Language", false),
        ("Most held by", false),
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
fn titled(title: &str, caption: &str, heads: &[(&str, bool)], mut rows: Vec<Vec<Cell>>) -> String {
    let known: Vec<bool> = (0..heads.len())
        .map(|index| {
            let mut cells = rows.iter().filter_map(|row| row.get(index));
            cells.any(|cell| !cell.is_unknown())
        })
        .collect();
    let heads = heads.iter().zip(&known).filter(|(_, known)| **known);
    let heads: Vec<_> = heads.map(|(head, _)| *head).collect();
    for row in &mut rows {
        let mut keep = known.iter();
        row.retain(|_| keep.next() == Some(&true));
    }
    format!("<h3>{title}</h3>\n{}", table(caption, &heads, &rows))
}
