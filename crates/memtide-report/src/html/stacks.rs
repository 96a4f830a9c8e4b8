//! "Who allocated it" on the page: two flame graphs, and a table of stacks whose frames unfold.
//!
//! Unfolding is the browser's own (`<details>`): it works without scripts, which the page forbids.

use super::{short, text};
use crate::flamegraph::{self, What};
use crate::{allocations, escape, frames, names};
use memtide_model::report::{FrameRow, Report, StackRow};
use std::fmt::Write as _;

/// Stacks and frames in the table; all are in the embedded JSON.
const STACKS: usize = 30;
const FRAMES: usize = 48;

/// The longest name of a function in the table, in characters.
const NAME: usize = 100;

/// Width of a graph on a wide and on a narrow screen, in logical pixels.
const WIDE: u32 = 1052;
const NARROW: u32 = 400;

/// The section; nothing where the preload shim did not look.
pub(super) fn section(report: &Report) -> String {
    let Some(rows) = &report.stacks else {
        return String::new();
    };
    let mut html = String::from("<section id=\"stacks\">\n<h2>Who allocated it</h2>\n");
    if let Some(sums) = &report.allocations {
        let _ = writeln!(
            html,
            "<p>{}.</p>\n<p class=\"of\">{}.</p>",
            text(&allocations::sums(sums)),
            text(&allocations::mode(report, sums))
        );
        if let Some(lost) = allocations::lost(&sums.lost) {
            let _ = writeln!(
                html,
                "<p class=\"warn\"><b>Not seen:</b> {}.</p>",
                text(&lost)
            );
        }
    }
    let (foremost, order) = allocations::foremost(rows);
    if foremost.is_empty() {
        html.push_str("<p>No stack holds memory.</p>\n");
    } else {
        html.push_str(&graph(report, What::Growth));
        let shown: Vec<_> = foremost.iter().take(STACKS).copied().collect();
        let caption = format!(
            "Call stacks {order}: {} of {}. The name is that of the innermost function that belongs \
             neither to an allocator nor to a runtime.",
            shown.len(),
            foremost.len()
        );
        html.push_str(&table(&shown, &caption, &report.target.exe));
        html.push_str(&graph(report, What::Live));
    }
    html.push_str(&never_freed(report, rows));
    html.push_str("</section>\n");
    html
}

fn never_freed(report: &Report, rows: &[StackRow]) -> String {
    let Some(left) = report.allocations.as_ref().and_then(allocations::left) else {
        return String::new();
    };
    let mut html = format!("<h3>Never freed at exit</h3>\n<p>{}.</p>\n", text(&left));
    let left = allocations::never_freed(rows);
    if !left.is_empty() {
        let shown: Vec<_> = left.iter().take(STACKS).copied().collect();
        let caption = format!(
            "Stacks whose blocks were live when the program ended, by bytes: {} of {}.",
            shown.len(),
            left.len()
        );
        html.push_str(&table(&shown, &caption, &report.target.exe));
    }
    html
}

/// A flame graph for wide and narrow screens with its legend; nothing where no stack has bytes.
fn graph(report: &Report, what: What) -> String {
    let (label, caption) = match what {
        What::Growth => (
            "Flame graph of growth",
            "Growth. Each box is a function and below it stand those that it called; its width is what \
             is live at the end, its colour how much of that came during the recording.",
        ),
        _ => (
            "Flame graph of live bytes",
            "The same by whose code it is. The width of a box is what is live at the end.",
        ),
    };
    let Some(wide) = flamegraph::inline(report, what, WIDE, "wide", label) else {
        return String::new();
    };
    let narrow = flamegraph::inline(report, what, NARROW, "narrow", label).unwrap_or_default();
    format!(
        "<figure class=\"graph\">\n{wide}{narrow}{}<figcaption>{caption} The pointer on a box shows its \
         whole name and its bytes.</figcaption>\n</figure>\n",
        flamegraph::key(report, what)
    )
}

/// A body of two rows per stack: its numbers, and its name that unfolds into frames.
fn table(rows: &[&StackRow], caption: &str, exe: &str) -> String {
    let mut html = format!(
        "<div class=\"scroll\">\n<table class=\"stacks\">\n<caption>{}</caption>\n<thead><tr>\
         <th scope=\"col\" class=\"n\">Growth</th><th scope=\"col\" class=\"n\">Share</th>\
         <th scope=\"col\" class=\"n\">Rate</th>\
         <th scope=\"col\" class=\"n optional\">90 % interval</th>\
         <th scope=\"col\" class=\"n\">Live</th><th scope=\"col\" class=\"n optional\">In</th>\
         <th scope=\"col\" class=\"n optional\">Peak</th>\
         <th scope=\"col\" class=\"n optional\">Leak score</th></tr></thead>\n",
        text(caption)
    );
    for (index, row) in rows.iter().enumerate() {
        let _ = writeln!(
            html,
            "<tbody>\n<tr>{}</tr>\n<tr><td colspan=\"8\">{}</td></tr>\n</tbody>",
            numbers(row),
            details(row, exe, index == 0)
        );
    }
    html.push_str("</table>\n</div>\n");
    html
}

fn numbers(row: &StackRow) -> String {
    let interval = allocations::interval(row).unwrap_or_else(|| "-".to_owned());
    let cells = [
        (allocations::share(row), ""),
        (allocations::rate(row), ""),
        (interval, " optional"),
        (allocations::live(row), ""),
        (allocations::blocks(row), " optional"),
        (allocations::peak(row), " optional"),
        (allocations::leak_score(row), " optional"),
    ];
    let mut html = format!(
        "<th scope=\"row\" class=\"n\">{}</th>",
        short(&allocations::growth(row))
    );
    for (cell, class) in cells {
        let _ = write!(html, "<td class=\"n{class}\">{}</td>", short(&cell));
    }
    html
}

fn details(row: &StackRow, exe: &str, open: bool) -> String {
    let notes = [
        allocations::end(row.end).map(str::to_owned),
        allocations::sampling(row),
        allocations::owner(row).map(str::to_owned),
        row.suppressed
            .as_ref()
            .map(|rule| format!("suppressed by {rule}")),
    ];
    unfolding(&row.frames, exe, open, notes.into_iter().flatten())
}

/// The name of a stack's first own frame, which unfolds into its frames and notes.
pub(crate) fn unfolding(
    all: &[FrameRow],
    exe: &str,
    open: bool,
    notes: impl Iterator<Item = String>,
) -> String {
    let own = frames::own(all);
    let first = own.and_then(|own| all.get(own));
    let fits = |text: &str| text.chars().count() <= NAME;
    let name = first.map_or_else(
        || "no frames".to_owned(),
        |frame| names::fitted(&frames::label(frame), fits).unwrap_or_default(),
    );
    let place = first.map_or_else(String::new, |frame| frames::place(frame, true));
    let mut html = format!(
        "<details{}><summary><code>{}</code> <span>{}</span></summary>\n<ol class=\"frames\">\n",
        if open { " open" } else { "" },
        escape::html(&name),
        short(&place)
    );
    for (index, frame) in all.iter().enumerate().take(FRAMES) {
        html.push_str(&line(frame, own == Some(index), exe));
    }
    html.push_str("</ol>\n");
    let more = all.len().saturating_sub(FRAMES);
    let more = (more > 0).then(|| memtide_model::text::plural(more as u64, "more frame"));
    let notes: Vec<_> = more.into_iter().chain(notes).collect();
    if !notes.is_empty() {
        let _ = writeln!(html, "<p class=\"of\">{}.</p>", text(&notes.join("; ")));
    }
    html.push_str("</details>");
    html
}

fn line(frame: &FrameRow, own: bool, exe: &str) -> String {
    let class = match (own, frames::whose(frame, exe)) {
        (true, _) => " class=\"own\"",
        (_, frames::Whose::Runtime) => " class=\"runtime\"",
        _ => "",
    };
    let inlined = if frame.inlined { ", inlined" } else { "" };
    let label = frames::label(frame);
    let name = names::fitted(&label, |text| text.chars().count() <= NAME).unwrap_or_default();
    // What was left out of a long name is shown when the pointer rests on it.
    let title = if label == name {
        String::new()
    } else {
        format!(" title=\"{}\"", escape::html(&escape::clip(&label, 1000)))
    };
    format!(
        "<li{class}><code{title}>{}</code> <span>{}{inlined}</span></li>\n",
        escape::html(&name),
        short(&frames::place(frame, false))
    )
}
