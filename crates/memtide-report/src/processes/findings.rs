//! Findings: the sentence, what is known, the processes, the commands. Problems first, notes after them.

use super::COMMAND;
use super::words;
use crate::terminal::Page;
use crate::terminal::style::Tone;
use crate::terminal::table::{Table, long_words, numbers, words as column};
use memtide_model::{Finding, FindingKind, ProcessRow, ProcessesReport, Weight, text};
use std::collections::HashMap;

/// Processes of a finding that get a row; of the others the pids are listed.
const ROWS: usize = 6;
/// Notes that are shown.
const NOTES: usize = 5;

type Rows<'a> = HashMap<(u32, u64), &'a ProcessRow>;

pub(super) fn sections(page: &mut Page, report: &ProcessesReport) {
    let rows: Rows<'_> = report
        .processes
        .iter()
        .map(|row| ((row.pid, row.start_ticks), row))
        .collect();
    let of = |weight| move |finding: &&Finding| finding.weight == weight;
    for finding in report.findings.iter().filter(of(Weight::Problem)) {
        page.gap();
        page.sentence("", Tone::Strong, &format!("{}.", finding.summary));
        body(page, finding, &rows);
    }
    let notes: Vec<&Finding> = report.findings.iter().filter(of(Weight::Note)).collect();
    if notes.is_empty() {
        return;
    }
    page.heading("What may be as it should");
    for note in notes.iter().take(NOTES) {
        page.sentence("- ", Tone::Plain, &format!("{}.", note.summary));
        for detail in &note.details {
            page.sentence("  ", Tone::Faint, detail);
        }
        pids(page, note, 1);
        commands(page, note);
    }
    words::rest(page, notes.len(), NOTES);
}

fn body(page: &mut Page, finding: &Finding, rows: &Rows<'_>) {
    for detail in &finding.details {
        page.sentence("  ", Tone::Plain, detail);
    }
    // Zombies have no command line, no memory and one state: their parent is what there is to see.
    let shown: Vec<&&ProcessRow> = if finding.kind == FindingKind::Zombies {
        let parent = finding.parent.as_ref().map(|parent| parent.pid);
        rows.values()
            .filter(|row| Some(row.pid) == parent)
            .collect()
    } else {
        finding
            .processes
            .iter()
            .filter_map(|id| rows.get(&(id.pid.0, id.start.0)))
            .collect()
    };
    table(page, &shown);
    let listed = if finding.kind == FindingKind::Zombies {
        0
    } else {
        ROWS
    };
    pids(page, finding, listed);
    commands(page, finding);
}

fn table(page: &mut Page, rows: &[&&ProcessRow]) {
    if rows.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        numbers("pid", 0),
        numbers("parent", 2),
        column("user", 4),
        column("state", 3),
        numbers("age", 1),
        numbers("memory", 5),
        long_words("command", COMMAND),
    ]);
    for row in rows.iter().take(ROWS) {
        table.row(
            Tone::Plain,
            [
                words::pid(row),
                row.ppid.to_string(),
                words::user(row.user.as_deref(), row.uid),
                row.state.clone(),
                text::duration(row.age_seconds),
                text::bytes(row.pss_bytes.unwrap_or(row.rss_bytes) as f64),
                words::command(&row.cmdline, &row.name),
            ],
        );
    }
    let lines = table.lines(page.width() - 2, page.ink());
    page.lines(lines.into_iter().map(|line| format!("  {line}")));
    if rows.iter().any(|row| row.inner_pid.is_some()) {
        let words = "in brackets: the number in its own pid namespace";
        page.sentence("  ", Tone::Faint, words);
    }
}

/// The pids of all, where more than `shown` have no row.
fn pids(page: &mut Page, finding: &Finding, shown: usize) {
    if finding.processes.len() > shown {
        let pids: Vec<u32> = finding.processes.iter().map(|id| id.pid.0).collect();
        let word = if pids.len() == 1 { "pid" } else { "pids" };
        let memory = finding.bytes.filter(|_| pids.len() > 1);
        let memory = memory.map_or_else(String::new, |bytes| {
            format!("; together {}", text::bytes(bytes as f64))
        });
        page.long_sentence(
            "  ",
            Tone::Plain,
            &format!("{word} {}{memory}", words::ranges(&pids)),
        );
    }
}

fn commands(page: &mut Page, finding: &Finding) {
    for remedy in &finding.remedies {
        page.sentence("  ", Tone::Faint, &format!("{}:", remedy.effect));
        page.verbatim("    ", &remedy.command);
    }
}
