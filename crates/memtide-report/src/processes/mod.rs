//! What `memtide ps` prints: findings, then what was asked for beside them.
//!
//! ```text
//! ProcessesReport ─► summary ─► findings with their processes and commands ─► holders, difference,
//!                                growth, tree, kernel objects, machine ─► what could not be seen
//! ```
//!
//! Nothing is judged here: what is wrong and what may be right comes with the report. Names and command
//! lines are foreign text. Commands are never broken, because they are there to be copied.

mod difference;
mod findings;
mod machine;
mod snapshot;
mod tree;
mod words;

pub use snapshot::{SnapshotError, read_snapshot, snapshot_text};

use crate::terminal::style::Tone;
use crate::terminal::table::{Table, long_words, numbers, words as column};
use crate::terminal::{Options, Page};
use memtide_model::{HolderRow, ProcessesReport, Weight, text};

/// What is printed beside the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// All processes as a tree with their memory.
    pub tree: bool,
    /// The processes that grew most; the report's rows are in that order.
    pub growth: bool,
    /// Kernel objects: queues, segments, files of tmpfs.
    pub objects: bool,
}

/// Processes by growth that are shown.
const GROWN: usize = 20;
/// The least room for a command line.
pub(crate) const COMMAND: usize = 16;

/// The report as text. Ends with a newline; no line but commands is wider than the terminal.
pub fn text(report: &ProcessesReport, sections: Sections, options: &Options) -> String {
    let mut page = Page::new(options);
    let tone = if report.has_found() {
        Tone::Alarm
    } else {
        Tone::Strong
    };
    page.sentence("", tone, &report.summary);
    page.sentence("", Tone::Faint, &words::looked(report));
    findings::sections(&mut page, report);
    if let Some(holders) = &report.holders {
        held(&mut page, holders);
    }
    if let Some(since) = &report.difference {
        difference::section(&mut page, since);
    }
    if sections.growth {
        grown(&mut page, report);
    }
    if sections.tree {
        tree::section(&mut page, report);
    }
    if sections.objects {
        machine::objects(&mut page, report);
    }
    if let Some(machine) = &report.machine {
        machine::section(&mut page, machine);
    }
    if !report.warnings.is_empty() {
        page.heading("What could not be seen");
        for warning in &report.warnings {
            page.sentence("! ", Tone::Plain, warning);
        }
    }
    page.text()
}

/// A few lines after one of many looks: when, in all, and what is wrong.
pub fn block(report: &ProcessesReport, options: &Options) -> String {
    let mut page = Page::new(options);
    let tone = if report.has_found() {
        Tone::Alarm
    } else {
        Tone::Calm
    };
    let after = text::duration(report.recording.seconds);
    page.sentence(&format!("{after}  "), tone, &report.summary);
    let problems = report
        .findings
        .iter()
        .filter(|finding| finding.weight == Weight::Problem);
    for finding in problems.skip(1) {
        page.sentence("  - ", Tone::Plain, &finding.summary);
    }
    page.text()
}

/// `memtide.report/1` with the parts that it knows, as indented JSON.
pub fn json(report: &ProcessesReport) -> String {
    crate::json::pretty(report)
}

fn held(page: &mut Page, holders: &[HolderRow]) {
    page.heading("Who holds it");
    if holders.is_empty() {
        page.sentence("", Tone::Plain, "nobody of those that could be read");
        return;
    }
    let mut table = Table::new(&[
        numbers("pid", 0),
        column("user", 3),
        numbers("fd", 1),
        column("how", 2),
        long_words("command", COMMAND),
        column("what", 4),
    ]);
    for row in holders {
        table.row(
            Tone::Plain,
            [
                row.pid.to_string(),
                words::user(row.user.as_deref(), row.uid),
                row.descriptor
                    .map_or_else(words::unknown, |fd| fd.to_string()),
                row.how.clone(),
                words::command(&row.cmdline, &row.name),
                crate::escape::clip(&row.target, 60),
            ],
        );
    }
    page.lines(
        table
            .without_unknown_columns()
            .lines(page.width(), page.ink()),
    );
}

fn grown(page: &mut Page, report: &ProcessesReport) {
    page.heading("By growth of RSS");
    let moved =
        |row: &&memtide_model::ProcessRow| row.growth_bytes.is_some_and(|growth| growth != 0);
    let rows: Vec<_> = report.processes.iter().filter(moved).collect();
    if rows.is_empty() {
        page.sentence("", Tone::Plain, "no process grew or shrank");
        return;
    }
    let mut table = Table::new(&[
        numbers("pid", 0),
        column("user", 4),
        numbers("RSS", 2),
        numbers("growth", 0),
        numbers("rate", 1),
        long_words("command", COMMAND),
    ]);
    for row in rows.iter().take(GROWN) {
        table.row(
            Tone::Plain,
            [
                words::pid(row),
                words::user(row.user.as_deref(), row.uid),
                text::bytes(row.rss_bytes as f64),
                text::signed_bytes(row.growth_bytes.unwrap_or_default() as f64),
                row.bytes_per_second.map_or_else(words::unknown, text::rate),
                words::command(&row.cmdline, &row.name),
            ],
        );
    }
    page.lines(
        table
            .without_unknown_columns()
            .lines(page.width(), page.ink()),
    );
    words::rest(page, rows.len(), GROWN);
    let hint = "why one of them grows: memtide attach PID";
    page.sentence("", Tone::Faint, hint);
}
