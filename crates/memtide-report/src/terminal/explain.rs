//! What `--explain` adds: how to read the numbers, and those that the short report leaves out.

use super::style::Tone;
use super::table::{Table, numbers, words};
use super::{Page, reasoning};
use crate::allocations::LEAK_SCORE;
use crate::{escape, heap, sentences};
use memtide_model::report::{Report, ThreadRow};
use memtide_model::{Account, text};

/// Threads in the table.
const THREADS: usize = 12;

/// All sections.
pub(super) fn sections(page: &mut Page, report: &Report) {
    reasoning::section(page, report);
    accounts(page, report);
    if report.stacks.is_some() {
        page.heading("How to read the stacks");
        page.sentence("leak score  ", Tone::Plain, LEAK_SCORE);
        let arrow = "the innermost function that is neither an allocator's nor a runtime's";
        page.sentence("→           ", Tone::Plain, arrow);
    }
    if report.heap.is_some() {
        page.heading("How to read the heap");
        for (name, meaning) in heap::WORDS {
            page.sentence(&format!("{name:13}"), Tone::Plain, meaning);
        }
    }
    threads(page, report);
    reads(page, report);
}

/// What each account that occurs holds.
fn accounts(page: &mut Page, report: &Report) {
    let in_sum = report
        .ledger
        .iter()
        .map(|row| (row.account, row.start_bytes != 0 || row.end_bytes != 0));
    let beside = report
        .beside
        .iter()
        .map(|row| (row.account, row.start_bytes != 0 || row.end_bytes != 0));
    let shown: Vec<Account> = in_sum
        .chain(beside)
        .filter(|(_, filled)| *filled)
        .map(|(account, _)| account)
        .collect();
    let Some(widest) = shown.iter().map(|account| account.name().len()).max() else {
        return;
    };
    page.heading("What the accounts hold");
    for account in shown {
        let mark = format!("{:width$}", account.name(), width = widest + 2);
        page.sentence(&mark, Tone::Plain, account.meaning());
    }
}

/// The threads that touched most new pages.
fn threads(page: &mut Page, report: &Report) {
    let Some(threads) = report
        .threads
        .as_ref()
        .filter(|threads| !threads.is_empty())
    else {
        return;
    };
    page.heading("Threads by the pages they touched first");
    let mut sorted: Vec<&ThreadRow> = threads.iter().collect();
    sorted.sort_by(|a, b| b.min_flt_per_second.total_cmp(&a.min_flt_per_second));
    let mut table = Table::new(&[
        words("thread", 0),
        numbers("tid", 2),
        words("state", 4),
        numbers("faults", 3),
        numbers("faults/s", 1),
        words("sleeps in", 5),
    ]);
    for thread in sorted.iter().take(THREADS) {
        let gone = if thread.alive { "" } else { " (ended)" };
        table.row(
            Tone::Plain,
            [
                format!("{}{gone}", escape::clip(&thread.name, 40)),
                thread.tid.to_string(),
                escape::clip(&thread.state, 12),
                thread.min_flt.to_string(),
                format!("{:.1}", thread.min_flt_per_second),
                escape::clip(thread.wchan.as_deref().unwrap_or("-"), 40),
            ],
        );
    }
    page.lines(table.lines(page.width(), page.ink()));
    if sorted.len() > THREADS {
        let more = text::plural((sorted.len() - THREADS) as u64, "more thread");
        page.sentence("", Tone::Faint, &more);
    }
}

/// What each kind of read cost.
fn reads(page: &mut Page, report: &Report) {
    if report.recording.reads.is_empty() {
        return;
    }
    page.heading("What the reads cost");
    let mut table = Table::new(&[
        words("read", 0),
        numbers("done", 1),
        numbers("put off", 2),
        numbers("failed", 3),
        numbers("CPU", 0),
        numbers("longest", 4),
    ]);
    for row in &report.recording.reads {
        table.row(
            Tone::Plain,
            [
                escape::clip(&row.read, 40),
                row.reads.to_string(),
                row.skipped.to_string(),
                row.failed.to_string(),
                sentences::cpu_time(row.cpu_seconds),
                sentences::cpu_time(row.longest_seconds),
            ],
        );
    }
    page.lines(table.lines(page.width(), page.ink()));
}
