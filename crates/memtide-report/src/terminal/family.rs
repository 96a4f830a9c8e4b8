//! The processes below the target: sums, and those that grew most.

use super::Page;
use super::style::Tone;
use super::table::{Table, numbers, words};
use crate::family;
use memtide_model::report::Report;

/// Processes in the table.
const LISTED: usize = 8;

/// Nothing where nobody looked, or there was nobody.
pub(super) fn section(page: &mut Page, report: &Report) {
    let Some((tree, rows)) = family::of(report) else {
        return;
    };
    page.heading("Processes below it");
    page.sentence("", Tone::Plain, &family::sentence(tree));
    if rows.is_empty() {
        return;
    }
    let [process, pid, state, parent, memory, growth, what] = family::HEADS;
    let mut table = Table::new(&[
        words(process, 0),
        numbers(pid, 0),
        words(state, 3),
        numbers(parent, 2),
        numbers(memory, 0),
        numbers(growth, 1),
        words(what, 4),
    ]);
    for row in rows.iter().take(LISTED) {
        table.row(Tone::Plain, family::cells(row));
    }
    page.lines(table.lines(page.width(), page.ink()));
    if rows.len() > LISTED {
        let more = format!("{} more have rows", rows.len() - LISTED);
        page.sentence("", Tone::Faint, &format!("{more}: --json lists them"));
    }
}
